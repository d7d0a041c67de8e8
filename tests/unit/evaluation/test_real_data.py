"""Real annotated proteins of the shipped sample, from raw file to scores."""

from pathlib import Path

import pytest
from small_tables import prediction, write_predictions
from system_tools import require_tool

from fragmodel.data.ingest import ingest
from fragmodel.embeddings.encoders import build_stand_in
from fragmodel.embeddings.extract import embed_sequences
from fragmodel.evaluation.baselines import NAMES, run_baselines
from fragmodel.evaluation.score import score
from fragmodel.tables import RECORDS, read_rows

SAMPLE = Path(__file__).parents[3] / "data" / "sample"
TASKS = ("referring_desc", "referring_class", "grounding_single", "grounding_group")


def records(folder, data_name, suffix, split):
    """Paths of the split's records of each task."""
    paths = []
    for task in TASKS:
        path = folder / f"{data_name}_{task}_{split}.parquet"
        raw = SAMPLE / data_name / f"{split}{suffix}"
        ingest(
            [raw],
            task=task,
            data_name=data_name,
            output=path,
            rejects=folder / "rejects.parquet",
            split=split,
        )
        paths.append(path)
    return paths


@pytest.mark.parametrize(
    ("data_name", "suffix", "tasks"),
    [
        ("VenusX_Evo", ".json", set(TASKS)),
        ("VenusX_BindI", ".json", set(TASKS)),
        ("Conversations_Dom", ".csv", {"referring_class", "referring_desc"}),
    ],
)
def test_the_reference_answers_are_perfect(tmp_path, data_name, suffix, tasks):
    """Parsing loses nothing of real answers: names with colons, many spans, prose around them."""
    test = records(tmp_path, data_name, suffix, "test")
    rows = [row for path in test for row in read_rows(path, RECORDS)]
    answers = [prediction(row["record_id"], row["task_type"], row["answer"], data=data_name) for row in rows]
    assert {row["task_type"] for row in rows} >= tasks
    result = score(
        [write_predictions(tmp_path, answers)],
        test,
        metrics_output=tmp_path / "metrics.json",
        table_output=None,
        bootstrap_samples=0,
        encode=None,
    )[data_name]
    for task, summary in result.items():
        model = summary["model"]
        if task.startswith("grounding"):
            best = {"iou_mean", "iou_at_1", "all_hit_50", "f1_50", "f1_95", "residue_f1", "residue_mcc"}
            assert {name: model[name] for name in best} == dict.fromkeys(best, pytest.approx(1))
            assert model["boundary_error"] == model["parse_failure_rate"] == model["out_of_range_rate"] == 0
        elif task == "referring_class":
            assert (model["exact_match"], model["accuracy"], model["macro_f1"]) == (1, 1, 1)
            # A correlation needs variation: with a single true class it is 0, as in scikit-learn.
            assert model["mcc"] == (1 if len(summary["per_class"]) > 1 else 0)
        else:
            assert (model["exact_match"], model["rouge_l"]) == (1, 1)
            assert model["bleu_4"] == model["chrf"] == pytest.approx(100)


@pytest.mark.slow
def test_all_baselines_from_a_real_store(tmp_path):
    require_tool("mmseqs", "mmseqs2")
    train, test = (records(tmp_path, "VenusX_Evo", ".json", split) for split in ("train", "test"))
    encoder, store = tmp_path / "esm2_small.pt", tmp_path / "store"
    build_stand_in(encoder, layers=2, dim=32, heads=2, seed=1)
    windows = {row["sequence"] for path in (*train, *test) for row in read_rows(path, RECORDS)}
    embed_sequences(sorted(windows), encoder=encoder, store=store, device="cpu")
    output = tmp_path / "baselines.parquet"
    run_baselines(train, test, names=NAMES, store=store, fingerprint=None, output=output, seed=1)
    result = score(
        [output],
        test,
        metrics_output=tmp_path / "metrics.json",
        table_output=tmp_path / "scored.parquet",
        train=train,
        bootstrap_samples=0,
        encode=None,
    )["VenusX_Evo"]
    assert set(result) == set(TASKS)
    for task, summary in result.items():
        expected = {"majority"} if task.startswith("referring") else {"position_prior", "random_span"}
        of_all = {"nearest_embedding", "linear_probe", "alignment", "profile_search"}
        assert set(summary["baselines"]) == expected | of_all
        assert not any(summary["missing"].values())
    # Relatives share conserved sites: where the alignment answers at all, it must beat chance by far.
    single = result["grounding_single"]["baselines"]
    assert single["alignment"]["precision_50"] > 0.5 > single["random_span"]["precision_50"]
