"""Reads the files of a run into what the report's sections are made from."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fragmodel.digests import fault_of, is_checked
from fragmodel.errors import UserError
from fragmodel.evaluation.metrics.spans import residue_counts
from fragmodel.evaluation.parse import normalise
from fragmodel.pairing import Labelled
from fragmodel.tables import RECORDS, REJECTS, SCORED, iter_columns, read_metadata, read_table
from fragmodel.vocabulary import GROUNDING_TASKS, SPLITS, TASK_TYPES, Span, family_of

OVERFIT = 1.5
"""A validation loss of so many training losses, or more, is called overfitting."""


@dataclass(slots=True)
class SplitSummary:
    """One RECORDS table in numbers. Lengths are in residues, int64 arrays."""

    data_name: str
    task_type: str
    split: str
    records: int
    proteins: int
    rejected: int
    protein_lengths: np.ndarray  # of each record's whole protein [records]
    fragment_lengths: np.ndarray  # of every span in the table [spans]
    classes: Counter[str] = field(default_factory=Counter)  # records about each class that they have
    absent: int = 0  # of the records: about what is absent


@dataclass(frozen=True, slots=True)
class Truth:
    """Places to be found in a window, and parts of fragments that the scores pass over; of any class."""

    length: int  # residues of the window
    spans: list[Labelled]
    ignored: list[Labelled]

    def residues(self, predicted: Sequence[Labelled]) -> tuple[int, int]:
        """Residues to be found and residues predicted, each once, as the scores count them."""
        both, false, missed, _ = residue_counts(predicted, self.spans, self.length, self.ignored)
        return both + missed, both + false


class Losses(NamedTuple):
    """Losses of a training (nats for each token of the answers): those on training records are means since the entry
    before.
    """

    first: float
    last: float
    valid: float | None = None  # the last one in validation, and the lowest with its step
    lowest: float | None = None
    lowest_step: int | None = None
    chosen_step: int | None = None  # whose weights became the model, where that is not the last
    kept: float | None = None  # the one in validation of the weights that became the model

    def warning(self) -> str:
        """What to say where the last validation loss is far above that in training (docs/metrics.md), else ""."""
        if self.valid is None or self.valid < OVERFIT * self.last:
            return ""
        risen = f"; it was {self.lowest:.2f} at step {self.lowest_step}" if self.lowest < self.valid else ""
        losses = f"the last validation loss is {self.valid:.2f}, the training loss {self.last:.2f}{risen}."
        if self.chosen_step is None:
            return f"The model is overfitted: {losses}"
        return f"The training ended overfitted: {losses} The model is that of step {self.chosen_step}."


@dataclass(slots=True)
class Log:
    """The training log by step; a step that was run again after a restart counts once, as run last."""

    train: list[dict[str, float]]  # entries with a loss
    valid: list[dict[str, float]]  # entries with eval_loss
    well_formed: list[
        dict[str, float]
    ]  # entries with the well-formed part of generated answers, where logged
    score: list[dict[str, float]] = field(default_factory=list)  # entries with the mean score of answers
    chosen: dict[str, Any] | None = None  # the step whose weights became the model, where the best was chosen
    spent: dict[str, Any] | None = None  # jobs, seconds together and MB of host memory at the peak

    @property
    def steps(self) -> int:
        """Optimiser steps of the training."""
        return int(max((entry["step"] for entry in (*self.train, *self.valid)), default=0))

    @property
    def losses(self) -> Losses | None:
        """First and last losses; None where no training loss was logged."""
        if not self.train:
            return None
        first, last = self.train[0]["loss"], self.train[-1]["loss"]
        if not self.valid:
            return Losses(first, last)
        lowest = min(self.valid, key=lambda entry: entry["eval_loss"])
        chosen = self.chosen["step"] if self.chosen and self.chosen["step"] < self.steps else None
        at_end = self.valid[-1]["eval_loss"]
        kept = next((entry["eval_loss"] for entry in self.valid if entry["step"] == chosen), at_end)
        return Losses(first, last, at_end, lowest["eval_loss"], int(lowest["step"]), chosen, kept)


def place_of(path: Path) -> tuple[str, str, str]:
    """Data name, task type and split from a path ``…/{data_name}/{task}/{split}.parquet``."""
    path = Path(path)
    return path.parent.parent.name, path.parent.name, path.stem


def by_place(paths: Sequence[Path]) -> list[Path]:
    """Paths in the order of data name, task and split."""

    def order(path: Path) -> tuple[str, int, int, str]:
        data_name, task, split = place_of(path)
        known = [
            list(names).index(name) if name in names else 99
            for name, names in ((task, TASK_TYPES), (split, SPLITS))
        ]
        return data_name, known[0], known[1], str(path)

    return sorted(map(Path, paths), key=order)


def read_splits(records: Sequence[Path], rejects: Sequence[Path]) -> list[SplitSummary]:
    """Summaries of RECORDS tables, with the number of rejects of the same data name, task and split."""
    rejected = Counter()
    for path in rejects:
        rejected[place_of(path)] += read_table(path, REJECTS, ["reason"]).num_rows
    return [_read_split(path, rejected[place_of(path)]) for path in by_place(records)]


def _read_split(path: Path, rejected: int) -> SplitSummary:
    table = read_table(path, RECORDS, ["uid", "full_length", "position_ref", "position_grd", "classes"])
    data_name, task_type, split = place_of(path)
    absent = _absent(table) if task_type in GROUNDING_TASKS else np.zeros(table.num_rows, dtype=bool)
    return SplitSummary(
        data_name,
        task_type,
        split,
        records=table.num_rows,
        proteins=pc.count_distinct(table["uid"]).as_py(),
        rejected=rejected,
        protein_lengths=table["full_length"].to_numpy().astype(np.int64),
        fragment_lengths=_span_lengths(table),
        classes=Counter(pc.list_flatten(table["classes"].filter(pa.array(~absent))).to_pylist()),
        absent=int(absent.sum()),
    )


def _absent(table: pa.Table) -> np.ndarray:
    """Whether each record of a grounding task has nothing to find; bool [records]."""
    owners = pc.list_parent_indices(table["position_grd"].combine_chunks())
    sizes = pc.list_value_length(pc.list_flatten(table["position_grd"].combine_chunks()))
    spans = np.bincount(owners.to_numpy(), weights=sizes.to_numpy(), minlength=table.num_rows)
    return spans == 0


def _span_lengths(table: pa.Table) -> np.ndarray:
    spans = [table["position_ref"].drop_null(), pc.list_flatten(pc.list_flatten(table["position_grd"]))]
    lengths = [pc.subtract(pc.list_element(column, 1), pc.list_element(column, 0)) for column in spans]
    return np.concatenate([column.to_numpy().astype(np.int64) for column in lengths])


def read_families(records: Sequence[Path]) -> dict[str, str]:
    """The family of each data set: the one that its records were made with, else the one that its name tells."""
    stated = {place_of(path)[0]: read_metadata(path).get("arguments", {}).get("family") for path in records}
    return {data_name: family or family_of(data_name) for data_name, family in stated.items()}


def read_class_ids(records: Sequence[Path]) -> dict[str, dict[str, str]]:
    """By data set, the identifier of each class name (normalised) of which the records state one."""
    found: dict[str, dict[str, str]] = {}
    for path in by_place(records):
        ids = found.setdefault(place_of(path)[0], {})
        for names, stated in iter_columns(path, RECORDS, ["classes", "class_ids"]):
            ids.update(
                (normalise(name), class_id) for name, class_id in zip(names, stated, strict=False) if class_id
            )
    return found


def read_rejects(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Rows by reason, the most frequent first: reason, fragments by data set, and the detail of the first."""
    counts: dict[str, Counter[str]] = {}
    details: dict[str, str] = {}
    for path in by_place(paths):
        columns = ["source", "record", "reason", "detail"]
        for source, record, reason, detail in iter_columns(path, REJECTS, columns):
            counts.setdefault(reason, Counter())[place_of(path)[0]] += 1
            details.setdefault(reason, f"{source}, record {record}: {detail}")
    order = sorted(counts, key=lambda reason: (-counts[reason].total(), reason))
    return [{"reason": reason, "counts": counts[reason], "example": details[reason]} for reason in order]


def read_log(path: Path | None) -> Log:
    """Read the training log, empty where there is none. Raises :class:`UserError` for a line that is no JSON object."""
    names = ("loss", "eval_loss", "well_formed", "score")
    parts: dict[str, dict[float, dict[str, float]]] = {name: {} for name in names}
    entries_read = read_lines(path) if path else []
    for entry in entries_read:
        for key, entries in parts.items():
            if isinstance(entry.get(key), int | float):
                entries[entry["step"]] = entry
    chosen, spent = (
        next((entry for entry in reversed(entries_read) if key in entry), None) for key in ("chosen", "jobs")
    )
    return Log(
        *([entries[step] for step in sorted(entries)] for entries in parts.values()),
        chosen=chosen,
        spent=spent,
    )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Entries of a log. Raises :class:`UserError` for a line that is no JSON object with a step."""
    entries = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            entries.append(entry | {"step": entry["step"]})
        except (ValueError, TypeError, KeyError):
            raise UserError(f"{path}: line {number} is not a JSON object with a step; remove it") from None
    return entries


def read_scored(paths: Sequence[Path]) -> pa.Table:
    """All scored records of a run, in the order of the paths."""
    tables = [read_table(path, SCORED).select(SCORED.names) for path in sorted(map(Path, paths))]
    return pa.concat_tables(tables) if tables else SCORED.empty_table()


def read_truths(records: Sequence[Path], scored: pa.Table) -> dict[tuple[str, str, str], Truth]:
    """What was to be found, by (data name, task, record id), for the scored grounding records."""
    wanted = set(scored["record_id"].unique().to_pylist())
    truths = {}
    for path in by_place(records):
        data_name, task, _ = place_of(path)
        if task not in GROUNDING_TASKS:
            continue
        columns = ["record_id", "sequence", "position_grd", "position_ignored"]
        for record_id, sequence, groups, parts in iter_columns(path, RECORDS, columns):
            if record_id in wanted:
                truths[data_name, task, record_id] = Truth(
                    len(sequence),
                    of_any_class(groups),
                    [Labelled("", Span(part["start"], part["end"])) for part in parts or []],
                )
    return truths


def of_any_class(groups: Sequence[Sequence[Sequence[int]]] | None) -> list[Labelled]:
    """The spans of all groups, without their classes."""
    return [Labelled("", Span(*span)) for group in groups or [] for span in group]


def _text(path: Path) -> str:
    try:
        if is_checked() and (fault := fault_of(Path(path))):
            raise UserError(f"{fault}; its stage writes it anew")
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: damaged, no text; its stage writes it anew") from None
