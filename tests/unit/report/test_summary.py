"""The lines that `make demo` ends with."""

import json
import os

import pytest
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.errors import UserError
from fragmodel.files import held
from fragmodel.report.summary import summarise
from fragmodel.vocabulary import RUN_LOCK


@pytest.fixture
def results(tmp_path):
    """Two data sets, one of a single protein, and baselines that are missing on one of them."""

    def part(n, model, p, **baselines):
        return {
            "referring_class": {
                "n": n,
                "proteins": n,
                "model": {"accuracy": model},
                "baselines": {name: {"accuracy": value} for name, value in baselines.items()},
                "against": {name: {"difference": model - value, "p": p} for name, value in baselines.items()},
            }
        }

    metrics = {
        "A": part(1, 1.0, None, majority=0.0, alignment=1.0),
        "B": part(30, 0.6, 0.001, majority=0.4, random_span=0.1),
    }
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "training").mkdir()
    log = [{"step": 5, "loss": 4.0}, {"step": 10, "loss": 1.5}, {"step": 10, "eval_loss": 2.0}]
    (tmp_path / "training/log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    return tmp_path


def test_means_over_data_sets_and_records_and_the_baseline_of_all(results):
    assert summarise(results) == [
        "trained 10 steps: loss 4.00 to 1.50, in validation 2.00",
        "scored 31 records of 2 data sets",
        # Majority is the only baseline of both: (0.0 + 0.4) / 2, and (1 · 0.0 + 30 · 0.4) / 31.
        "referring_class   Accuracy 0.800, by record 0.613; best baseline 0.200, by record 0.387 (majority)",
        "The model is clearly better than every baseline in 1 of 2 pairs of data set and task (paired permutation "
        "tests over proteins, p < 0.05 after Holm's correction); in 1 the test set has fewer than 10 proteins, too "
        "few to compare.",
        f"report:  {results / 'report.html'}",
        f"metrics: {results / 'metrics.json'}",
    ]


def test_overfitting_is_said(results):
    with (results / "training/log.jsonl").open("a") as log:
        log.write('{"step": 20, "eval_loss": 2.25}\n')
    assert summarise(results)[:2] == [
        "trained 20 steps: loss 4.00 to 1.50, in validation 2.25",
        "The model is overfitted: the last validation loss is 2.25, the training loss 1.50; it was 2.00 at step 10.",
    ]


def test_an_evaluated_model_was_not_trained_here(results):
    (results / "training/log.jsonl").unlink()
    assert summarise(results)[:2] == [
        "no training: a trained model was evaluated",
        "scored 31 records of 2 data sets",
    ]


def test_an_unfinished_run_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no run; name the folder"):
        summarise(tmp_path)
    for name, text in {
        "ingest/A/train": "$\ndone in 1.0 s",
        "ingest/A/test": "$\ndone in 1.0 s",
        "training": "$\nx",
    }.items():
        (tmp_path / f"logs/{name}.log").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"logs/{name}.log").write_text(text)
    run = tmp_path / "training/checkpoints/0a"
    run.mkdir(parents=True)
    (run / "log.jsonl").write_text('{"step": 5, "epoch": 0.5, "loss": 4.0}\n')
    (run / "settings.json").write_text('{"training": {"max_steps": -1, "epochs": 3}}')
    jobs = ["done: ingest (2 jobs)", f"training: step 5 of 30, loss 4; {run / 'log.jsonl'}"]
    log = tmp_path / "logs/training.log"
    state = "unfinished, and nothing runs: start Snakemake again to go on"
    assert summarise(tmp_path) == [f"{tmp_path}: {state}", *jobs, f"not finished: {log}", "    $", "    x"]
    with held(tmp_path / RUN_LOCK, "the run"):
        first, *more = summarise(tmp_path)
    assert f"at work: process {os.getpid()} on " in first and more[2] == f"running: {log}"


def test_the_command_prints_the_lines(results):
    assert CliRunner().invoke(app, ["summary", str(results)]).stdout.splitlines() == summarise(results)


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"\xff", b'{"A": 1}', b'{"A": {"function": {"model": {"rouge_l": "x"}}}}']
)
def test_metrics_that_are_none_are_told_in_a_line(results, content):
    (results / "metrics.json").write_bytes(content)
    told = CliRunner().invoke(app, ["summary", str(results)])
    assert told.exit_code == 2 and told.output.count("\n") == 1 and "metrics.json" in told.output
