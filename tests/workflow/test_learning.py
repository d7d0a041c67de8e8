"""Learning is real: the answers depend on where the fragment is."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fragmodel.embeddings.manifest import fingerprint_of
from fragmodel.evaluation.generate import generate
from fragmodel.evidence.block import resolved
from fragmodel.tables import RECORDS, read_rows, write_table

pytestmark = pytest.mark.slow


def answers(workflow, records: Path, output: Path) -> list[tuple[dict, str]]:
    """Records with the trained model's answers."""
    manifests = sorted((workflow.results / "embeddings").glob("*.parquet"))
    generate(
        workflow.results / "training/model",
        [records],
        output,
        store=workflow.results / "store",
        fingerprint=fingerprint_of(manifests),
        max_new_tokens=48,
    )
    rows = read_rows(records, RECORDS)
    texts = pq.read_table(output).to_pylist()
    assert [row["record_id"] for row in rows] == [text["record_id"] for text in texts]
    return [(row, text["text"]) for row, text in zip(rows, texts, strict=True)]


def exact(pairs: list[tuple[dict, str]]) -> float:
    """The part of the answers that are right; one may point to a line of evidence that its question has."""
    return sum(
        text == resolved(row["answer"], row["conversation"][-1]["content"]) for row, text in pairs
    ) / len(pairs)


@pytest.fixture(scope="module")
def in_workflow_folder(finished, monkeypatch_module):
    # The model folder names encoder and decoder as the run did: relative to where Snakemake ran.
    monkeypatch_module.chdir(finished.folder)
    return finished


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_training_records_are_learnt(in_workflow_folder, tmp_path):
    paths = sorted((in_workflow_folder.results / "questions").glob("*/*/train.parquet"))
    pairs = [
        pair
        for number, path in enumerate(paths)
        for pair in answers(in_workflow_folder, path, tmp_path / f"{number}.parquet")
    ]
    assert {row["task_type"] for row, _ in pairs} == {"referring_class", "grounding_single"}
    assert exact(pairs) >= 0.9


def test_shuffled_positions_destroy_it(in_workflow_folder, tmp_path):
    """Fragments of one protein swap their places: the right answer is then that of the place."""
    swapped, as_asked, as_placed = [], [], []
    for path in sorted((in_workflow_folder.results / "questions").glob("*/referring_class/train.parquet")):
        rows = read_rows(path, RECORDS)
        by_protein: dict[str, list[dict]] = {}
        for row in rows:
            by_protein.setdefault(row["sequence"], []).append(row)
        for group in by_protein.values():
            for row, other in zip(group, group[1:] + group[:1], strict=True):
                if row["answer"] != other["answer"]:
                    swapped.append(row | {"position_ref": other["position_ref"]})
                    as_asked.append(row["answer"])
                    as_placed.append(other["answer"])
    assert len(swapped) >= 6
    records = tmp_path / "swapped.parquet"
    write_table(records, RECORDS, swapped)
    texts = [text for _, text in answers(in_workflow_folder, records, tmp_path / "out.parquet")]
    matches_asked = sum(t == a for t, a in zip(texts, as_asked, strict=True)) / len(texts)
    matches_placed = sum(t == a for t, a in zip(texts, as_placed, strict=True)) / len(texts)
    assert matches_asked <= 0.2
    assert matches_placed >= 0.6  # the same prompt, but the answer follows the place
