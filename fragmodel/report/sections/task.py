"""What the page shows of one task: comparison with baselines, answers, places, classes and parts of the test set."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fragmodel.metric_names import primary
from fragmodel.report import labels, metric_tables, plots
from fragmodel.report.examples import record_scores
from fragmodel.report.metric_tables import TaskTable, Verdict
from fragmodel.report.run_files import Truth, of_any_class
from fragmodel.report.sections.confidence import confidence_section
from fragmodel.report.sections.evidence import evidence_figure
from fragmodel.report.sections.families import families_section
from fragmodel.report.style import Gallery, Picture
from fragmodel.vocabulary import DESCRIBING_TASKS, GROUNDING_TASKS, MODEL, family_of

_MOST_CLASSES = 12
Truths = Mapping[tuple[str, str, str], Truth]


def task_section(
    gallery: Gallery,
    table: TaskTable,
    metrics: metric_tables.Metrics,
    scored: pa.Table,
    truths: Truths,
    family_of: Callable[[str], str] = family_of,
) -> dict[str, Any]:
    """Figures and tables of one task; ``family_of`` tells a data set's family."""
    task = table.task
    name = labels.task(task)
    own = scored.filter(pc.and_(pc.equal(scored["task_type"], task), pc.equal(scored["system"], MODEL)))
    found = metric_tables.verdict(table)
    overview: list[Picture] = []
    if found:
        key = found.metric.key
        groups = {
            d: {r.system: r.cells[key] for r in rows if key in r.cells} for d, rows in table.groups().items()
        }
        values = "; ".join(
            f"{d}: " + ", ".join(f"{labels.system(s)} {found.metric.text(c.value)}" for s, c in cells.items())
            for d, cells in groups.items()
        )
        few = {row.data_name: "too few proteins" for row in table.rows if row.too_few}
        figure = plots.comparison(found.metric, groups, few)
        drawn = any(cells[MODEL].low is not None for cells in groups.values() if MODEL in cells)
        title = f"{found.metric.marked_label}{' with 95 % intervals of the model' if drawn else ''}"
        overview.append(
            gallery.add(f"comparison-{task}", title, f"{name}, {found.metric.label}. {values}.", figure)
        )
    shares = _status_shares(own)
    if task in DESCRIBING_TASKS and all(parts["well-formed"] == 1 for parts in shares.values()):
        shares = {}  # any text is well-formed: only empty and missing answers are worth a figure
    if shares:
        text = "; ".join(f"{d} {parts.get('well-formed', 0):.0%}" for d, parts in shares.items())
        alt = f"{name}: well-formed answers of the model: {text}."
        overview.append(
            gallery.add(f"status-{task}", "How answers could be read", alt, plots.statuses(shares))
        )
    classes = metric_tables.per_class(metrics, task)
    subsets = metric_tables.subset_table(metrics, task)
    families = families_section(scored, task, family_of)
    return {
        "task": task,
        "name": name,
        "table": table,
        "verdict": found,
        "overview": [*overview, *evidence_figure(gallery, found, subsets)],
        "places": _place_figures(gallery, task, found, scored, own, truths)
        if task in GROUNDING_TASKS
        else [],
        "statuses": {d: Counter(_of(own, d)["parse_status"].to_pylist()) for d in shares},
        "classes": [_per_class_figure(gallery, task, d, rows) for d, rows in classes.items()],
        "subsets": _pivot(subsets, task),
        "families": families,
        "confidence": confidence_section(gallery, scored, metrics, task),
        "csv": {
            f"metrics-{task}": metric_tables.csv_rows(table),
            **families.get("csv", {}),
            **_subset_csv(subsets, task),
            **_per_class_csv(classes, task),
        },
    }


def _pivot(rows: Sequence[Mapping[str, Any]], task: str) -> dict[str, Any]:
    """Parts of the test set by name, each with its row by data set; empty without rows."""
    if not rows:
        return {}
    parts: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        parts.setdefault(row["part"], {})[row["data_name"]] = row
    # Equal beginnings together, within them by number: 2–20 before 21–100.
    ordered = sorted(
        parts,
        key=lambda name: [float(t) if t[:1].isdigit() else t for t in re.findall(r"[\d.]+|[^\d]+", name)],
    )
    return {
        "metric": primary(task),
        "names": sorted({row["data_name"] for row in rows}),
        "rows": {name: parts[name] for name in ordered},
    }


def _of(table: pa.Table, data_name: str) -> pa.Table:
    return table.filter(pc.equal(table["data_name"], data_name))


def _status_shares(own: pa.Table) -> dict[str, dict[str, float]]:
    """Share of each group of parse statuses by data set."""
    shares = {}
    for data_name in sorted(own["data_name"].unique().to_pylist()):
        groups = Counter(
            labels.status_group(status) for status in _of(own, data_name)["parse_status"].to_pylist()
        )
        shares[data_name] = {name: groups[name] / groups.total() for name in labels.STATUS_GROUPS}
    return shares


def _place_figures(
    gallery: Gallery, task: str, verdict: Verdict | None, scored: pa.Table, own: pa.Table, truths: Truths
) -> list[tuple[str, list[Picture]]]:
    """IoU histogram and length calibration of each data set."""
    best = verdict.baseline_name if verdict else None
    model, other = (
        _values_by_data_set(scored, task, system) if system else {} for system in (MODEL, best)
    )  # fmt: skip
    found = []
    for data_name, values in model.items():
        alt = (
            f"IoU of {len(values)} records of {data_name}: mean {values.mean():.2f}, "
            f"{(values >= 0.5).mean():.0%} at 0.5 or above."
        )
        figure = plots.iou_histogram(values, other.get(data_name), labels.system(best or ""))
        pictures = [gallery.add(f"iou-{task}-{data_name}", "Overlap with the reference", alt, figure)]
        true, predicted = _residue_counts(_of(own, data_name), task, truths)
        if len(true):
            ratio = np.median(predicted / true)
            alt = (
                f"Predicted against true residues of {len(true)} records of {data_name} with a readable answer; "
                f"the median ratio is {ratio:.2f}."
            )
            figure = plots.length_calibration(true, predicted)
            title = "Predicted and true length"
            pictures.append(gallery.add(f"calibration-{task}-{data_name}", title, alt, figure))
        found.append((data_name, pictures))
    return found


def _values_by_data_set(scored: pa.Table, task: str, system: str) -> dict[str, np.ndarray]:
    values: dict[str, list[float]] = {}
    for item in record_scores(scored, task, system):
        values.setdefault(item.data_name, []).append(item.score)
    return {name: np.array(values[name]) for name in sorted(values)}


def _residue_counts(own: pa.Table, task: str, truths: Truths) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted residues of the records that have both, without those that the scores pass over."""
    columns = own.select(["data_name", "record_id", "predicted_spans"]).to_pylist()
    pairs = [
        truth.residues(of_any_class(row["predicted_spans"]))
        for row in columns
        if (truth := truths.get((row["data_name"], task, row["record_id"])))
    ]
    return tuple(np.array([pair for pair in pairs if all(pair)], dtype=np.int64).reshape(-1, 2).T)


def _per_class_figure(
    gallery: Gallery, task: str, data_name: str, rows: Sequence[Mapping[str, Any]]
) -> Picture:
    shown = [
        (row["class"], _f1(row), f"{_f1(row):.2f} · n={row.get('support', '?')}")
        for row in rows[:_MOST_CLASSES]
    ]
    some = (
        f"the {len(shown)} most frequent of {len(rows)} classes"
        if len(rows) > len(shown)
        else f"{len(rows)} classes"
    )
    alt = (
        f"F1 of {some} of {data_name}: " + ", ".join(f"{name} {value:.2f}" for name, value, _ in shown) + "."
    )
    title = f"{data_name}: {some}"
    return gallery.add(f"classes-{task}-{data_name}", title, labels.printable(alt), plots.bars(shown))


def _f1(row: Mapping[str, Any]) -> float:
    return float(row.get("f1", row.get("f1_50", 0.0)))


def _subset_csv(rows: Sequence[Mapping[str, Any]], task: str) -> dict[str, Any]:
    if not rows:
        return {}
    header = [
        "data_set",
        "part",
        "n",
        "metric",
        "model",
        "low",
        "high",
        "best_baseline",
        "best_baseline_value",
        "given_presence",
    ]
    metric = primary(task)
    lines = [
        [
            row["data_name"],
            row["part"],
            row["n"],
            metric.key,
            own.value,
            own.low,
            own.high,
            row["baseline_name"],
            row["baseline"],
            int(metric.given_presence),
        ]
        for row in rows
        if (own := row["model"])
    ]
    return {f"parts-{task}": (header, lines)}


def _per_class_csv(classes: Mapping[str, Sequence[Mapping[str, Any]]], task: str) -> dict[str, Any]:
    if not classes:
        return {}
    names = list(dict.fromkeys(name for rows in classes.values() for row in rows for name in row))
    lines = [
        [data_name, *(row.get(name) for name in names)] for data_name, rows in classes.items() for row in rows
    ]
    return {f"classes-{task}": (["data_set", *names], lines)}
