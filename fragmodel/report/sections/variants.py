"""The sections of an experiment's page: scores, differences, curves and costs of its variants."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from fragmodel.evaluation.variants import ALL, CLEAN, Difference, Finding
from fragmodel.metric_names import HEADLINE, Metric, metric, record_metric
from fragmodel.report import labels, variant_plots
from fragmodel.report.metric_tables import Cell
from fragmodel.report.run_files import Log
from fragmodel.report.style import Gallery
from fragmodel.vocabulary import MODEL, TASK_TYPES


class Spread(NamedTuple):
    """Mean over seeds, and their standard deviation; None with one seed."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value."""
        return cls(fmean(values), stdev(values) if len(values) > 1 else None)

    def text(self, own: Metric) -> str:
        """With the metric's digits: ``0.612 ± 0.010``."""
        return own.text(self.mean) + ("" if self.deviation is None else f" ± {own.text(self.deviation)}")


class Cost(NamedTuple):
    """What the training of one run took, in all its jobs; None where it was not measured."""

    hours: float | None  # of one GPU; of the jobs without one
    memory: float | None  # GB of the host, at the peak
    speed: float | None  # useful tokens a second


def scores_section(
    metrics: Mapping[str, Sequence[Mapping[str, Any]]], seeds: Sequence[int]
) -> dict[str, Any]:
    """Headline metrics by task and variant; ``metrics`` holds the `metrics.json` of each variant's runs."""
    tasks, rows = {}, []
    for task in TASK_TYPES:
        values = {
            variant: {key: found for key in HEADLINE[task] if (found := _means(runs, task, key))}
            for variant, runs in metrics.items()
        }
        if not any(values.values()):
            continue
        shown = [metric(key) for key in HEADLINE[task] if any(key in found for found in values.values())]
        tasks[task] = {
            "metrics": shown,
            "rows": {
                variant: {key: Spread.of(each) for key, each in found.items()}
                for variant, found in values.items()
            },
        }
        rows += [
            (task, own.key, variant, seed, value, int(own.given_presence))
            for own in shown
            for variant, found in values.items()
            for seed, value in zip(seeds, found.get(own.key, ()), strict=False)
        ]
    header = ("task", "metric", "variant", "seed", "mean_over_data_sets", "given_presence")
    marked = any(own.given_presence for table in tasks.values() for own in table["metrics"])
    return {"tasks": tasks, "marked": marked, "csv": {"scores": (header, rows)}}


def _means(runs: Sequence[Mapping[str, Any]], task: str, key: str) -> list[float]:
    """Mean over data sets in each run; nothing where a run has no value."""
    found = []
    for metrics in runs:
        values = [
            Cell.read(tasks[task][MODEL][key]).value
            for tasks in metrics.values()
            if key in tasks.get(task, {}).get(MODEL, {})
        ]
        if not values:
            return []
        found.append(fmean(values))
    return found


def differences_section(
    gallery: Gallery, differences: Sequence[Difference], reference: str, threshold: float
) -> dict[str, Any]:
    """The forest plot, its table and what it says in a sentence for each variant."""
    clean = {(each.variant, each.task): each for each in differences if each.part == CLEAN}
    whole = [each for each in differences if each.part == ALL]
    rows = [
        {"whole": each, "clean": clean.get((each.variant, each.task)), "holds": _holds(each, clean)}
        for each in whole
    ]
    picture = None
    if whole:
        alt = "; ".join(
            f"{each.variant} in {labels.task(each.task)}: {labels.signed(each.found.difference)}, {each.finding}"
            for each in whole
        )
        title = f"Difference to {reference} by task"
        picture = gallery.add("differences", title, alt + ".", variant_plots.forest(rows, reference))
    header = (
        *("variant", "reference", "task", "metric", "part", "records", "proteins", "reference_mean"),
        *("variant_mean", "difference", "low", "high", "p", "p_holm", "finding", "differences_by_seed"),
    )
    table = [
        (
            *(each.variant, reference, each.task, record_metric(each.task).key, each.part),
            *each.found,
            each.p_holm,
            each.finding.value,
            " ".join(f"{value:.6g}" for value in each.seeds),
        )
        for each in differences
    ]
    return {
        "picture": picture,
        "rows": rows,
        "sentences": [
            _sentence(variant, rows, reference) for variant in dict.fromkeys(d.variant for d in whole)
        ],
        "threshold": threshold,
        "csv": {"differences": (header, table)},
    }


def _holds(whole: Difference, clean: Mapping[tuple[str, str], Difference]) -> str:
    """Whether a clear difference is clear on the clean records alone."""
    if whole.finding in (Finding.OPEN, Finding.TOO_FEW):
        return "–"
    other = clean.get((whole.variant, whole.task))
    if other is None:
        return "no clean record"
    if other.finding is Finding.TOO_FEW:
        return Finding.TOO_FEW.value
    return "yes" if other.finding is whole.finding else "no"


def _sentence(variant: str, rows: Sequence[Mapping[str, Any]], reference: str) -> str:
    """What may be said of a variant, all tasks together."""
    parts = []
    for finding in Finding:
        told = [
            labels.task(row["whole"].task) + (" (also on the clean part)" if row["holds"] == "yes" else "")
            for row in rows
            if row["whole"].variant == variant and row["whole"].finding is finding
        ]
        if told:
            parts.append(f"{finding} in: {', '.join(told)}")
    return f"{variant} beside {reference} – {'; '.join(parts)}."


def curves_section(gallery: Gallery, logs: Mapping[str, Sequence[Log]]) -> list[Any]:
    """Losses of all runs by step, in training and in validation."""
    pictures = []
    for key, title, attribute in (
        ("loss", "Loss in training", "train"),
        ("eval_loss", "Loss in validation", "valid"),
        ("score", "Score of answers in validation", "score"),
    ):
        curves = {
            variant: [[(entry["step"], entry[key]) for entry in getattr(log, attribute)] for log in runs]
            for variant, runs in logs.items()
        }
        curves = {variant: [run for run in runs if run] for variant, runs in curves.items()}
        if not any(curves.values()):
            continue
        ends = [
            f"{variant} {fmean(run[-1][1] for run in runs):.3g}" for variant, runs in curves.items() if runs
        ]
        alt = f"{title} by optimiser step, a line for each run; mean at the end: {', '.join(ends)}."
        pictures.append(gallery.add(f"curves-{key}", title, alt, variant_plots.curves(curves, title.lower())))
    return pictures


def cost_section(
    costs: Mapping[str, Sequence[Cost]], differences: Sequence[Difference], unit: str
) -> dict[str, Any]:
    """What a run of each variant takes, beside what it gains on all test records (None for the reference)."""
    tasks = list(dict.fromkeys(each.task for each in differences))
    gains = {(each.variant, each.task): each.found.difference for each in differences if each.part == ALL}
    rows = [
        (variant, Cost(*map(_mean, zip(*runs, strict=True))), [gains.get((variant, task)) for task in tasks])
        for variant, runs in costs.items()
    ]
    header = ["variant", f"{unit}_hours", "peak_memory_gb", "tokens_per_second"]
    header += [f"difference_{task}" for task in tasks]
    table = [(variant, *cost, *gained) for variant, cost, gained in rows]
    return {"rows": rows, "tasks": tasks, "unit": unit, "csv": {"costs": (header, table)}}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def cost_of(log: Log, gpus: int) -> Cost:
    """The cost of a run's training on so many GPUs, from its log."""
    speeds = [entry["tokens_per_second"] for entry in log.train if "tokens_per_second" in entry]
    hours = memory = None
    if log.spent:
        hours = log.spent["seconds"] / 3600 * max(gpus, 1)
        memory = log.spent["peak_memory_mb"] / 1000
    return Cost(hours, memory, fmean(speeds) if speeds else None)
