"""Addresses of public entries. They are plain links: the page loads nothing from there."""

import re

# https://www.uniprot.org/help/accession_numbers, with an isoform's number where there is one
_UNIPROT = re.compile(r"([OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9](?:[A-Z][A-Z0-9]{2}[0-9]){1,2})(?:-[0-9]+)?")
_INTERPRO = {"InterPro": r"IPR[0-9]{6}", "pfam": r"PF[0-9]{5}"}


def protein_entry(uid: str) -> str | None:
    """The address of a protein that has a UniProt accession for a name (alone, or as in `sp|P12345|NAME`)."""
    parts = uid.split("|")
    name = parts[1] if len(parts) == 3 and parts[0] in ("sp", "tr") else uid
    found = _UNIPROT.fullmatch(name)
    return f"https://www.uniprot.org/uniprotkb/{found[1]}/entry" if found else None


def class_entry(class_id: str) -> str | None:
    """The address of a class with an accession of InterPro or Pfam."""
    database = next((name for name, form in _INTERPRO.items() if re.fullmatch(form, class_id)), None)
    return f"https://www.ebi.ac.uk/interpro/entry/{database}/{class_id}/" if database else None
