"""Raw files → proteins or conversations. One module a format; this one recognises which it is, by content."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import ModuleType

from fragmodel.data.readers import containers, conversation, function, nested, venusx
from fragmodel.data.readers.interpro import FILE_NAME as ENTRY_LIST
from fragmodel.data.records import Conversation, Protein
from fragmodel.errors import UserError

Record = Protein | Conversation

# Formats whose files are rows: their module, and the fields that tell them apart.
_ROW_FORMATS: dict[str, tuple[ModuleType, frozenset[str]]] = {
    "nested": (nested, frozenset({"fragments", "completeness"})),
    "conversation": (conversation, frozenset({"conversation", "position_ref", "position_grd", "answer"})),
    "venusx": (venusx, frozenset({"seq_full", "seq_fragment", "interpro_id", "interpro_label", "label"})),
    "function": (function, frozenset({"function", "AlphaFoldDB", "Full Name", "taxon"})),
}
FORMATS = ("auto", *_ROW_FORMATS)
"""Names of the raw formats; `auto` recognises each file by its content."""


@dataclass(frozen=True)
class Source:
    """A raw file of a known format, ready to be read."""

    path: Path
    format: str
    inputs: tuple[Path, ...]  # the file and those that it is read with
    read: Callable[[], Iterator[Record]]


def open_sources(raw: Sequence[Path], *, format: str, data_name: str, split: str) -> list[Source]:
    """Recognise and check the raw files; nothing but their beginnings is read.

    Raises :class:`UserError` for a file that is missing, empty, of unknown format or lacks a column.
    """
    if format not in FORMATS:
        raise UserError(f"unknown format '{format}'; known: {', '.join(FORMATS)}")
    return [_source(path, format) for path in raw]


def _source(path: Path, format: str) -> Source:
    first = next(islice(containers.rows(path), 1), None)
    if first is None:
        raise UserError(f"{path}: the file holds no records")
    columns = containers.columns(path)
    names = set(columns or (first[1] if isinstance(first[1], dict) else ()))
    if format == "auto":
        format = _recognise(path, names)
    module, _ = _ROW_FORMATS[format]
    if missing := [name for name in module.REQUIRED if columns is not None and name not in names]:
        raise UserError(
            f"{path}: column '{missing[0]}' of a {format} table is missing; found {', '.join(columns)}"
        )
    beside = path.parent / ENTRY_LIST
    inputs = (path, beside) if format == "venusx" and beside.is_file() else (path,)
    flags = () if containers.is_parquet(path) else containers.text_flags(path)

    def read() -> Iterator[Record]:
        for record in module.read(containers.rows(path), path):
            yield replace(record, flags=(*record.flags, *flags)) if flags else record

    return Source(path, format, inputs, read)


def _recognise(path: Path, names: set[str]) -> str:
    hits = {format: len(names & fields) for format, (_, fields) in _ROW_FORMATS.items()}
    best = max(hits, key=lambda format: hits[format])
    if not hits[best]:
        found = ", ".join(sorted(names)[:8]) or "no fields"
        raise UserError(f"{path}: format not recognised (found {found}); name it with --format")
    return best
