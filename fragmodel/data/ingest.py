"""From raw files to two validated tables: records and rejects."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fragmodel import tables
from fragmodel.data import conversations
from fragmodel.data.readers import Source, open_sources
from fragmodel.data.records import Conversation, Fault, Protein, Reject
from fragmodel.data.tasks import Made, Settings, make_records
from fragmodel.data.validate import HARMLESS, check, refuse
from fragmodel.errors import UserError
from fragmodel.files import file_digest, text_digest
from fragmodel.vocabulary import (
    FAMILIES,
    LEAST_VISIBLE,
    LONGEST_WINDOW,
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

    @property
    def rejected_fraction(self) -> float:
        """Rejected part of all fragments, harmless reasons left out; 0 when there are none."""
        rejected = self.rejected - sum(self.reasons.get(reason, 0) for reason in HARMLESS)
        return rejected / max(1, self.accepted + rejected)


def ingest(
    raw: Sequence[Path],
    *,
    task: TaskType,
    data_name: str,
    output: Path,
    rejects: Path,
    format: str = "auto",
    split: str = "test",
    family: Family | None = None,
    max_sequence_length: int = LONGEST_WINDOW,
    min_visible_fraction: float = LEAST_VISIBLE,
    max_rejected_fraction: float = 1.0,
    seed: int = 1,
    assignment: Path | None = None,
    allow_empty: bool = True,
) -> IngestSummary:
    """Make the records of one task from raw files; both tables appear, or neither.

    ``assignment``, a table made by :func:`fragmodel.homology.splits.assign_splits`, restricts the files to the
    proteins that it deals to ``split``. ``family`` is for a data set whose name tells none. An empty ``raw`` gives two
    empty tables. Raises :class:`UserError` for faults of a whole file, when more than ``max_rejected_fraction`` of
    the fragments is rejected, and when files give no record at all, unless ``allow_empty``.
    """
    settings = _settings(task, data_name, split, family, max_sequence_length, min_visible_fraction, seed)
    sources = _open(raw, format, settings)
    _check_outputs(output, rejects, [path for source in sources for path in source.inputs])
    members = _members(assignment, data_name, split) if assignment else None
    summary = IngestSummary()
    metadata: dict[str, Any] = {
        "inputs": [
            {"name": path.name, "sha256": file_digest(path), "format": source.format}
            for source in sources
            for path in source.inputs
        ],
        "arguments": {
            "task": task,
            "data_name": data_name,
            "split": split,
            "family": settings.family or "fragment",
            "max_sequence_length": max_sequence_length,
            "min_visible_fraction": min_visible_fraction,
            "seed": seed,
        },
    }
    with ExitStack() as both:
        rejected = both.enter_context(tables.open_writer(rejects, tables.REJECTS, metadata))
        accepted = both.enter_context(tables.open_writer(output, tables.RECORDS, metadata))
        for outcome in _outcomes(sources, settings, members):
            if isinstance(outcome, Reject):
                rejected.write(outcome._asdict())
                summary.rejected += 1
                summary.reasons[outcome.reason] = summary.reasons.get(outcome.reason, 0) + 1
                summary.examples.setdefault(outcome.reason, outcome)
            else:
                for row in outcome.rows:
                    accepted.write(row)
                summary.accepted += len(outcome.fragments)
                summary.records += len(outcome.rows)
        summary.reasons = dict(sorted(summary.reasons.items(), key=lambda item: (-item[1], item[0])))
        metadata["counts"] = {
            "accepted": summary.accepted,
            "rejected": summary.rejected,
            "records": summary.records,
            "reasons": summary.reasons,
        }
        if summary.rejected_fraction > max_rejected_fraction:
            raise UserError(_too_many(summary, raw, data_name, task, max_rejected_fraction))
        if raw and not summary.accepted and not allow_empty:
            raise UserError(_nothing(summary, raw, data_name, task, split))
    return summary


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
) -> Iterator[dict[str, Any] | Reject]:
    """The rows of the records table and the rejects, in the order of the files; see :func:`ingest`."""
    settings = _settings(task, data_name, split, family, max_sequence_length, min_visible_fraction, seed)
    sources = _open(raw, format, settings)
    for outcome in _outcomes(sources, settings):
        if isinstance(outcome, Reject):
            yield outcome
        else:
            yield from outcome.rows


def _open(raw: Sequence[Path], format: str, settings: Settings) -> list[Source]:
    return open_sources(
        [Path(path) for path in raw], format=format, family=settings.family, split=settings.split
    )


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
    family = family or told_family(data_name)
    if task == "function":
        family = family or "fragment"  # of no concern
    return Settings(
        task=task,
        data_name=data_name,
        family=family,
        split=split,
        max_length=max_length,
        least_visible=least_visible,
        seed=seed,
    )


def _check_outputs(output: Path, rejects: Path, inputs: Sequence[Path]) -> None:
    """Raise :class:`UserError` where an output would replace the other one, a raw file or a folder."""
    if output.resolve() == rejects.resolve():
        raise UserError(f"{output}: named as the table of records and as that of rejects; name two files")
    raw = {path.resolve() for path in inputs}
    for path in (output, rejects):
        if path.resolve() in raw:
            raise UserError(f"{path}: is a raw file, which the output would replace; name another file")
        if path.is_dir():
            raise UserError(f"{path}: is a folder; name a file in it")


def _members(assignment: Path, data_name: str, split: str) -> Callable[[str], bool]:
    """Whether a uid belongs to the split; uids that were not dealt, being unusable, belong to train."""
    rows = tables.read_rows(assignment, tables.SPLIT_ASSIGNMENT)
    dealt = {row["uid"]: row["split"] for row in rows if row["data_name"] == data_name}
    return lambda uid: dealt.get(uid, "train") == split


def _outcomes(
    sources: Sequence[Source], settings: Settings, members: Callable[[str], bool] | None = None
) -> Iterator[Made | Reject]:
    """What becomes of each fragment, source by source."""
    records: set[str] = set()  # ids of the records so far
    sequences: dict[str, str] = {}  # uid → digest of its sequence
    for source in sources:
        for raw in source.read():
            if members and not members(raw.uid):
                continue
            if isinstance(raw, Conversation):
                uid, outcomes = raw.uid, _from_conversation(raw, settings)
            else:
                uid, outcomes = raw.uid, _from_protein(raw, settings, sequences)
            for outcome in outcomes:
                faults: list[Fault] = []
                if isinstance(outcome, Fault):
                    faults = [outcome]
                elif new := [row for row in outcome.rows if row["record_id"] not in records]:
                    records.update(row["record_id"] for row in new)
                    yield outcome._replace(rows=new)
                else:
                    text = "the same record came before in these files; this one is left out"
                    faults = [
                        fragment._replace(reason="duplicate", detail=text) for fragment in outcome.fragments
                    ]
                for fault in faults:
                    record = fault.record or raw.record
                    yield Reject(
                        str(source.path), record, uid or None, fault.fragment, fault.reason, fault.detail
                    )


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
