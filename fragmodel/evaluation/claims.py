"""What may be said of a model beside its baselines: the report, its summary and the model card ask here.

A model is *clearly better* on a data set in a task where it is better than every baseline there by the task's primary
metric: the largest p-value of the paired tests against them, corrected by Holm's method for all pairs of data set and
task of the run, lies below :data:`SIGNIFICANCE`. All must hold, so the baselines themselves need no correction (Berger
1982, Technometrics 24:295). Over all data sets of a task it is tested in the same way, corrected for the tasks; a
protein of several data sets is one. With too few proteins nothing is said.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np

from fragmodel.evaluation.metrics.bootstrap import FEWEST_PROTEINS
from fragmodel.evaluation.metrics.paired import SIGNIFICANCE, holm, paired
from fragmodel.metric_names import primary
from fragmodel.vocabulary import ALL_DATA_SETS, OURS


class Standing(StrEnum):
    """The model beside all of its baselines on one data set in one task."""

    BETTER = "the model is clearly better than every baseline"
    OPEN = "the model is not clearly better than every baseline"
    TOO_FEW = "too few proteins for intervals and comparisons"


class Contest(NamedTuple):
    """A pair of data set and task in which there are a model and baselines."""

    data_name: str
    task_type: str


def against(
    baseline: np.ndarray, model: np.ndarray, proteins: Sequence[str], metric: str, seed: int
) -> dict[str, Any]:
    """The entry of one baseline in `metrics.json`, from scores of single records ([records]): model - baseline.

    ``low``, ``high`` and ``p`` are None where :func:`fragmodel.evaluation.metrics.paired.paired` has none.
    """
    found = paired(baseline, model, proteins, seed=seed)
    numbers = {
        name: None if (value := getattr(found, name)) is None else round(value, 6)
        for name in ("difference", "low", "high", "p")
    }
    return {"metric": metric, "records": found.records, "proteins": found.proteins, **numbers}


def by_data_set(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of `metrics.json` about single data sets."""
    return {name: tasks for name, tasks in metrics.items() if name != ALL_DATA_SETS}


def standings(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[Contest, Standing]:
    """The standing of each contest of a run's metrics (`metrics.json`), in their order."""
    return _standings(
        {
            Contest(name, task): summary
            for name, tasks in by_data_set(metrics).items()
            for task, summary in tasks.items()
        }
    )


def together(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Standing]:
    """The standing of each task over all of its data sets, where it has several; Holm's correction is for the tasks."""
    tasks = metrics.get(ALL_DATA_SETS, {})
    found = _standings({Contest(ALL_DATA_SETS, task): summary for task, summary in tasks.items()})
    return {contest.task_type: standing for contest, standing in found.items()}


def _standings(summaries: Mapping[Contest, Mapping[str, Any]]) -> dict[Contest, Standing]:
    found: dict[Contest, Standing] = {}
    tested: dict[Contest, float] = {}
    for contest, summary in summaries.items():
        pairs = [pair for name, pair in summary.get("against", {}).items() if name not in OURS]
        if not pairs:
            continue
        sign = 1 if primary(contest.task_type).higher_is_better else -1
        if any(pair["p"] is None for pair in pairs):
            found[contest] = Standing.TOO_FEW
            continue
        found[contest] = Standing.OPEN
        better = all(sign * pair["difference"] > 0 for pair in pairs)
        tested[contest] = max(pair["p"] for pair in pairs) if better else 1.0
    for contest, p in zip(tested, holm(list(tested.values())), strict=True):
        if p < SIGNIFICANCE:
            found[contest] = Standing.BETTER
    return found


def told_together(standings: Mapping[str, Standing]) -> str:
    """What may be said of tasks over all of their data sets, as a sentence; "" where there is none."""
    if not standings:
        return ""
    better = [task for task, found in standings.items() if found is Standing.BETTER]
    few = list(standings.values()).count(Standing.TOO_FEW)
    names = f" ({', '.join(better)})" if better else ""
    said = (
        f"Over all data sets the model is clearly better than every baseline in {len(better) or 'none'} of "
        f"{len(standings)} task{'s' if len(standings) != 1 else ''}{names}"
    )
    return f"{said}; in {few} there are too few proteins." if few else f"{said}."


def told(standings: Iterable[Standing]) -> str:
    """The standings of several contests as one sentence; "" where there are none."""
    found = list(standings)
    if not found:
        return ""
    pairs = f"{len(found)} pair{'s' if len(found) != 1 else ''} of data set and task"
    few = found.count(Standing.TOO_FEW)
    left = f"the test set has fewer than {FEWEST_PROTEINS} proteins, too few to compare"
    if few == len(found):
        return f"In {'all ' if few > 1 else 'the '}{pairs} {left}: no system is said to be better."
    said = (
        f"{Standing.BETTER.capitalize()} in {found.count(Standing.BETTER) or 'none'} of {pairs} "
        f"(paired permutation tests over proteins, p < {SIGNIFICANCE:g} after Holm's correction)"
    )
    return f"{said}; in {few} {left}." if few else f"{said}."
