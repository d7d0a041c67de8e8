"""Names and types of InterPro entries, from the ``entry.list`` that InterPro publishes with each release."""

import csv
from pathlib import Path
from typing import NamedTuple

from fragmodel.data.text_files import opened
from fragmodel.errors import UserError

FILE_NAME = "entry.list"


class Entry(NamedTuple):
    """Type (`Domain`, `Active_site`, …) and name of an InterPro entry."""

    type: str
    name: str


def entries_beside(path: Path) -> dict[str, Entry]:
    """Entries by accession from ``entry.list`` in the folder of ``path``; empty when there is none.

    The file has three columns divided by tabs: accession, type, name. Raises :class:`UserError` for another
    layout.
    """
    listing = path.parent / FILE_NAME
    if not listing.is_file():
        return {}
    entries = {}
    with opened(listing) as text:
        for line, row in enumerate(csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE), start=1):
            if not row or row[0] == "ENTRY_AC":
                continue
            if len(row) < 3:
                raise UserError(f"{listing}: line {line}: expected accession, type and name divided by tabs")
            entries[row[0]] = Entry(row[1], " ".join(row[2].split()))
    return entries
