"""From raw files to two validated tables for each task: records and rejects."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from fragmodel import tables
from fragmodel.data import conversations
from fragmodel.data.readers import open_sources
from fragmodel.data.records import Conversation, Fault, Protein
from fragmodel.data.tasks import Made, Settings, make_records
from fragmodel.data.validate import HARMLESS, check, refuse
from fragmodel.errors import UserError
from fragmodel.files import file_digest, text_digest
from fragmodel.tables import Record, Reject
from fragmodel.vocabulary import LONGEST_WINDOW, SPLITS, TASK_TYPES, TaskType


@dataclass
class IngestSummary:
    """What became of the fragments that were read (records, where a task has no fragments)."""

    accepted: int = 0  # fragments that stand in the records table
    rejected: int = 0  # rows of the rejects table
    records: int = 0  # rows of the records table
    reasons: dict[str, int] = field(default_factory=dict)  # rejects by reason code
    examples: dict[str, Reject] = field(default_factory=dict)  # the first reject of each reason

    @property
    def rejected_fraction(self) -> float:
        """Rejected part of all fragments, harmless reasons left out; 0 when there are none."""
        rejected = self.rejected - sum(self.reasons.get(reason, 0) for reason in HARMLESS)
        return rejected / max(1, self.accepted + rejected)


class TaskTables(NamedTuple):
    """The two tables of one task."""

    records: Path
    rejects: Path


def ingest(
    raw: Sequence[Path],
    *,
    task: TaskType,
    data_name: str,
    output: Path,
    rejects: Path,
    format: str = "auto",
    split: str = "test",
    max_sequence_length: int = LONGEST_WINDOW,
    max_rejected_fraction: float = 1.0,
    seed: int = 1,
    assignment: Path | None = None,
) -> IngestSummary:
    """:func:`ingest_tasks` for one task."""
    summaries = ingest_tasks(
        raw,
        {task: TaskTables(output, rejects)},
        data_name=data_name,
        format=format,
        split=split,
        max_sequence_length=max_sequence_length,
        max_rejected_fraction=max_rejected_fraction,
        seed=seed,
        assignment=assignment,
    )
    return summaries[task]


def ingest_tasks(
    raw: Sequence[Path],
    outputs: Mapping[TaskType, TaskTables],
    *,
    data_name: str,
    format: str = "auto",
    split: str = "test",
    max_sequence_length: int = LONGEST_WINDOW,
    max_rejected_fraction: float = 1.0,
    seed: int = 1,
    assignment: Path | None = None,
) -> dict[TaskType, IngestSummary]:
    """Make the records of several tasks from raw files, each read once; all tables appear, or none.

    ``assignment``, a table made by :func:`fragmodel.homology.splits.assign_splits`, restricts the files to the
    proteins that it deals to ``split``. An empty ``raw`` gives empty tables. Raises :class:`UserError` for
    faults of a whole file, and when more than ``max_rejected_fraction`` of a task's fragments is rejected.
    """
    settings = {task: _settings(task, data_name, split, max_sequence_length, seed) for task in outputs}
    sources = open_sources([Path(path) for path in raw], format=format, data_name=data_name, split=split)
    _check_outputs(outputs.values(), [path for source in sources for path in source.inputs])
    members = _members(assignment, data_name, split) if assignment else None
    inputs = [
        {"name": path.name, "sha256": file_digest(path), "format": source.format}
        for source in sources
        for path in source.inputs
    ]
    with ExitStack() as all_tables:
        makers = [_TaskMaker(settings[task], outputs[task], inputs, all_tables) for task in outputs]
        for source in sources:
            for record in source.read():
                if members and not members(record.uid):
                    continue
                for maker in makers:
                    maker.take(record, str(source.path))
        for maker in makers:
            maker.conclude()
            if maker.summary.rejected_fraction > max_rejected_fraction:
                task = maker.settings.task
                raise UserError(_too_many(maker.summary, raw, data_name, task, max_rejected_fraction))
    return {maker.settings.task: maker.summary for maker in makers}


class _TaskMaker:
    """Writes the two tables of one task while the raw records pass by."""

    def __init__(
        self, settings: Settings, outputs: TaskTables, inputs: list[dict[str, str]], stack: ExitStack
    ) -> None:
        self.settings = settings
        self.summary = IngestSummary()
        self._outcomes = Outcomes(settings)
        self._metadata: dict[str, Any] = {
            "inputs": inputs,
            "arguments": {
                "task": settings.task,
                "data_name": settings.data_name,
                "split": settings.split,
                "max_sequence_length": settings.max_length,
                "seed": settings.seed,
            },
        }
        self._rejected = stack.enter_context(
            tables.open_writer(outputs.rejects, tables.REJECTS, self._metadata)
        )
        self._accepted = stack.enter_context(
            tables.open_writer(outputs.records, tables.RECORDS, self._metadata)
        )

    def take(self, record: Protein | Conversation, source: str) -> None:
        """Write what becomes of one raw record."""
        summary = self.summary
        for outcome in self._outcomes.of(record, source):
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

    def conclude(self) -> None:
        """Put the counts into the summary and the tables' metadata."""
        summary = self.summary
        summary.reasons = dict(sorted(summary.reasons.items(), key=lambda item: (-item[1], item[0])))
        self._metadata["counts"] = {
            "accepted": summary.accepted,
            "rejected": summary.rejected,
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
    max_sequence_length: int = LONGEST_WINDOW,
    seed: int = 1,
) -> Iterator[Record | Reject]:
    """The records and the rejects, in the order of the files; see :func:`ingest`."""
    settings = _settings(task, data_name, split, max_sequence_length, seed)
    sources = open_sources([Path(path) for path in raw], format=format, data_name=data_name, split=split)
    outcomes = Outcomes(settings)
    for source in sources:
        for record in source.read():
            for outcome in outcomes.of(record, str(source.path)):
                if isinstance(outcome, Reject):
                    yield outcome
                else:
                    yield from outcome.records


def _settings(task: TaskType, data_name: str, split: str, max_length: int, seed: int) -> Settings:
    if task not in TASK_TYPES:
        raise UserError(f"unknown task '{task}'; known: {', '.join(TASK_TYPES)}")
    if split not in SPLITS:
        raise UserError(f"unknown split '{split}'; known: {', '.join(SPLITS)}")
    if max_length < 1:
        raise UserError(f"max_sequence_length is {max_length}, expected at least 1")
    return Settings(task=task, data_name=data_name, split=split, max_length=max_length, seed=seed)


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


class Outcomes:
    """What becomes of each fragment of the raw records of a data set, for one task.

    It knows the records that came before: ids that come again, and proteins with two sequences.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ids: set[str] = set()
        self._sequences: dict[str, str] = {}  # uid → digest of its sequence

    def of(self, raw: Protein | Conversation, source: str) -> Iterator[Made | Reject]:
        """Records made of ``raw``, and rejects that name ``source`` as its file."""
        if isinstance(raw, Conversation):
            outcomes: Iterable[Made | Fault] = _from_conversation(raw, self._settings)
        else:
            outcomes = _from_protein(raw, self._settings, self._sequences)
        for outcome in outcomes:
            faults: list[Fault] = []
            if isinstance(outcome, Fault):
                faults = [outcome]
            elif outcome.records[0].record_id in self._ids:
                text = "the same record came before in these files; this one is left out"
                faults = [fault._replace(reason="duplicate", detail=text) for fault in outcome.fragments]
            else:
                self._ids.update(record.record_id for record in outcome.records)
                yield outcome
            for fault in faults:
                number = fault.record or raw.record
                yield Reject(source, number, raw.uid or None, fault.fragment, fault.reason, fault.detail)


def _from_conversation(raw: Conversation, settings: Settings) -> Sequence[Made | Fault]:
    made = conversations.make_record(raw, settings)
    return [made] if isinstance(made, Made) else made


def _from_protein(raw: Protein, settings: Settings, sequences: dict[str, str]) -> Iterator[Made | Fault]:
    protein, faults = check(_without_fragments(raw) if settings.task == "function" else raw)
    if protein.uid and protein.sequence and not (faults and not protein.fragments and not protein.function):
        digest = text_digest(protein.sequence, size=8)
        if sequences.setdefault(protein.uid, digest) != digest:
            text = "the same uid came before with another sequence; give each sequence its own accession"
            yield from faults
            yield from refuse(protein, "uid_conflict", text)
            return
    yield from faults
    if protein.fragments or protein.function or not faults:
        yield from make_records(protein, settings)


def _without_fragments(raw: Protein) -> Protein:
    """The protein alone; of its faults the first, if the reader refused the whole protein for it."""
    faults = () if raw.sequence else tuple(fault._replace(fragment=None) for fault in raw.faults[:1])
    return replace(raw, fragments=[], faults=faults)


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
