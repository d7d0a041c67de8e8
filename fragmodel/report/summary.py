"""A finished run in a few lines for the terminal."""

import json
from pathlib import Path
from typing import Any

from fragmodel.data.records import TASK_TYPES
from fragmodel.errors import UserError
from fragmodel.report import labels


def summarise(results: Path) -> list[str]:
    """A line on training, one for each task, and the paths of the report and the metrics.

    A task's figures are means over its data sets, weighted by their test records; the best baseline is the
    one with the best such mean among those that answered on every data set.

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
    for task in TASK_TYPES:
        parts = [tasks[task] for tasks in metrics.values() if task in tasks]
        if parts:
            lines.append(_task_line(task, parts))
    return [*lines, f"report:  {results / 'report.html'}", f"metrics: {metrics_file}"]


def _task_line(task: str, parts: list[dict[str, Any]]) -> str:
    metric = labels.primary(task)
    records = sum(part["n"] for part in parts)
    model = _mean(parts, [part["model"] for part in parts], metric.key)
    shared = set.intersection(*(set(part["baselines"]) for part in parts))
    baselines = {
        name: _mean(parts, [part["baselines"][name] for part in parts], metric.key) for name in sorted(shared)
    }
    known = {name: value for name, value in baselines.items() if value is not None}
    line = f"{task:<17} {metric.label} {_text(metric, model)} of the model on {records} test records"
    if known:
        best = (max if metric.higher_is_better else min)(known, key=known.__getitem__)
        line += f"; best baseline {labels.system(best).lower()} {_text(metric, known[best])}"
    return line


def _mean(parts: list[dict[str, Any]], systems: list[dict[str, Any]], key: str) -> float | None:
    """Mean weighted by test records; ``None`` where a data set has no value."""
    values = [system.get(key) for system in systems]
    values = [value["value"] if isinstance(value, dict) else value for value in values]
    weights = [part["n"] for part in parts]
    if None in values or not sum(weights):
        return None
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)


def _text(metric: labels.Metric, value: float | None) -> str:
    return "unknown" if value is None else metric.text(value)
