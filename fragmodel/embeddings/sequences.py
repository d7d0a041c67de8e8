"""Sequences from a Parquet table or a FASTA file."""

from collections.abc import Iterator
from pathlib import Path

from Bio.SeqIO.FastaIO import SimpleFastaParser

from fragmodel import tables
from fragmodel.errors import UserError


def read_sequences(path: Path) -> Iterator[str]:
    """Sequences in the file's order: the column `sequence` of a Parquet file, or FASTA records in upper case.

    White space within a FASTA sequence and a `*` at its end (a translated stop codon) are dropped. Raises
    :class:`UserError` that names the file and the record for one without residues and for a file of another kind.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.suffix == ".parquet":
        yield from tables.iter_column(path, tables.SEQUENCES, "sequence")
        return
    found = False
    try:
        with path.open(encoding="utf-8") as handle:
            for title, sequence in SimpleFastaParser(handle):
                found = True
                residues = "".join(sequence.split()).upper().removesuffix("*")
                if not residues:
                    raise UserError(f"{path}: record '{title}' has no residues; remove it")
                yield residues
    except UnicodeDecodeError:
        found = False
    if not found:
        raise UserError(f"{path}: neither Parquet (name it .parquet) nor FASTA (records begin with '>')")
