"""The lines that `make demo` ends with."""

import json

import pytest
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.errors import UserError
from fragmodel.report.summary import summarise


@pytest.fixture
def results(tmp_path):
    """Two data sets and a baseline that is missing on one of them."""

    def part(n, model, **baselines):
        return {
            "referring_class": {
                "n": n,
                "model": {"accuracy": {"value": model, "low": 0.0, "high": 1.0}},
                "baselines": {name: {"accuracy": value} for name, value in baselines.items()},
            }
        }

    metrics = {
        "A": part(1, 1.0, majority=0.0, alignment=1.0),
        "B": part(3, 0.2, majority=0.4, random_span=1.0),
    }
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "training").mkdir()
    log = [{"step": 5, "loss": 4.0}, {"step": 10, "loss": 1.5}, {"step": 10, "eval_loss": 2.0}]
    (tmp_path / "training/log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    return tmp_path


def test_means_over_data_sets_and_the_baseline_of_all(results):
    assert summarise(results) == [
        "trained 10 steps on 2 data sets: loss 4.00 to 1.50",
        # (1.0 + 0.2) / 2; majority, the only baseline of both, (0.0 + 0.4) / 2; alignment ties, random span wins
        "referring_class   Accuracy 0.600; best baseline 0.200 (majority); best on 0 of 2 data sets",
        f"report:  {results / 'report.html'}",
        f"metrics: {results / 'metrics.json'}",
    ]


def test_an_unfinished_run_is_named(tmp_path):
    with pytest.raises(UserError, match=r"metrics\.json: no such file"):
        summarise(tmp_path)


def test_the_command_prints_the_lines(results):
    assert CliRunner().invoke(app, ["summary", str(results)]).stdout.splitlines() == summarise(results)
