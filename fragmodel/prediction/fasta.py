"""Proteins from a FASTA file, plain or gzip-compressed, one in memory at a time."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from Bio.SeqIO.FastaIO import SimpleFastaParser

from fragmodel.data.readers.containers import opened
from fragmodel.data.validate import Invalid, clean_sequence
from fragmodel.errors import UserError


class Protein(NamedTuple):
    """A FASTA record: the first word of its title, and its residues in capital letters."""

    uid: str
    sequence: str


@contextmanager
def seekable(path: Path) -> Iterator[Path]:
    """``path``, or a temporary copy of standard input for `-`: inputs are read twice, first to check them."""
    if str(path) != "-":
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="fragmodel-stdin-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield Path(copy.name)


def read_fasta(path: Path, shown: str | Path | None = None) -> Iterator[Protein]:
    """Proteins in the file's order; ``shown`` is the file's name in messages.

    Raises :class:`UserError` that names the record for a title without a name, a name that comes twice, residues
    outside the alphabet (see :func:`fragmodel.data.validate.clean_sequence`, whose normalisations apply) and a file
    that is no FASTA.
    """
    shown = path if shown is None else shown
    if str(shown) == "-":
        shown = "standard input"
    seen: set[str] = set()
    with opened(path) as handle:
        lines = (line for line in handle if line.strip())
        first = next(lines, "")
        if not first.startswith(">"):
            raise UserError(f"{shown}: not FASTA; the first line must begin with '>'")
        for number, (title, raw) in enumerate(SimpleFastaParser(_chain(first, lines)), start=1):
            uid = title.split(maxsplit=1)[0] if title.strip() else ""
            if not uid:
                raise UserError(f"{shown}: record {number} has no name; write one after '>'")
            if uid in seen:
                raise UserError(
                    f"{shown}: record {number}: the name '{uid}' came before; names must be unique"
                )
            seen.add(uid)
            try:
                yield Protein(uid, clean_sequence(raw)[0])
            except Invalid as invalid:
                raise UserError(f"{shown}: record {number} '{uid}': {invalid}; mend or remove it") from None


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest
