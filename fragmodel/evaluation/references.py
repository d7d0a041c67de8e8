"""What is scored: reference records, and answers of any origin matched to them one to one."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fragmodel.data import delimited
from fragmodel.data.text_files import BadRow, is_parquet
from fragmodel.errors import UserError
from fragmodel.evaluation.parse import parse_spans
from fragmodel.tables import RECORDS, Record, damage_told, iter_columns, open_table
from fragmodel.vocabulary import GROUNDING_TASKS, MODEL, Span, TaskType

_PREDICTED = ("record_id", "text", "system", "data_name", "task_type", "prompt", "seconds", "confidence")


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


@dataclass(slots=True)
class Answers:
    """Texts by system and record, and all systems that were read."""

    texts: dict[str, dict[Key, str]] = field(default_factory=lambda: defaultdict(dict))
    prompts: dict[Key, str] = field(default_factory=dict)  # the question, where the predictions state it
    seconds: dict[tuple[str, Key], float] = field(default_factory=dict)  # by system and record, where stated
    confidences: dict[tuple[str, Key], float] = field(default_factory=dict)  # likewise

    def systems_for(self, keys: Iterable[Key]) -> list[str]:
        """Systems to score on these records: the model always, a baseline where it has an answer at all."""
        keys = list(keys)
        found = [name for name, texts in self.texts.items() if name == MODEL or any(k in texts for k in keys)]
        return sorted(found, key=lambda name: (name != MODEL, name))


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


def read_answers(
    paths: Sequence[Path], references: Mapping[Key, Reference], task: str | None = None
) -> Answers:
    """Read PREDICTIONS tables, or Parquet or CSV files with at least ``record_id`` and ``text``.

    Rows without ``system`` are the model's. Rows without ``data_name`` and ``task_type`` are matched by id
    alone. With ``task``, rows that name another task type are passed over. A row without a text (null, or an
    empty field of a CSV file) is no answer. A number in ``confidence`` says how sure a system is that there is
    something to find.

    Raises:
        UserError: a file cannot be read; a column is missing; a row has more or fewer fields than the header; an id
            is unknown, ambiguous or given twice for a system.
    """
    by_id: dict[str, list[Key]] = defaultdict(list)
    for key in references:
        by_id[key.record_id].append(key)
    answers = Answers()
    for path in paths:
        for number, row in _rows(path):
            if task is not None and row.get("task_type") not in (task, None, ""):
                continue
            key = _match(row, by_id, f"{path}: row {number}")
            system = row.get("system") or MODEL
            texts = answers.texts[system]
            if key in texts:
                raise UserError(f"{path}: row {number}: a second answer to record '{key.record_id}'")
            if row["text"] is None:
                continue  # no answer; without one the record counts as missing
            texts[key] = row["text"]
            if row.get("prompt"):
                answers.prompts[key] = row["prompt"]
            if seconds := _number(row.get("seconds")):
                answers.seconds[system, key] = seconds
            if (confidence := _number(row.get("confidence"))) is not None:
                answers.confidences[system, key] = confidence
    if not answers.texts:
        raise UserError(f"{', '.join(map(str, paths))}: no predictions")
    return answers


def _match(row: Mapping[str, Any], by_id: Mapping[str, list[Key]], where: str) -> Key:
    stated = {name: row[name] for name in ("data_name", "task_type") if row.get(name)}
    keys = [
        key
        for key in by_id.get(row["record_id"], [])
        if all(getattr(key, name) == value for name, value in stated.items())
    ]
    if not keys:
        within = "".join(f", {name} '{value}'" for name, value in stated.items())
        raise UserError(f"{where}: record_id '{row['record_id']}'{within} is not among the references")
    if len(keys) > 1:
        counts = Counter((key.data_name, key.task_type) for key in keys)
        names = ", ".join(f"{data}/{task}" for data, task in counts)
        raise UserError(
            f"{where}: record_id '{row['record_id']}' occurs in {names}; add columns data_name and task_type"
        )
    return keys[0]


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Numbered rows of a Parquet or CSV file that has ``record_id`` and ``text``, as strings.

    CSV cannot tell an absent value from an empty one: both are ``None``.
    """
    path = Path(path)
    if path.suffix.lower() == ".parquet" or is_parquet(path):
        with open_table(path) as parquet:
            names = parquet.schema_arrow.names
            _require(path, names)
            with damage_told(path):
                rows = parquet.read(columns=[name for name in _PREDICTED if name in names]).to_pylist()
        for number, row in enumerate(rows, start=1):
            yield number, {name: None if value is None else str(value) for name, value in row.items()}
        return
    _require(path, delimited.header(path)[0])
    for number, row in delimited.rows(path):
        if isinstance(row, BadRow):
            raise UserError(f"{path}: row {number}: {row.detail}")
        yield number, {name: value or None for name, value in row.items()}


def _number(text: str | None) -> float | None:
    """A number of a file made elsewhere; ``None`` where there is none."""
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _require(path: Path, names: Sequence[str]) -> None:
    for name in ("record_id", "text"):
        if name not in names:
            given = ", ".join(names) or "none"
            raise UserError(
                f"{path}: column '{name}' is missing (columns: {given}); predictions have record_id and text"
            )
