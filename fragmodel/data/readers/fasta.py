"""FASTA, plain or gzip-compressed, one record in memory at a time: the reader of every command."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from Bio.SeqIO.FastaIO import SimpleFastaParser

from fragmodel.data.text_files import opened
from fragmodel.data.validate import Invalid, clean_sequence
from fragmodel.errors import UserError


class FastaRecord(NamedTuple):
    """A record: the first word of its title, its residues, and its position in the file, counted from 1."""

    uid: str
    sequence: str
    number: int


def read_fasta(path: Path, *, shown: str | Path | None = None, unique: bool = False) -> Iterator[FastaRecord]:
    """Records in the file's order, their sequences as :func:`fragmodel.data.validate.clean_sequence` leaves them.

    Raises :class:`UserError` as :func:`records_in` does, and for the first sequence that cannot be used.
    """
    shown = path if shown is None else shown
    return clean_records(raw_records(path, shown=shown, unique=unique), shown)


def clean_records(records: Iterable[FastaRecord], shown: str | Path) -> Iterator[FastaRecord]:
    """The records with their sequences checked. Raises :class:`UserError` for the first that cannot be used."""
    for uid, sequence, number in records:
        try:
            yield FastaRecord(uid, clean_sequence(sequence)[0], number)
        except Invalid as invalid:
            raise UserError(f"{shown}: record {number} '{uid}': {invalid}; mend or remove it") from None


def raw_records(
    path: Path, *, shown: str | Path | None = None, unique: bool = False
) -> Iterator[FastaRecord]:
    """Records whose sequences are still to be checked; ``shown`` is the file's name in messages.

    Raises :class:`UserError` as :func:`records_in` does.
    """
    with opened(path) as text:
        yield from records_in(text, path if shown is None else shown, unique=unique)


def records_in(text: Iterable[str], shown: str | Path, *, unique: bool = False) -> Iterator[FastaRecord]:
    """Unchecked records of lines of FASTA, such as the last section of a GFF3 file.

    Raises :class:`UserError` that names the record for a title without a name, for prose among the residues (a
    server's message in a download that broke off), with ``unique`` for a name that comes twice; and for a text that
    is not FASTA.
    """
    seen: set[str] = set()
    for number, (title, sequence) in enumerate(SimpleFastaParser(_lines(text, shown)), start=1):
        uid = _name(title)
        if not uid:
            raise UserError(f"{shown}: record {number} has no name; write one after '>'")
        if uid in seen:
            raise UserError(f"{shown}: record {number}: the name '{uid}' came before; names must be unique")
        if unique:
            seen.add(uid)
        yield FastaRecord(uid, sequence, number)


def _lines(text: Iterable[str], shown: str | Path) -> Iterator[str]:
    """The filled lines; the first begins a record."""
    number, title = 0, ""
    for line in text:
        if line.isspace():
            continue
        if line.startswith(">"):
            number, title = number + 1, line[1:]
        elif not number:
            raise UserError(f"{shown}: not FASTA; the first line must begin with '>'")
        elif _is_prose(line):
            raise UserError(
                f"{shown}: record {number} '{_name(title)}': '{line.strip()[:60]}' is no sequence; "
                "fetch the file again, or remove the line"
            )
        yield line
    if not number:
        raise UserError(f"{shown}: not FASTA; the file is empty")


def _is_prose(line: str) -> bool:
    """Whether a line is words rather than residues, which stand together or in blocks of one length."""
    first, *others = line.split()
    if not others or line.isupper():
        return False
    return len(others[-1]) > len(first) or any(len(block) != len(first) for block in others[:-1])


def _name(title: str) -> str:
    return next(iter(title.split()), "")
