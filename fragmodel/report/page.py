"""The report: files of a run in; one self-contained HTML page, figures and tables out."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fragmodel.files import atomic_path, write_text
from fragmodel.report import labels, metric_tables, run_files
from fragmodel.report.examples import make_examples
from fragmodel.report.sections import run as sections
from fragmodel.report.sections import task as outcomes
from fragmodel.report.sections.alignment import alignment_section
from fragmodel.report.style import Gallery, style
from fragmodel.vocabulary import family_of


def make_report(
    *,
    records: Sequence[Path],
    rejects: Sequence[Path],
    training_log: Path | None,
    metrics: Path,
    scored: Sequence[Path],
    leakage: Path,
    output: Path,
    figures_dir: Path,
    tables_dir: Path,
    title: str,
    examples: int,
    run: dict[str, Any],
    alignment: tuple[Path, Path] | None = None,
) -> None:
    """Write the page, and its figures (SVG, PNG) and tables (CSV); the same bytes for the same inputs.

    Args:
        records: RECORDS tables of all splits, at ``…/{data_name}/{task}/{split}.parquet``.
        rejects: REJECTS tables at the like paths.
        training_log: JSON Lines of the training; ``None`` where a trained model was evaluated.
        metrics: metrics of all data sets (``metrics.json``).
        scored: SCORED tables.
        leakage: the audit's JSON file.
        output: the HTML file; it needs nothing else to be read.
        figures_dir: folder of the figures' files.
        tables_dir: folder of the tables.
        title: heading of the page.
        examples: records for each task in the example browser, half of them the worst.
        run: what was run: ``config``, ``models`` (``encoder`` and ``decoder`` with ``name``, ``stand_in``,
            ``parameters``), ``versions``, ``trainable_parameters``.
        alignment: log and metrics of the alignment stage, where there was one.

    Raises:
        UserError: a file is missing or does not keep its contract.
    """
    scores = run_files.read_json(metrics)
    splits = run_files.read_splits(records, rejects)
    log = run_files.read_log(training_log)
    answers = run_files.read_scored(scored)
    truths = run_files.read_truths(records, answers)
    tasks = metric_tables.tasks_of(scores)
    tables = {task: metric_tables.task_table(scores, task) for task in tasks}
    gallery = Gallery(Path(figures_dir))
    with style():
        data = sections.data_section(gallery, splits, run_files.read_rejects(rejects))
        leaks = sections.leakage_section(gallery, run_files.read_json(leakage))
        training = sections.training_section(gallery, log)
        aligned = alignment_section(gallery, *alignment) if alignment else None
        outcome = [outcomes.task_section(gallery, tables[task], scores, answers, truths) for task in tasks]
    summary = sections.summary_section(tables.values(), splits, log, answers, run)
    for name, (header, rows) in {
        **data["csv"],
        **leaks["csv"],
        **(aligned["csv"] if aligned else {}),
        **{name: table for item in outcome for name, table in item["csv"].items()},
    }.items():
        write_csv(Path(tables_dir) / f"{name}.csv", header, rows)
    page = _environment().get_template("report.html").render(
        title=title, summary=summary, data=data, leakage=leaks, training=training, outcome=outcome, run=run,
        alignment=aligned,
        examples=make_examples(answers, records, tasks, examples), settings=list(flatten(run.get("config", {}))),
        evaluated=training_log is None,
    )  # fmt: skip
    write_text(output, page)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV (UTF-8, ``\\n``); ``None`` is an empty cell."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def flatten(values: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Nested settings as (key path, text)."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _environment() -> Environment:
    # All text from data is escaped, whatever the template's name.
    loader = PackageLoader("fragmodel.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["labels"] = labels
    environment.filters["family"] = family_of
    # Style and script are our own files, and no markup of theirs is to be escaped.
    environment.globals["own_file"] = lambda name: Markup(loader.get_source(environment, name)[0])
    return environment
