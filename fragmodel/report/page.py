"""The report: files of a run in; one self-contained HTML page, figures and tables out."""

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fragmodel.digests import read_json, write_noted
from fragmodel.evaluation.metrics.bootstrap import FEWEST_PROTEINS
from fragmodel.files import atomic_path
from fragmodel.metric_names import GIVEN_PRESENCE
from fragmodel.report import labels, links, metric_tables, run_files, style
from fragmodel.report.benchmarks import read_benchmarks
from fragmodel.report.examples import make_examples
from fragmodel.report.sections.alignment import alignment_section
from fragmodel.report.sections.data import data_section
from fragmodel.report.sections.run import run_section
from fragmodel.report.sections.summary import summary_section
from fragmodel.report.sections.task import task_section
from fragmodel.report.sections.training import training_section
from fragmodel.vocabulary import GROUNDING_TASKS, MODEL, STAND_IN


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
    benchmarks: Path | None = None,
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
            ``parameters``), ``versions``, ``trainable_parameters``, ``date``, ``hardware``, ``commit``.
        alignment: log and metrics of the alignment stage, where there was one.
        benchmarks: folder of the jobs' benchmarks, for time and memory by stage.

    Raises:
        UserError: a file is missing or does not keep its contract.
    """
    scores, tables = metric_tables.read_tables(metrics)
    splits = run_files.read_splits(records, rejects)
    rejected = run_files.read_rejects(rejects)
    log = run_files.read_log(training_log)
    answers = run_files.read_scored(scored)
    families = run_files.read_families(records)
    truths = run_files.read_truths(records, answers)
    audit = read_json(leakage)
    aligned = (run_files.read_lines(alignment[0]), read_json(alignment[1])) if alignment else None
    gallery = style.Gallery(Path(figures_dir))
    with style.drawing():
        sections = {
            "summary": summary_section(tables, splits, log, answers, run),
            "tasks": [
                task_section(gallery, table, scores, answers, truths, families.__getitem__)
                for table in tables
            ],
            "examples": make_examples(answers, records, [table.task for table in tables], examples),
            "alignment": alignment_section(gallery, *aligned) if aligned else {},
            "training": training_section(gallery, log),
            "data": data_section(gallery, splits, rejected, audit),
            "run": run_section(run, read_benchmarks(benchmarks)),
        }
    for section in (*sections["tasks"], sections["alignment"], sections["data"], sections["run"]):
        for name, (header, rows) in section.get("csv", {}).items():
            write_csv(Path(tables_dir) / f"{name}.csv", header, rows)
    template = environment(families.__getitem__).get_template("report.html")
    write_noted(output, template.render(title=title, evaluated=training_log is None, **sections))


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV (UTF-8, ``\\n``); ``None`` is an empty cell."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def environment(family_of: Callable[[str], str]) -> Environment:
    """The templates; ``family_of`` gives the family of a data set by its name."""
    # All text from data is escaped, whatever the template's name.
    loader = PackageLoader("fragmodel.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"labels": labels, "links": links}
    environment.globals |= {"MODEL": MODEL, "STAND_IN": STAND_IN, "GROUNDING_TASKS": GROUNDING_TASKS}
    environment.globals["GIVEN_PRESENCE"] = GIVEN_PRESENCE
    environment.globals["FEWEST_PROTEINS"] = FEWEST_PROTEINS
    environment.filters["family"] = family_of
    # Style and script are our own files, and no markup of theirs is to be escaped.
    environment.globals["own_file"] = lambda name: Markup(loader.get_source(environment, name)[0])
    return environment
