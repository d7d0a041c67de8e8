"""Metrics of the grounding tasks; definitions and sources are in docs/metrics.md.

`grounding_single` compares spans whatever the class that the answer names, since the question names it.
`grounding_group` is class-aware: a span counts only for its own class. The same metrics without regard to
classes have the prefix ``agnostic_``.

All of them are conditional on presence: they are computed on the records that have a true span. Those of
:mod:`fragmodel.evaluation.metrics.detection` and the shares of answers that cannot be read are of all records.
"""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from fragmodel.evaluation import parse
from fragmodel.evaluation.metrics.bootstrap import Values, Weights
from fragmodel.evaluation.metrics.confidence import (
    ClassPrecision,
    Ranked,
    average_precision,
    confidence_values,
)
from fragmodel.evaluation.metrics.detection import DetectionScores
from fragmodel.evaluation.metrics.places import (
    GroundingItem,
    label,
    place_hits,
    place_outcomes,
    ranked_residues,
)
from fragmodel.evaluation.metrics.ranks import place_ranks
from fragmodel.evaluation.metrics.ratios import divide, f1, matthews
from fragmodel.evaluation.metrics.spans import counts, hits, without_ignored
from fragmodel.pairing import Labelled, overlaps

PARSE_FAILURES = (parse.EMPTY, parse.NO_SPAN, parse.MISSING)
_FAULTS = ("parse_failure", "out_of_range", "reversed")


class GroundingScores:
    """Counts of each record, from which any resample is computed."""

    def __init__(self, items: Sequence[GroundingItem], *, grouped: bool) -> None:
        self._prefixes = ("", "agnostic_") if grouped else ("",)
        rows = []
        for item in items:
            row = {}
            for prefix in self._prefixes:
                aware = grouped and prefix == ""
                predicted, true, ignored = (
                    label(side, aware) for side in (item.predicted, item.true, item.ignored)
                )
                found = counts(predicted, true, item.length, ignored)
                row |= {prefix + name: value for name, value in found.items()}
            rows.append(row)
        self._names = list(rows[0]) if rows else []
        self._counts = np.array([list(row.values()) for row in rows], dtype=np.float64)
        self._faults = np.array(
            [
                (
                    item.status in PARSE_FAILURES,
                    item.status == parse.OUT_OF_RANGE,
                    item.status == parse.REVERSED,
                )
                for item in items
            ],
            dtype=np.float64,
        ).reshape(-1, len(_FAULTS))
        absent = np.array([item.absent for item in items], dtype=bool)
        self._present = ~absent
        self._detection = DetectionScores(
            absent,
            self._column("predicted") > 0,
            np.column_stack([self._column(name) for name in ("tp", "fp", "fn", "tn")]),
            np.array(
                [np.nan if item.confidence is None else item.confidence for item in items], dtype=np.float64
            ),
        )
        self._classes = _ClassCounts(items, aware=grouped)
        self._grouped = grouped
        self.place_hits = [place_hits(item, grouped) for item in items]
        """Whether each predicted span of each record is right, see :func:`place_hits`."""
        owners, sure, right = place_outcomes(items, self.place_hits)
        self._places = Ranked(owners, sure, right, len(items)) if len(owners) else None
        self._residues = ranked_residues(items)
        self._ranks = place_ranks(items, aware=grouped)
        if grouped:
            self._class_precision = self._classes.ranked(items, self.place_hits)

    def values(self, weights: Weights) -> Values:
        """Metrics of each resample; those that are conditional on presence are nan in one without a present record."""
        present = weights * self._present
        result = self._ratios(dict(zip(self._names, (present @ self._counts).T, strict=True)))
        for prefix in self._prefixes:
            result[f"{prefix}iou_median"] = weighted_median(self._column(f"{prefix}iou"), present)
        if self._grouped:
            result["ap_50"] = self._class_precision.mean(present, self._classes.true(present))
        if self._ranks is not None:
            result |= self._ranks.values(present)
        some = present.any(axis=1)
        result = {name: np.where(some, value, np.nan) for name, value in result.items()}
        faults = divide((weights @ self._faults).T, weights.sum(axis=1))
        result |= {f"{name}_rate": share for name, share in zip(_FAULTS, faults, strict=True)}
        result |= self._detection.values(weights)
        if self._places is not None:
            result |= confidence_values(self._places, weights)
        if self._residues is not None:
            result["residue_aupr"] = average_precision(*self._residues.counts(weights))
        return result

    def per_record(self) -> Values:
        """Metrics of each record alone; nan where they are conditional on presence and the record is absent."""
        result = self._ratios(dict(zip(self._names, self._counts.T, strict=True)))
        renamed = {
            name.replace("iou_mean", "iou"): np.where(self._present, value, np.nan)
            for name, value in result.items()
        }
        sizes = {f"spans_{side}": self._column(side) for side in ("true", "predicted")}
        return (
            renamed | dict(zip(_FAULTS, self._faults.T, strict=True)) | self._detection.per_record() | sizes
        )

    def per_class(self) -> list[dict[str, str | float]]:
        """A row for each class: spans, precision, recall and F1 at IoU 0.5."""
        return self._classes.table()

    def _ratios(self, sums: Values) -> Values:
        result: Values = {}
        for prefix in self._prefixes:
            own = {
                name.removeprefix(prefix): value for name, value in sums.items() if name.startswith(prefix)
            }
            result |= {prefix + name: value for name, value in _span_ratios(own).items()}
        return result

    def _column(self, name: str) -> np.ndarray:
        """One count of each record."""
        return self._counts[:, self._names.index(name)] if self._names else np.empty(0)


def _span_ratios(sums: Values) -> Values:
    result = {
        "iou_mean": divide(sums["iou"], sums["records"]),
        "iou_at_1": divide(sums["iou_at_1"], sums["records"]),
        "all_hit_50": divide(sums["all_hit_50"], sums["records"]),
        "all_hit_50_multi": divide(sums["all_hit_50_multi"], sums["multi"], empty=np.nan),
    }
    for percent in (50, 75, 95):
        found = sums[f"hits_{percent}"]
        result[f"precision_{percent}"] = divide(found, sums["predicted"])
        result[f"recall_{percent}"] = divide(found, sums["true"])
        result[f"f1_{percent}"] = f1(found, sums["predicted"], sums["true"])
    tp, fp, fn, tn = (sums[name] for name in ("tp", "fp", "fn", "tn"))
    return result | {
        "residue_precision": divide(tp, tp + fp),
        "residue_recall": divide(tp, tp + fn),
        "residue_f1": f1(tp, tp + fp, tp + fn),
        "residue_mcc": matthews(tp, fp, fn, tn),
        "boundary_error": divide(sums["boundary"], sums["pairs"], empty=np.nan),
    }


def weighted_median(values: np.ndarray, weights: Weights) -> np.ndarray:
    """Median of ``values`` [records] repeated ``weights`` times, for each resample; nan without weight."""
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[:, order], axis=1)
    half = running[:, -1:] / 2
    # With an even number of values the median is the mean of the two in the middle.
    lower, upper = (running < half).sum(axis=1), (running <= half).sum(axis=1)
    last = len(values) - 1
    middle = (values[order][np.minimum(lower, last)] + values[order][np.minimum(upper, last)]) / 2
    return np.where(half[:, 0] > 0, middle, np.nan)


class _ClassCounts:
    """Spans and hits at IoU 0.5 for each record and class."""

    def __init__(self, items: Sequence[GroundingItem], aware: bool) -> None:
        self._codes: dict[str, int] = {}
        self.names: list[str] = []
        entries = []
        for record, item in enumerate(items):
            if item.absent:
                continue
            asked = [name for name, _ in item.true]
            true, predicted, ignored = list(item.true), list(item.predicted), list(item.ignored)
            if not aware and asked:  # the question named the class: everything counts for it
                predicted, true, ignored = (
                    [(asked[0], [span for _, spans in side for span in spans])]
                    for side in (predicted, true, ignored)
                )
            for code in {self._code(name) for name, _ in (*true, *predicted)}:
                guess, truth, passed_over = (
                    [Labelled("", s) for name, spans in side if self._code(name) == code for s in spans]
                    for side in (predicted, true, ignored)
                )
                guess = without_ignored(guess, truth, passed_over)
                entries.append((record, code, len(guess), len(truth), hits(overlaps(guess, truth), 0.5)))
        shape = (len(items), len(self.names))
        record, code, *sums = np.array(entries, dtype=np.int64).reshape(-1, 5).T
        self._sums = [sparse.csr_array((column, (record, code)), shape=shape) for column in sums]

    def _code(self, name: str) -> int:
        key = parse.normalise(name)
        if key not in self._codes:
            self._codes[key] = len(self.names)
            self.names.append(name)
        return self._codes[key]

    def ranked(self, items: Sequence[GroundingItem], hits: Sequence[Sequence[bool | None]]) -> ClassPrecision:
        """The places of the records that have something to find, by class and confidence."""
        rows = [
            (record, self._code(name), sure, hit)
            for record, item in enumerate(items)
            if not item.absent
            for name, sure, hit in zip(
                [name for name, spans in item.predicted for _ in spans],
                item.places or [np.nan] * len(hits[record]),
                hits[record],
                strict=True,
            )
            if hit is not None
        ]
        owners, classes, sure, right = np.array(rows, dtype=np.float64).reshape(-1, 4).T
        return ClassPrecision(owners.astype(np.int64), classes.astype(np.int64), sure, right.astype(bool))

    def true(self, weights: Weights) -> np.ndarray:
        """True spans of each class, [resamples, classes]."""
        return weights @ self._sums[1]

    def table(self) -> list[dict[str, str | float]]:
        predicted, true, found = (matrix.sum(axis=0).astype(float) for matrix in self._sums)
        scores = {
            "precision_50": divide(found, predicted),
            "recall_50": divide(found, true),
            "f1_50": f1(found, predicted, true),
        }
        order = sorted(np.flatnonzero(true), key=lambda code: (-true[code], self.names[code]))
        return [
            {"class": self.names[code], "support": int(true[code])}
            | {name: round(float(column[code]), 6) for name, column in scores.items()}
            for code in order
        ]
