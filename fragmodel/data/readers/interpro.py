"""Names and types of InterPro entries: from InterPro's ``entry.list``, or as an entry's name and signatures tell."""

import csv
import re
from collections.abc import Set
from pathlib import Path
from typing import NamedTuple

from fragmodel.data.text_files import opened
from fragmodel.errors import UserError

FILE_NAME = "entry.list"

_SITES = ("active site", "binding site", "conserved site")
# Libraries whose signatures describe folds, residues, and proteins as a whole (the last set: unless another one that
# describes domains is there, too).
_FOLDS = frozenset({"Gene3D", "SUPERFAMILY"})
_RESIDUES = frozenset({"ProSitePatterns"})
_PROTEINS = frozenset({"PANTHER", "PIRSF", "Hamap", "PRINTS"})
_OFTEN_PROTEINS = frozenset({"TIGRFAM", "NCBIfam", "SFLD"})


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


def told_type(name: str, libraries: Set[str]) -> str:
    """The likely type (`DOMAIN`, `FAMILY`, …) of an entry by its ``name`` and the ``libraries`` of its signatures.

    How often it is right stands in docs/formats.md.
    """
    name = name.lower()
    if site := next((site for site in _SITES if site in name), None):
        return site.replace(" ", "_").upper()
    if libraries <= _FOLDS:
        return "HOMOLOGOUS_SUPERFAMILY"
    if libraries <= _RESIDUES or re.search(r"\bsite\b", name):
        return "CONSERVED_SITE"
    if libraries & _PROTEINS:
        return "FAMILY"
    if re.search(r"\bdomain|\b[cn]-terminal\b", name):
        return "DOMAIN"
    if re.search(r"\brepeat\b", name):
        return "REPEAT"
    of_proteins = libraries & _OFTEN_PROTEINS and libraries <= _OFTEN_PROTEINS | {"CDD"}
    return "FAMILY" if of_proteins else "DOMAIN"
