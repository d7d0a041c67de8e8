"""Raw files → proteins or conversations. One module a format; this one recognises which it is, by content."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from fragmodel.data.readers import (
    containers,
    conversation,
    function,
    interproscan,
    interproscan_tables,
    nested,
    uniprot,
    venusx,
)
from fragmodel.data.readers.folder import split_files
from fragmodel.data.readers.interpro import FILE_NAME as ENTRY_LIST
from fragmodel.data.readers.strangers import refuse_markup, refuse_object
from fragmodel.data.records import Conversation, Protein
from fragmodel.data.text_files import BadRow, head_of, is_parquet, text_flags
from fragmodel.errors import UserError
from fragmodel.files import check_regular
from fragmodel.vocabulary import Family

Record = Protein | Conversation


class RowFormat(NamedTuple):
    """A format whose files are rows."""

    read: Callable[..., Iterator[Record]]  # of (rows, path)
    required: tuple[str, ...]  # columns that a table must have
    telling: frozenset[str]  # fields by which it is recognised


_ROW_FORMATS = {
    "nested": RowFormat(nested.read, nested.REQUIRED, frozenset({"fragments", "completeness"})),
    "conversation": RowFormat(
        conversation.read,
        conversation.REQUIRED,
        frozenset({"conversation", "position_ref", "position_grd", "answer"}),
    ),
    "venusx": RowFormat(
        venusx.read,
        venusx.REQUIRED,
        frozenset({"seq_full", "seq_fragment", "interpro_id", "interpro_label", "label"}),
    ),
    "function": RowFormat(
        function.read, function.REQUIRED, frozenset({"function", "AlphaFoldDB", "Full Name", "taxon"})
    ),
    "uniprot": RowFormat(uniprot.read_json, (), frozenset({"primaryAccession", "entryType", "features"})),
    "interproscan": RowFormat(
        interproscan.read_json, (), frozenset({"matches", "xref", "md5", "openReadingFrames"})
    ),
}
_OF_FAMILY = ("uniprot", "interproscan")  # files that hold all families at once
_TRIED = 20  # records among which one must be an object, for its fields tell the format
FORMATS = ("auto", *_ROW_FORMATS)
"""Names of the raw formats; `auto` recognises each file by its content."""


@dataclass(frozen=True)
class Source:
    """A raw file of a known format, ready to be read."""

    path: Path
    format: str
    inputs: tuple[Path, ...]  # the file and those that it is read with
    read: Callable[[], Iterator[Record]]

    @property
    def scope(self) -> str:
        """What knows of the same classes: a scan finds those of its libraries, the others share all of the format."""
        return str(self.path) if self.format == "interproscan" else self.format


def open_sources(raw: Sequence[Path], *, format: str, family: Family | None, split: str) -> list[Source]:
    """Recognise and check the raw files; nothing but their beginnings is read.

    A folder stands for its files of ``split``. FASTA files go with the InterProScan TSV among ``raw``. ``family``
    chooses among the features of UniProt and InterProScan files; without it they are refused. Raises
    :class:`UserError` for a file that is missing, empty, of unknown format or lacks a column.
    """
    if format not in FORMATS:
        raise UserError(f"unknown format '{format}'; known: {', '.join(FORMATS)}")
    paths = [file for path in raw for file in (split_files(path, split) if path.is_dir() else [path])]
    for path in paths:
        check_regular(path)
    fastas = [path for path in paths if not is_parquet(path) and _starts(path, ">")]
    sources = [_source(path, format, family, fastas) for path in paths if path not in fastas]
    if fastas and not any(set(fastas) <= set(source.inputs) for source in sources):
        raise UserError(f"{fastas[0]}: FASTA has no annotations; give it together with InterProScan's TSV")
    return sources


def _source(path: Path, format: str, family: Family | None, fastas: Sequence[Path]) -> Source:
    read: Callable[[], Iterator[Record]]
    beside = path.parent / ENTRY_LIST
    listing = (beside,) if beside.is_file() else ()
    head = "" if is_parquet(path) else head_of(path)
    if format in ("auto", "uniprot") and head.lstrip().startswith("ID   "):
        read = partial(uniprot.read_flat, path, _needed(family, path))
        return _flagged(Source(path, "uniprot", (path,), read))
    if format in ("auto", "interproscan"):
        tsv = interproscan_tables.is_tsv(head)
        if tsv or interproscan_tables.is_gff3(head):
            sequences = tuple(fastas) or _fasta_beside(path)
            if tsv and not sequences:
                raise UserError(
                    f"{path}: InterProScan's TSV has no sequences; give the FASTA that was scanned as well"
                )
            reader = interproscan_tables.read_tsv if tsv else interproscan_tables.read_gff3
            read = partial(reader, path, sequences, _needed(family, path))
            return _flagged(Source(path, "interproscan", (path, *sequences, *listing), read))
    refuse_markup(path, head)
    columns = containers.columns(path)
    first = [row for _, row in islice(containers.rows(path), _TRIED)]
    if not first and not columns:
        raise UserError(f"{path}: the file holds no records")
    example = next((row for row in first if isinstance(row, dict)), {})
    if columns is None:
        refuse_object(path, example)
    names = set(columns or example)
    if not names and first and isinstance(first[0], BadRow):
        raise UserError(f"{path}: none of the first records can be read; record 1: {first[0].detail}")
    format = _recognise(path, names) if format == "auto" else format
    known = _ROW_FORMATS[format]
    if missing := [name for name in known.required if columns is not None and name not in names]:
        raise UserError(
            f"{path}: column '{missing[0]}' of a {format} table is missing; found {_listed(columns or ())}"
        )
    if not first:
        raise UserError(f"{path}: the table has a header and no rows")
    options = (_needed(family, path),) if format in _OF_FAMILY else ()

    def read() -> Iterator[Record]:
        return known.read(containers.rows(path), path, *options)

    used = listing if format in ("venusx", "interproscan") else ()
    return _flagged(Source(path, format, (path, *used), read))


def _needed(family: Family | None, path: Path) -> Family:
    """The family, which a file of all families needs."""
    if family is None:
        raise UserError(
            f"{path}: holds fragments of all families, and the data set's name does not tell which to take; give it a "
            "name that does (Mine_Dom; Mine_all takes all), or tell fragmodel ingest by --family, the pipeline by "
            "datasets.NAME.family"
        )
    return family


def _flagged(source: Source) -> Source:
    """The source with the normalisations of its text ("bom", "crlf") noted on every record."""
    flags = () if is_parquet(source.path) else text_flags(source.path)
    if not flags:
        return source
    read = source.read
    return replace(source, read=lambda: (replace(r, flags=(*r.flags, *flags)) for r in read()))


def _recognise(path: Path, names: set[str]) -> str:
    hits = {format: len(names & known.telling) for format, known in _ROW_FORMATS.items()}
    best = max(hits, key=lambda format: hits[format])
    if not hits[best]:
        found = _listed(sorted(names)) or "no fields"
        raise UserError(f"{path}: format not recognised (found {found}); name it with --format")
    return best


def _listed(names: Sequence[str]) -> str:
    """The first names, on one line."""
    return ", ".join(" ".join(name.split())[:40] for name in names[:8])


def _starts(path: Path, mark: str) -> bool:
    return head_of(path).lstrip().startswith(mark)


def _fasta_beside(path: Path) -> tuple[Path, ...]:
    """The FASTA of the same name beside a table of matches, if there is one."""
    stem = re.sub(r"\.(?:tsv|gff3?)$", "", path.name.removesuffix(".gz"))
    names = (f"{stem}{suffix}{packed}" for suffix in (".fasta", ".faa", ".fa") for packed in ("", ".gz"))
    return tuple(path.parent / name for name in names if (path.parent / name).is_file())[:1]
