"""Sequences from a Parquet table or a FASTA file, plain or gzip-compressed."""

from collections.abc import Iterator
from pathlib import Path

from fragmodel import tables
from fragmodel.data.readers.fasta import read_fasta
from fragmodel.data.text_files import head_of, is_parquet
from fragmodel.data.validate import Invalid, clean_sequence
from fragmodel.errors import UserError


def read_sequences(path: Path) -> Iterator[str]:
    """Sequences in the file's order: the column `sequence` of a Parquet file, or FASTA records.

    They are normalised as at ingest (:func:`fragmodel.data.validate.clean_sequence`), so that a store finds them
    again; a sequence may come twice. Raises :class:`UserError` that names the file and the row or record for a
    sequence that cannot be used, and for a file of another kind.
    """
    if path.suffix == ".parquet" or is_parquet(path):
        for number, sequence in enumerate(tables.iter_column(path, tables.SEQUENCES, "sequence"), start=1):
            try:
                yield clean_sequence(sequence)[0]
            except Invalid as invalid:
                raise UserError(f"{path}: row {number}: {invalid}; mend or remove it") from None
        return
    if not head_of(path).lstrip().startswith(">"):
        raise UserError(f"{path}: neither Parquet nor FASTA (records begin with '>')")
    yield from (record.sequence for record in read_fasta(path))
