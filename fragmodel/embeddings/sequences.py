"""Sequences from a Parquet table or a FASTA file, plain or gzip-compressed."""

from collections.abc import Iterator
from pathlib import Path

from Bio.SeqIO.FastaIO import SimpleFastaParser

from fragmodel import tables
from fragmodel.data.readers.containers import head_of, is_parquet, opened
from fragmodel.errors import UserError


def read_sequences(path: Path) -> Iterator[str]:
    """Sequences in the file's order: the column `sequence` of a Parquet file, or FASTA records in upper case.

    White space within a FASTA sequence and a `*` at its end (a translated stop codon) are dropped. Raises
    :class:`UserError` that names the file and the record for one without residues and for a file of another kind.
    """
    if path.suffix == ".parquet" or is_parquet(path):
        yield from tables.iter_column(path, tables.SEQUENCES, "sequence")
        return
    if not head_of(path).lstrip().startswith(">"):
        raise UserError(f"{path}: neither Parquet nor FASTA (records begin with '>')")
    with opened(path) as text:
        for title, sequence in SimpleFastaParser(text):
            residues = "".join(sequence.split()).upper().removesuffix("*")
            if not residues:
                raise UserError(f"{path}: record '{title.strip()}' has no residues; remove it")
            yield residues
