"""The plan of a run: data, disk, batch sizes, and the command."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.config.run import load_config, parse_config
from fragmodel.data.catalogue import Negatives
from fragmodel.data.ingest import ingest, iter_records
from fragmodel.embeddings.extract import embed_sequences
from fragmodel.planning.data import count, given
from fragmodel.planning.memory import USABLE
from fragmodel.planning.plan import CARDS, make_plan, store_bytes
from fragmodel.planning.shapes import decoder_shape, encoder_shape
from fragmodel.planning.text import as_text
from fragmodel.tables import RECORDS, Record, read_rows

ROOT = Path(__file__).parents[3]
LLAMA = {
    "datasets": {"VenusX_Dom": {"train": "absent.json", "test": "absent.json"}},
    "models": {"encoder": "esm2_t36_3B_UR50D", "decoder": "meta-llama/Llama-3.1-8B-Instruct"},
    "training": {
        "precision": "bfloat16",
        "batch_size": 4,
        "gradient_accumulation": 2,
        "gpus": 8,
        "gradient_checkpointing": True,
    },
}


def test_counts_are_those_of_ingestion(tmp_path: Path) -> None:
    run = load_config(ROOT / "config.yaml")
    run = run.model_copy(update={"datasets": {"VenusX_Act": run.datasets["VenusX_Act"]}})
    data = count(run, ROOT)
    negatives = Negatives(run.ingest.negatives.share, run.ingest.negatives.hard)
    rows = []
    for split in ("train", "valid", "test"):
        for task in run.datasets["VenusX_Act"].tasks:
            files = [ROOT / path for path in getattr(run.datasets["VenusX_Act"], split)]
            output = tmp_path / f"{split}-{task}.parquet"
            options = {"data_name": "VenusX_Act", "split": split, "rejects": tmp_path / "rejects.parquet"}
            ingest(files, task=task, output=output, negatives=negatives, **options)
            rows += [(split, row) for row in read_rows(output, RECORDS)]
    assert any(row["answer"] == "none" for _, row in rows)
    sequences = {row["sequence"] for _, row in rows}
    assert data.counted
    assert data.windows == len(sequences)
    assert data.residues == sum(map(len, sequences))
    assert data.longest == max(map(len, sequences))
    for split in data.records:
        assert data.records[split] == sum(of == split for of, _ in rows)
    train = [len(row["sequence"]) for split, row in rows if split == "train"]
    assert data.record_residues == pytest.approx(sum(train) / len(train))


def test_proteins_without_published_splits_are_shared_out() -> None:
    files = {"train": "data/sample/VenusX_Act/train.json", "split": "by_cluster"}
    data = count(parse_config({"datasets": {"VenusX_Act": files}}), ROOT)
    assert data.records["train"] == pytest.approx(8 * data.records["test"], rel=0.1)


def test_the_documented_store_takes_1_2_terabytes() -> None:
    run = parse_config(LLAMA)
    data = given(run, proteins=600_000, mean_length=380, records=None)
    assert store_bytes(run, data, 2560) == 600_000 * 382 * 2560 * 2
    in_loop = parse_config({**LLAMA, "embeddings": {"mode": "in_loop"}})
    assert store_bytes(in_loop, data, 2560) == 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "int8"])
def test_a_real_store_has_the_planned_size(tiny, tmp_path: Path, dtype: str) -> None:
    sequences = ["ACDEFGHIKLMNPQRSTVWY" * number + "M" for number in range(1, 16)]
    embed_sequences(sequences, encoder=tiny.encoder, store=tmp_path / "store", dtype=dtype, device="cpu")
    on_disk = sum(path.stat().st_size for path in (tmp_path / "store").rglob("*.safetensors"))
    run = parse_config({**LLAMA, "embeddings": {"dtype": dtype}})
    lengths = [len(sequence) for sequence in sequences]
    data = given(run, proteins=len(lengths), mean_length=sum(lengths) / len(lengths), records=None)
    assert store_bytes(run, data, 48) == pytest.approx(on_disk, rel=0.02)


def run_plan(folder: Path, *options: str, config: dict | None = None) -> str:
    (folder / "run.yaml").write_text(json.dumps(config or LLAMA))
    result = CliRunner().invoke(app, ["plan", "--config", str(folder / "run.yaml"), *options])
    assert result.exit_code == 0, result.output
    return result.stdout


SIZE = ("--proteins", "600000", "--mean-length", "380")


def test_json_of_the_documented_run(tmp_path: Path) -> None:
    plan = json.loads(run_plan(tmp_path, *SIZE, "--json"))
    assert plan["encoder"]["width"] == 2560
    assert plan["decoder"]["weights"] == 8_030_261_248
    assert plan["data"]["records"] == {"train": 1_920_000, "valid": 240_000, "test": 240_000}
    assert plan["steps"] == 3 * 1_920_000 / (4 * 2 * 8)
    assert plan["gpus"] == 8
    memory = plan["memory"]
    assert memory["with"]["activations"] < memory["without"]["activations"] / 5
    for parts in memory.values():
        assert parts["total"] == sum(value for name, value in parts.items() if name != "total")
        assert parts["frozen"] >= 2 * 8_030_261_248
        assert parts["optimizer"] == 2 * parts["gradients"]
    assert set(map(int, plan["cards"])) == set(CARDS)
    for card, fit in plan["cards"].items():
        assert fit["memory"] <= USABLE * int(card) * 2**30
        assert fit["tokens"] >= plan["longest_tokens"]
    assert plan["cards"]["80"]["config"] == {"training": {"gradient_checkpointing": False}}
    host = plan["host"]
    assert host["processes"] == 8
    models = plan["weights"]["frozen_bytes"] + plan["weights"]["trained_bytes"]
    assert host["process"] == 3 * 10**9 + models, "the program and the weights"
    # 6 operations for each weight of a step that also trains it; frozen ones and recomputed ones do as much.
    least = 3 * 1_920_000 * 6 * 7e9 * 470 / (125e12 * 3600)
    assert least < plan["gpu_hours"]["training"] < 1.6 * least


def test_text_of_the_default_config_fits_a_screen() -> None:
    result = CliRunner().invoke(app, ["plan", "--config", str(ROOT / "config.yaml")])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) < 45 and max(map(len, lines)) <= 110
    for text in ("counted from the raw files", "activations", "optimizer", "80 GB", "embedding store"):
        assert any(text in line for line in lines), text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "datasets.VenusX_Dom.train: .*absent.json: no such file; .*--proteins N --mean-length L"),
        (("--proteins", "5"), "--proteins and --mean-length go together"),
        (("--records", "5"), "--records needs --proteins"),
        (("--proteins", "5", "--mean-length", "2000"), "above ingest.max_sequence_length"),
    ],
)
def test_mistakes_have_a_remedy(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    (tmp_path / "run.yaml").write_text(json.dumps(LLAMA))
    result = CliRunner().invoke(app, ["plan", "--config", str(tmp_path / "run.yaml"), *options])
    assert result.exit_code == 2
    assert re.search(message, result.stderr)
    assert len(result.stderr.splitlines()) == 1


def test_alignment_is_counted_where_it_is_on() -> None:
    """By hand: pairs of the sample, operations from the numbers of weights."""
    files = {split: f"data/sample/VenusX_Motif/{split}.json" for split in ("train", "valid", "test")}
    settings = {"datasets": {"VenusX_Motif": {**files, "tasks": ["referring_desc", "referring_class"]}}}
    stage = {"enabled": True, "max_steps": 10, "batch_size": 8, "chunk_size": 4, "pooling": "mean_std"}
    off, on = parse_config(settings), parse_config({**settings, "alignment": stage})
    data = count(on, ROOT)
    options = {"task": "referring_desc", "data_name": "VenusX_Motif", "split": "train"}
    rows = [row for row in iter_records([ROOT / files["train"]], **options) if isinstance(row, Record)]
    fragments = [end - start for start, end in (row.position_ref for row in rows)]
    assert (data.pairs, data.pair_rows) == (len(rows), pytest.approx(sum(fragments) / len(rows)))
    shapes = (encoder_shape(on.models), decoder_shape(on.models))
    without, plan = (make_plan(run, *shapes, data, tflops=1) for run in (off, on))
    assert (without.gpu_hours["alignment"], without.text_bytes) == (0, 0)
    assert plan.text_bytes == len(rows) * 2 * 128 * 4
    weights = plan.weights
    adapters = 10 * 8 * 4 * 2 * (weights["modality_adapter"] + weights["fragment_adapter"]) * data.pair_rows
    texts = len(rows) * 2 * weights["decoder"] * data.answer_tokens
    assert plan.gpu_hours["alignment"] == pytest.approx((adapters + texts) / 3.6e15)
    assert any("text vectors" in line for line in as_text(plan, on))
    assert not any("text vectors" in line or "alignment" in line for line in as_text(without, off))


@pytest.mark.parametrize("bits", [8, 4])
def test_fewer_bits_shrink_the_frozen_linear_layers_alone(bits: int) -> None:
    """By hand: the seven linear layers of each of the decoder's layers, from float32."""
    files = {"train": "data/sample/VenusX_Motif/train.json", "test": "data/sample/VenusX_Motif/test.json"}
    whole, small = (
        parse_config({"datasets": {"VenusX_Motif": files}, "training": training})
        for training in ({}, {"decoder_bits": bits})
    )
    shape, data = decoder_shape(whole.models), count(whole, ROOT)
    plans = [make_plan(run, encoder_shape(run.models), shape, data, tflops=1) for run in (whole, small)]
    dim, wide = shape.hidden_size, shape.intermediate_size
    keys = dim * shape.num_key_value_heads // shape.num_attention_heads
    rows = shape.num_hidden_layers * (2 * dim + 2 * keys + 2 * wide + dim)
    weights = shape.num_hidden_layers * (2 * dim * dim + 2 * dim * keys + 3 * dim * wide)
    kept = weights + 4 * rows if bits == 8 else weights * 4.127 / 8
    saved = plans[0].weights["frozen_bytes"] - plans[1].weights["frozen_bytes"]
    assert saved == pytest.approx(4 * weights - kept, rel=1e-4)
    assert plans[0].weights["trained_bytes"] == plans[1].weights["trained_bytes"]
