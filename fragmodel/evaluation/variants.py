"""Variants of a run beside one another, each trained with several seeds: which differences are more than chance?

A variant's score of a record is the mean over its seeds. Two variants are compared as two systems are, by paired tests
over proteins (:mod:`fragmodel.evaluation.metrics.paired`); Holm's correction counts the tests of all variants and
tasks. What chance does in training is told by the seeds: a difference is clear only where each seed agrees with it.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fragmodel.evaluation.compare import ScoredRow, read_system
from fragmodel.evaluation.metrics.paired import SIGNIFICANCE, Paired, holm, paired
from fragmodel.evaluation.references import Key
from fragmodel.evaluation.subsets import Identity
from fragmodel.metric_names import record_metric
from fragmodel.vocabulary import MODEL, TASK_TYPES

Scores = Mapping[Key, ScoredRow]
ALL, CLEAN = "all", "clean"


class Finding(StrEnum):
    """What may be said of a variant beside the reference."""

    BETTER = "clearly better"
    WORSE = "clearly worse"
    OPEN = "no clear difference"
    TOO_FEW = "too few proteins"


class Difference(NamedTuple):
    """A variant beside the reference in a task, on all test records or the clean ones alone."""

    variant: str
    task: str
    part: str
    found: Paired
    """``a`` is the reference, ``b`` the variant; scores by the task's primary metric for a single record."""
    seeds: tuple[float, ...]
    """The difference of each pair of seeds alone, in their order."""
    p_holm: float | None = None

    @property
    def finding(self) -> Finding:
        """Clear is what is significant after correction and has the same sign in each seed."""
        if self.p_holm is None:
            return Finding.TOO_FEW
        sign = 1 if record_metric(self.task).higher_is_better else -1
        gain = sign * self.found.difference
        if self.p_holm >= SIGNIFICANCE or any(sign * each * gain <= 0 for each in self.seeds):
            return Finding.OPEN
        return Finding.BETTER if gain > 0 else Finding.WORSE


def read_runs(tables: Mapping[str, Sequence[Path]]) -> dict[str, list[Scores]]:
    """The model's scores of each variant's runs, from SCORED tables in the order of the seeds."""
    return {variant: [read_system(path, MODEL) for path in paths] for variant, paths in tables.items()}


def differences(
    runs: Mapping[str, Sequence[Scores]], reference: str, identities: Mapping[Key, Identity], threshold: float
) -> list[Difference]:
    """Every other variant beside ``reference``, by variant and task, on all records and on the clean ones.

    Records that a run lacks, or for which it has no value of the metric, are left out of both sides.

    Args:
        runs: scores of each variant, a mapping for each seed; at least one, the same seeds for all.
        reference: the variant that the others are compared with.
        identities: of the test records to training, as the audit found them; without them nothing is clean.
        threshold: records below this identity, by protein and by fragment, are clean.
    """
    clean = {key for key, identity in identities.items() if identity.below(threshold)}
    found = []
    for part in (ALL, CLEAN):
        compared = [
            difference
            for variant in runs
            if variant != reference
            for task in TASK_TYPES
            if (difference := _difference(runs, reference, variant, task, part, clean))
        ]
        tested = [each for each in compared if each.found.p is not None]
        corrected = dict(zip(map(id, tested), holm([each.found.p for each in tested]), strict=True))
        found += [each._replace(p_holm=corrected.get(id(each))) for each in compared]
    return found


def _difference(
    runs: Mapping[str, Sequence[Scores]], reference: str, variant: str, task: str, part: str, clean: set[Key]
) -> Difference | None:
    name = record_metric(task).key
    both = [*runs[reference], *runs[variant]]
    keys = [
        key
        for key in both[0]
        if key.task_type == task
        and (part == ALL or key in clean)
        and all(key in scores and name in scores[key].metrics for scores in both)
    ]
    if not keys:
        return None
    a, b = (
        np.array([[scores[key].metrics[name] for key in keys] for scores in runs[each]])
        for each in (reference, variant)
    )  # [seeds, records]
    result = paired(a.mean(axis=0), b.mean(axis=0), [both[0][key].uid for key in keys])
    seeds = tuple(float(value) for value in (b - a).mean(axis=1)) if len(a) == len(b) else ()
    return Difference(variant, task, part, result, seeds)
