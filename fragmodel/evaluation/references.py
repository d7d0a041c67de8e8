"""What is scored by: reference records."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fragmodel.errors import UserError
from fragmodel.evaluation.parse import parse_spans
from fragmodel.tables import RECORDS, Record, iter_columns
from fragmodel.vocabulary import GROUNDING_TASKS, Span, TaskType


class Key(NamedTuple):
    """A record: its id is unique within data set and task only."""

    data_name: str
    task_type: TaskType
    record_id: str


_COLUMNS = (
    *(*Key._fields, "uid", "sequence", "answer", "classes"),
    *("position_ref", "position_grd", "position_ignored", "start", "class_ids"),
)


@dataclass(frozen=True, slots=True)
class Reference:
    """What scoring needs of a record. Spans are 0-based and half-open within the window."""

    key: Key
    uid: str
    sequence: str  # the window
    answer: str
    classes: list[str]
    position_ref: Span | None
    groups: list[tuple[str, list[Span]]]  # true spans by class; grounding tasks
    ignored: list[tuple[str, list[Span]]] = field(
        default_factory=list
    )  # parts that are neither right nor wrong
    start: int = 0  # first residue of the window in the whole protein
    class_ids: list[str] = field(default_factory=list)  # aligned with `classes`

    @property
    def length(self) -> int:
        """Residues of the window."""
        return len(self.sequence)

    @property
    def absent(self) -> bool:
        """Whether a grounding task has nothing to find here."""
        return self.key.task_type in GROUNDING_TASKS and not any(spans for _, spans in self.groups)

    @property
    def class_name(self) -> str:
        """The class that the record is about; the answer itself where the file names none."""
        return self.classes[0] if self.classes else self.answer

    @property
    def fragment_length(self) -> float | None:
        """Residues of the referred fragment, or the mean of the spans to be found; ``None`` without any."""
        if self.position_ref is not None:
            return self.position_ref.length
        lengths = [span.length for _, spans in self.groups for span in spans]
        return sum(lengths) / len(lengths) if lengths else None


def read_references(paths: Sequence[Path], task: str | None = None) -> dict[Key, Reference]:
    """Read RECORDS tables, in order; ``task`` keeps the records of one task type only.

    Raises:
        UserError: a record occurs twice, or none is left.
    """
    references: dict[Key, Reference] = {}
    for path in paths:
        for *names, uid, sequence, answer, classes, place, spans, parts, start, class_ids in iter_columns(
            path, RECORDS, _COLUMNS
        ):
            key = Key(*names)
            if task is not None and key.task_type != task:
                continue
            if key in references:
                raise UserError(f"{path}: record '{key.record_id}' occurs twice; give each file once")
            references[key] = _reference(
                key, uid, sequence, answer, classes, place, spans, parts, start, class_ids
            )
    if not references:
        files = ", ".join(map(str, paths))
        raise UserError(f"{files}: no reference record" + (f" of task '{task}'" if task else ""))
    return references


def as_reference(record: Record) -> Reference:
    """A record in memory as what answers to it are scored by."""
    values = [getattr(record, name) for name in _COLUMNS]
    size = len(Key._fields)
    return _reference(Key(*values[:size]), *values[size:])


def _reference(
    key: Key,
    uid: str,
    sequence: str,
    answer: str,
    classes: list[str],
    place: Span | None,
    spans: list[list[Span]] | None,
    parts: list[dict[str, Any]] | None,
    start: int,
    class_ids: list[str],
) -> Reference:
    groups = _named(spans or [], classes, key.task_type, answer, len(sequence))
    ignored = [(part["class_name"], [Span(part["start"], part["end"])]) for part in parts or []]
    return Reference(key, uid, sequence, answer, classes, place, groups, ignored, start, class_ids)


def _named(
    groups: list[list[Span]], classes: list[str], task: TaskType, answer: str, length: int
) -> list[tuple[str, list[Span]]]:
    """True spans by class; a class that neither the record nor its answer names is ""."""
    names = list(classes)
    if task in GROUNDING_TASKS and len(names) != len(groups):
        # Conversation files state spans without class names; the reference answer has them.
        names = [name for name, _ in parse_spans(answer, length).groups]
    names += [""] * (len(groups) - len(names))
    return list(zip(names, groups, strict=False))
