"""Function CSV (Prot2Text): a protein and a text on what it does; no positions."""

from collections.abc import Iterator
from pathlib import Path

from fragmodel.data.readers import fields
from fragmodel.data.readers.fields import BadField
from fragmodel.data.readers.nested import unreadable
from fragmodel.data.records import Fault, Protein
from fragmodel.data.text_files import BadRow, Row

REQUIRED = ("sequence", "function")


def read(rows: Iterator[Row], path: Path) -> Iterator[Protein]:
    """A protein a row."""
    for number, row in rows:
        if isinstance(row, BadRow):
            yield unreadable(number, row.detail)
            continue
        try:
            yield Protein(
                uid=fields.text(row, "uid", "accession", "AlphaFoldDB", "name").strip(),
                sequence=fields.text(row, "sequence"),
                function=fields.text(row, "function"),
                record=number,
            )
        except BadField as error:
            yield Protein(uid="", sequence="", record=number, faults=(Fault("bad_field", str(error)),))
