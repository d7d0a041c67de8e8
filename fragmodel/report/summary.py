"""A finished run in a few lines for the terminal."""

import json
from pathlib import Path

from fragmodel.errors import UserError
from fragmodel.report import labels
from fragmodel.report.metric_tables import Verdict, task_table, tasks_of, verdict


def summarise(results: Path) -> list[str]:
    """A line on training, one for each task, and the paths of the report and the metrics.

    A task's figures are those of the report's first table: means over its data sets.

    Raises :class:`UserError` when the folder holds no finished run.
    """
    metrics_file, log_file = results / "metrics.json", results / "training/log.jsonl"
    for path in (metrics_file, log_file):
        if not path.is_file():
            raise UserError(f"{path}: no such file; is the run finished? (snakemake --cores all)")
    metrics = json.loads(metrics_file.read_text(encoding="utf-8"))
    log = [json.loads(line) for line in log_file.read_text(encoding="utf-8").splitlines()]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    steps = max((entry["step"] for entry in log), default=0)
    trained = f"loss {losses[0]:.2f} to {losses[-1]:.2f}" if losses else "no loss logged"
    lines = [f"trained {steps} steps on {len(metrics)} data sets: {trained}"]
    verdicts = (verdict(task_table(metrics, task)) for task in tasks_of(metrics))
    lines += [_line(each) for each in verdicts if each]
    return [*lines, f"report:  {results / 'report.html'}", f"metrics: {metrics_file}"]


def _line(verdict: Verdict) -> str:
    line = f"{verdict.task:<17} {verdict.metric.label} {verdict.metric.text(verdict.model)}"
    if verdict.baseline is not None:
        name = labels.system(verdict.baseline_name).lower()
        line += f"; best baseline {verdict.metric.text(verdict.baseline)} ({name})"
    return f"{line}; best on {verdict.wins} of {verdict.data_sets} data sets"
