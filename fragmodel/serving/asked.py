"""What a visitor asks, checked: proteins within the limits, and a task as `fragmodel predict` has it."""

import io
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fragmodel.data.readers.fasta import FastaRecord, clean_records, records_in
from fragmodel.errors import UserError
from fragmodel.prediction.fragments import NamedSpan, check_inside
from fragmodel.prediction.run import Task, make_task
from fragmodel.vocabulary import REFERRING_TASKS, Span, TaskType

BARE = "protein"  # the name of a sequence that comes without one
_SHOWN = "proteins"  # the field that messages name
_BYTES_FOR_EACH_RESIDUE = 4  # room for titles and line breaks


class Limits(NamedTuple):
    """The most that one request may hold."""

    residues: int
    proteins: int

    @property
    def bytes(self) -> int:
        """Of the request itself."""
        return _BYTES_FOR_EACH_RESIDUE * self.residues + 100_000


class Asked(BaseModel):
    """A request. ``span`` is the fragment of a referring task, 0-based and half-open."""

    model_config = ConfigDict(extra="forbid", strict=True)
    text: str
    task: TaskType
    families: list[str] = []
    names: Annotated[list[str], Field(max_length=20)] = []
    span: Annotated[list[int], Field(min_length=2, max_length=2)] | None = None
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.0


def read_asked(body: bytes, limits: Limits) -> tuple[Task, list[FastaRecord]]:
    """What to ask, and about which proteins. Raises :class:`UserError` for the first mistake."""
    try:
        asked = Asked.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the request"
        raise UserError(f"{field}: {first['msg']}") from None
    proteins = read_proteins(asked.text, limits)
    return _task(asked, proteins), proteins


def read_proteins(text: str, limits: Limits) -> list[FastaRecord]:
    """The proteins of a FASTA text, or the one of a bare sequence."""
    if not text.strip():
        raise UserError(f"{_SHOWN}: nothing here; paste a sequence or FASTA, or choose a file")
    text = text.removeprefix("\ufeff").lstrip()
    if not text.startswith(">"):
        text = f">{BARE}\n{text}"
    lines = io.StringIO(text, newline=None)
    proteins, residues = [], 0
    for protein in clean_records(records_in(lines, _SHOWN, unique=True), _SHOWN):
        proteins.append(protein)
        residues += len(protein.sequence)
        if len(proteins) > limits.proteins or residues > limits.residues:
            raise UserError(
                f"{_SHOWN}: more than {limits.proteins:,} proteins or {limits.residues:,} residues at "
                f"'{protein.uid}'; ask in parts, or run fragmodel predict"
            )
    return proteins


def _task(asked: Asked, proteins: list[FastaRecord]) -> Task:
    if asked.task not in REFERRING_TASKS:
        names = [name.strip() for name in asked.names if name.strip()]
        if asked.task == "grounding_single" and not names:
            raise UserError("class: name the class to find")
        return make_task(asked.task, names, asked.families, [], asked.min_confidence)
    if asked.span is None or len(proteins) != 1 or len(asked.families) > 1:
        raise UserError("residues: a question about residues takes one protein, a start and an end")
    start, end = asked.span
    if not 0 <= start < end:
        raise UserError(
            f"residues: {start + 1} to {end} holds no residue; positions count from 1, the end included"
        )
    fragment = NamedSpan(proteins[0].uid, Span(start, end), "", "residues")
    check_inside([fragment], len(proteins[0].sequence))
    return Task(asked.task, families=asked.families, fragments={fragment.uid: [fragment]})
