"""The page of an experiment: its runs' files in; one self-contained HTML page, figures and tables out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fragmodel.digests import read_json
from fragmodel.evaluation.subsets import read_identities
from fragmodel.evaluation.variants import differences, read_runs
from fragmodel.files import write_text
from fragmodel.report import run_files, style
from fragmodel.report.page import environment, write_csv
from fragmodel.report.sections import variants


class RunFiles(NamedTuple):
    """One run of an experiment and the files of it that the page reads."""

    variant: str
    seed: int
    page: Path  # of the run
    metrics: Path
    scored: Path
    leakage: Path
    training_log: Path | None  # None where a trained model was evaluated
    gpus: int  # of the training, on all nodes


def make_experiment_page(
    runs: Sequence[RunFiles],
    *,
    reference: str,
    changes: Mapping[str, Mapping[str, Any]],
    threshold: float,
    title: str,
    output: Path,
    figures_dir: Path,
    tables_dir: Path,
) -> None:
    """Write the page, and its figures (SVG, PNG) and tables (CSV); the same bytes for the same inputs.

    Args:
        runs: all runs, with the same seeds for each variant.
        reference: the variant that the others are compared with.
        changes: by variant the settings in which it differs from the base, by key with dots.
        threshold: test records below this identity to training are clean.
        title: heading of the page.
        output: the HTML file; it needs nothing else to be read.
        figures_dir, tables_dir: folders of the figures and of the tables.

    Raises:
        UserError: a file is missing or does not keep its contract.
    """
    by_variant: dict[str, list[RunFiles]] = {}
    for run in runs:
        by_variant.setdefault(run.variant, []).append(run)
    seeds = [run.seed for run in by_variant[reference]]
    metrics = {name: [read_json(run.metrics) for run in own] for name, own in by_variant.items()}
    logs = {name: [run_files.read_log(run.training_log) for run in own] for name, own in by_variant.items()}
    costs = {
        name: [variants.cost_of(log, run.gpus) for run, log in zip(own, logs[name], strict=True)]
        for name, own in by_variant.items()
    }
    scored = read_runs({name: [run.scored for run in own] for name, own in by_variant.items()})
    found = differences(scored, reference, read_identities(by_variant[reference][0].leakage), threshold)
    gallery = style.Gallery(Path(figures_dir))
    with style.drawing():
        sections = {
            "scores": variants.scores_section(metrics, seeds),
            "differences": variants.differences_section(gallery, found, reference, threshold),
            "curves": variants.curves_section(gallery, logs),
            "cost": variants.cost_section(costs, found, "gpu" if any(run.gpus for run in runs) else "job"),
        }
    for section in sections.values():
        for name, (header, rows) in section.get("csv", {}).items() if isinstance(section, dict) else ():
            write_csv(Path(tables_dir) / f"{name}.csv", header, rows)
    links = {
        name: [(run.seed, run.page.relative_to(Path(output).parent)) for run in own]
        for name, own in by_variant.items()
    }
    template = environment(str).get_template("experiment.html")
    page = template.render(
        title=title, reference=reference, changes=changes, seeds=seeds, links=links, **sections
    )
    write_text(output, page)
