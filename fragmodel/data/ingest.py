"""From raw files to two validated tables for each task: records and rejects."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fragmodel import tables
from fragmodel.data.catalogue import NO_NEGATIVES, Negatives
from fragmodel.data.negatives import NegativeMaker, negative_maker
from fragmodel.data.outcomes import Outcomes
from fragmodel.data.readers import Source, open_sources
from fragmodel.data.records import Conversation, Protein
from fragmodel.data.tasks import Settings
from fragmodel.data.validate import HARMLESS
from fragmodel.errors import UserError
from fragmodel.files import file_digest
from fragmodel.tables import Record, Reject
from fragmodel.vocabulary import (
    FAMILIES,
    LEAST_VISIBLE,
    LONGEST_WINDOW,
    MOST_REJECTED,
    SPLITS,
    TASK_TYPES,
    Family,
    TaskType,
    told_family,
)


@dataclass
class IngestSummary:
    """What became of the fragments that were read (records, where a task has no fragments)."""

    accepted: int = 0  # fragments that stand in the records table
    rejected: int = 0  # rows of the rejects table
    records: int = 0  # rows of the records table
    reasons: dict[str, int] = field(default_factory=dict)  # rejects by reason code
    examples: dict[str, Reject] = field(default_factory=dict)  # the first reject of each reason
    flags: Counter[str] = field(default_factory=Counter)  # records by flag

    @property
    def lacking(self) -> int:
        """Rejects for what the file lacks, which is no fault of it."""
        return sum(self.reasons.get(reason, 0) for reason in HARMLESS)

    @property
    def rejected_fraction(self) -> float:
        """The part of all fragments that is at fault; 0 when there are none."""
        rejected = self.rejected - self.lacking
        return rejected / max(1, self.accepted + rejected)


class TaskTables(NamedTuple):
    """The two tables of one task."""

    records: Path
    rejects: Path


def ingest(
    raw: Sequence[Path], *, task: TaskType, output: Path, rejects: Path, **options: Any
) -> IngestSummary:
    """:func:`ingest_tasks`, whose ``options`` it takes, for one task."""
    return ingest_tasks(raw, {task: TaskTables(output, rejects)}, **options)[task]


def ingest_tasks(
    raw: Sequence[Path],
    outputs: Mapping[TaskType, TaskTables],
    *,
    data_name: str,
    format: str = "auto",
    split: str = "test",
    family: Family | None = None,
    max_sequence_length: int = LONGEST_WINDOW,
    min_visible_fraction: float = LEAST_VISIBLE,
    max_rejected_fraction: float = MOST_REJECTED,
    seed: int = 1,
    assignment: Path | None = None,
    allow_empty: bool = True,
    negatives: Negatives = NO_NEGATIVES,
) -> dict[TaskType, IngestSummary]:
    """Make the records of several tasks from raw files, each read once; all tables appear, or none.

    ``assignment``, a table made by :func:`fragmodel.homology.splits.assign_splits`, restricts the files to the
    proteins that it deals to ``split``. ``family`` is for a data set whose name tells none. ``negatives`` adds records
    of the grounding tasks about what a protein does not have, for which the files are read once before. An empty
    ``raw`` gives empty tables. Raises :class:`UserError` for faults of a whole file, when more than
    ``max_rejected_fraction`` of a task's fragments is at fault, and when files give a task no record at all, unless
    ``allow_empty``.
    """
    settings = [
        _settings(task, data_name, split, family, max_sequence_length, min_visible_fraction, seed)
        for task in outputs
    ]
    sources = _open(raw, format, settings)
    _check_outputs(outputs.values(), [path for source in sources for path in source.inputs])
    members = _members(assignment, data_name, split) if assignment else None
    inputs = [
        {"name": path.name, "sha256": file_digest(path), "format": source.format}
        for source in sources
        for path in source.inputs
    ]
    with ExitStack() as all_tables:
        lacks = negative_maker(sources, settings, negatives, members)
        makers = [
            _TaskMaker(each, outputs[each.task], inputs, all_tables, negatives, lacks) for each in settings
        ]
        for source in sources:
            for record in source.read():
                if members and not members(record.uid):
                    continue
                for maker in makers:
                    maker.take(record, source)
        for maker in makers:
            maker.conclude()
            summary, task = maker.summary, maker.settings.task
            if summary.rejected_fraction > max_rejected_fraction:
                raise UserError(_too_many(summary, raw, data_name, task, max_rejected_fraction))
            if raw and not summary.accepted and not allow_empty:
                raise UserError(_nothing(summary, raw, data_name, task, split))
    return {maker.settings.task: maker.summary for maker in makers}


class _TaskMaker:
    """Writes the two tables of one task while the raw records pass by."""

    def __init__(
        self,
        settings: Settings,
        outputs: TaskTables,
        inputs: list[dict[str, str]],
        stack: ExitStack,
        negatives: Negatives,
        lacks: NegativeMaker | None,
    ) -> None:
        self.settings = settings
        self.summary = IngestSummary()
        self._outcomes = Outcomes(settings, lacks)
        self._metadata: dict[str, Any] = {
            "inputs": inputs,
            "arguments": {
                "task": settings.task,
                "data_name": settings.data_name,
                "split": settings.split,
                "family": settings.family or "fragment",
                "max_sequence_length": settings.max_length,
                "min_visible_fraction": settings.least_visible,
                "seed": settings.seed,
                "negatives": negatives._asdict(),
            },
        }
        self._rejected = stack.enter_context(
            tables.open_writer(outputs.rejects, tables.REJECTS, self._metadata)
        )
        self._accepted = stack.enter_context(
            tables.open_writer(outputs.records, tables.RECORDS, self._metadata)
        )

    def take(self, record: Protein | Conversation, source: Source) -> None:
        """Write what becomes of one raw record."""
        summary = self.summary
        for outcome in self._outcomes.of(record, str(source.path), source.scope):
            if isinstance(outcome, Reject):
                self._rejected.write(outcome._asdict())
                summary.rejected += 1
                summary.reasons[outcome.reason] = summary.reasons.get(outcome.reason, 0) + 1
                summary.examples.setdefault(outcome.reason, outcome)
            else:
                for made in outcome.records:
                    self._accepted.write(made._asdict())
                summary.accepted += len(outcome.fragments)
                summary.records += len(outcome.records)
                summary.flags.update(flag for made in outcome.records for flag in made.flags)

    def conclude(self) -> None:
        """Put the counts into the summary and the tables' metadata."""
        summary = self.summary
        summary.reasons = dict(sorted(summary.reasons.items(), key=lambda item: (-item[1], item[0])))
        self._metadata["counts"] = {
            "accepted": summary.accepted,
            "rejected": summary.rejected,
            "lacking": summary.lacking,
            "records": summary.records,
            "reasons": summary.reasons,
        }


def iter_records(
    raw: Sequence[Path],
    *,
    task: TaskType,
    data_name: str,
    format: str = "auto",
    split: str = "test",
    family: Family | None = None,
    max_sequence_length: int = LONGEST_WINDOW,
    min_visible_fraction: float = LEAST_VISIBLE,
    seed: int = 1,
    negatives: Negatives = NO_NEGATIVES,
) -> Iterator[Record | Reject]:
    """The records and the rejects, in the order of the files; see :func:`ingest`."""
    settings = _settings(task, data_name, split, family, max_sequence_length, min_visible_fraction, seed)
    sources = _open(raw, format, [settings])
    outcomes = Outcomes(settings, negative_maker(sources, [settings], negatives))
    for source in sources:
        for record in source.read():
            for outcome in outcomes.of(record, str(source.path), source.scope):
                if isinstance(outcome, Reject):
                    yield outcome
                else:
                    yield from outcome.records


def _open(raw: Sequence[Path], format: str, settings: Sequence[Settings]) -> list[Source]:
    """The files for tasks of one data set; `function` alone does not care which family they hold."""
    function = all(each.task == "function" for each in settings)
    family = settings[0].family or ("fragment" if function else None)
    return open_sources([Path(path) for path in raw], format=format, family=family, split=settings[0].split)


def _settings(
    task: TaskType,
    data_name: str,
    split: str,
    family: Family | None,
    max_length: int,
    least_visible: float,
    seed: int,
) -> Settings:
    if task not in TASK_TYPES:
        raise UserError(f"unknown task '{task}'; known: {', '.join(TASK_TYPES)}")
    if split not in SPLITS:
        raise UserError(f"unknown split '{split}'; known: {', '.join(SPLITS)}")
    if max_length < 1:
        raise UserError(f"max_sequence_length is {max_length}, expected at least 1")
    if not 0 <= least_visible <= 1:
        raise UserError(f"min_visible_fraction is {least_visible}, expected 0 to 1")
    if family not in (None, *FAMILIES.values()):
        raise UserError(f"unknown family '{family}'; known: {', '.join(dict.fromkeys(FAMILIES.values()))}")
    return Settings(
        task=task,
        data_name=data_name,
        family=family or told_family(data_name),
        split=split,
        max_length=max_length,
        least_visible=least_visible,
        seed=seed,
    )


def _check_outputs(outputs: Iterable[TaskTables], inputs: Sequence[Path]) -> None:
    """Raise :class:`UserError` where an output would replace another one, a raw file or a folder."""
    raw = {path.resolve() for path in inputs}
    named: set[Path] = set()
    for path in (path for both in outputs for path in both):
        if path.resolve() in named:
            raise UserError(f"{path}: named for two tables; name two files")
        named.add(path.resolve())
        if path.resolve() in raw:
            raise UserError(f"{path}: is a raw file, which the output would replace; name another file")
        if path.is_dir():
            raise UserError(f"{path}: is a folder; name a file in it")


def _members(assignment: Path, data_name: str, split: str) -> Callable[[str], bool]:
    """Whether a uid belongs to the split; uids that were not dealt, being unusable, belong to train."""
    rows = tables.read_rows(assignment, tables.SPLIT_ASSIGNMENT)
    dealt = {row["uid"]: row["split"] for row in rows if row["data_name"] == data_name}
    return lambda uid: dealt.get(uid, "train") == split


def _nothing(summary: IngestSummary, raw: Sequence[Path], data_name: str, task: str, split: str) -> str:
    counts = ", ".join(f"{count} {reason}" for reason, count in summary.reasons.items())
    first = next(iter(summary.examples.values()), None)
    why = f"all are rejected: {counts}; the first: {first.detail}" if first else "no protein was dealt to it"
    return (
        f"{', '.join(map(str, raw))}: no record for the {split} split of {data_name} / {task} ({why}); mend the files, "
        "or leave the task or the data set out"
    )


def _too_many(summary: IngestSummary, raw: Sequence[Path], data_name: str, task: str, limit: float) -> str:
    reasons = {reason: count for reason, count in summary.reasons.items() if reason not in HARMLESS}
    rejected = sum(reasons.values())
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    first = summary.examples[next(iter(reasons))]
    return (
        f"{', '.join(map(str, raw))}: {rejected} of {summary.accepted + rejected} fragments of {data_name} / "
        f"{task} are rejected ({summary.rejected_fraction:.1%}; max_rejected_fraction is {limit:.1%}): {counts}; "
        f"the first {first.reason} is record {first.record} of {first.source}: {first.detail}"
    )
