"""A run in a few lines for the terminal."""

from pathlib import Path

from fragmodel.errors import UserError
from fragmodel.report import labels
from fragmodel.report.metric_tables import Means, Verdict, claim, read_tables, verdict
from fragmodel.report.run_files import Log, read_log
from fragmodel.report.unfinished import unfinished


def summarise(results: Path) -> list[str]:
    """A line on training, one on what was scored, one for each task, what may be claimed, and the paths of report and
    metrics.

    A task's figures are those of the report's first table: means over its data sets and over its records. Without a
    training log a trained model was evaluated.

    Of an unfinished run: what is done, what runs, and where its log is (:func:`unfinished`). Raises :class:`UserError`
    when the folder holds no run.
    """
    metrics_file, log_file = results / "metrics.json", results / "training/log.jsonl"
    if not (results / "logs").is_dir() and not metrics_file.is_file():
        raise UserError(f"{results}: holds no run; name the folder `results` of its config")
    if not metrics_file.is_file():
        return unfinished(results)
    metrics, tables = read_tables(metrics_file)
    verdicts = [found for table in tables if (found := verdict(table))]
    said = claim(verdicts)
    return [
        *(
            _training(read_log(log_file))
            if log_file.is_file()
            else ["no training: a trained model was evaluated"]
        ),
        f"scored {sum(found.scored for found in verdicts)} records of {len(metrics)} data sets",
        *map(_line, verdicts),
        *([said] if said else []),
        f"report:  {results / 'report.html'}",
        f"metrics: {metrics_file}",
    ]


def _training(log: Log) -> list[str]:
    losses = log.losses
    if losses is None:
        return [f"trained {log.steps} steps: no loss logged"]
    line = f"trained {log.steps} steps: loss {losses.first:.2f} to {losses.last:.2f}"
    if losses.valid is not None:
        line += f", in validation {losses.valid:.2f}"
    return [line, *filter(None, [losses.warning()])]


def _line(verdict: Verdict) -> str:
    line = f"{verdict.task:<17} {verdict.metric.label} {_means(verdict, verdict.model)}"
    if verdict.without_evidence is not None:
        line += f"; without evidence {_means(verdict, verdict.without_evidence)}"
    if verdict.baseline is not None:
        name = labels.system(verdict.baseline_name).lower()
        line += f"; best baseline {_means(verdict, verdict.baseline)} ({name})"
    return line


def _means(verdict: Verdict, found: Means) -> str:
    over_sets, over_records = verdict.metric.text(found.data_sets), verdict.metric.text(found.records)
    return f"{over_sets}, by record {over_records}" if verdict.data_sets > 1 else over_sets
