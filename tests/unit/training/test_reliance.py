"""A model that is trained with evidence answers from it: with another question's evidence the gain is gone."""

from pathlib import Path

import pytest
from small_runs import small_run, write_rows
from tiny_models import referring_record

from fragmodel.evaluation.generate import generate
from fragmodel.evidence.block import block
from fragmodel.evidence.find import Line
from fragmodel.tables import PREDICTIONS, read_rows
from fragmodel.training import trainer
from fragmodel.training.setup import prepare

pytestmark = pytest.mark.slow

CLASSES = ["zinc finger", "kinase", "serine protease", "helicase", "globin", "cupin"]
NUMBER = 24


def question(number: int, told: int, *, points: bool) -> dict:
    """A record whose class nothing but a line of its evidence tells; ``told``: whose evidence its question has."""
    row = referring_record(number, answer="=1" if points else CLASSES[number % len(CLASSES)])
    lines = [
        Line(CLASSES[(told + shift) % len(CLASSES)], f"R{shift}", identity, 0.9, 1e-9, [], 1.0)
        for shift, identity in ((0, 0.8), (1, 0.4))
    ]
    *before, asked = row["conversation"]
    return row | {"conversation": [*before, asked | {"content": asked["content"] + block(lines)}]}


def accuracy(model: Path, rows: list[dict], folder: Path, **options) -> float:
    """The part of the answers that name the true class."""
    folder.mkdir()
    records = write_rows(folder / "records.parquet", rows)
    generate(
        model, [records], folder / "out.parquet", store=None, fingerprint=None, max_new_tokens=8, **options
    )
    texts = [row["text"] for row in read_rows(folder / "out.parquet", PREDICTIONS)]
    return sum(text == CLASSES[n % len(CLASSES)] for n, text in enumerate(texts)) / len(texts)


def test_evidence_of_other_questions_destroys_the_gain(tiny, tmp_path):
    write_rows(tmp_path / "records.parquet", [question(n, n, points=True) for n in range(NUMBER)])
    arguments = small_run(tiny, tmp_path, "--max_steps", "80", "--learning_rate", "5e-3")
    assert trainer.train(prepare(arguments), arguments)
    model = tmp_path / "out"

    own = [question(n, n, points=False) for n in range(NUMBER)]
    others = [question(n, n + 1 + n % 5, points=False) for n in range(NUMBER)]
    assert accuracy(model, own, tmp_path / "own") >= 0.9
    assert accuracy(model, others, tmp_path / "others") <= 0.2
    assert accuracy(model, own, tmp_path / "none", without_evidence=True) <= 0.4
