"""InterProScan results: JSON, and TSV with the FASTA that was scanned.

Positions are 1-based with inclusive ends. A match whose signature is integrated into an InterPro entry becomes a
fragment of that entry. Where several signatures of an entry match, the one with most matches stands for it (then
the order of `_LIBRARIES`): nothing is merged. The entry's type decides the family.
"""

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fragmodel.data.readers.grouping import grouped
from fragmodel.data.readers.interpro import Entry, entries_beside
from fragmodel.data.readers.nested import of_family, unreadable
from fragmodel.data.readers.text import BadRow, Row, opened
from fragmodel.data.records import Fault, Fragment, Protein
from fragmodel.errors import UserError
from fragmodel.vocabulary import Span

_TYPES = {
    "domain": "DOMAIN",
    "active site": "ACTIVE_SITE",
    "binding site": "BINDING_SITE",
    "conserved site": "CONSERVED_SITE",
}
# Which signature stands for an entry among those with equally many matches.
_LIBRARIES = ("PROSITE_PROFILES", "PROSITE_PATTERNS", "SMART", "PFAM", "CDD")
_OTHER_TYPE = re.compile(r"\b(?:super)?family\b|\brepeat\b|\bsite\b", re.IGNORECASE)


class Match(NamedTuple):
    """One match of a signature; 1-based with inclusive end."""

    library: str
    signature: str
    signature_name: str
    start: int
    end: int
    entry: str
    entry_name: str
    entry_type: str  # "" where the file does not say
    record: int  # row of the match, 0 for that of the protein


def read_json(rows: Iterator[Row], path: Path, family: str) -> Iterator[Protein]:
    """Proteins from JSON results, one for each name of a sequence."""
    wanted = _wanted(family, path)
    known = entries_beside(path)
    for number, result in rows:
        if isinstance(result, BadRow):
            yield unreadable(number, result.detail)
            continue
        try:
            matches = [
                Match(
                    match["signature"]["signatureLibraryRelease"]["library"],
                    match["signature"]["accession"],
                    match["signature"].get("description") or match["signature"].get("name") or "",
                    place["start"],
                    place["end"],
                    entry["accession"],
                    entry.get("description") or entry["name"],
                    entry["type"],
                    0,
                )
                for match in result["matches"]
                if (entry := match["signature"].get("entry"))
                for place in match["locations"]
            ]
            names = [xref["id"] for xref in result["xref"]]
            sequence, md5 = result["sequence"], result.get("md5", "")
        except (KeyError, TypeError) as error:
            yield unreadable(number, f"not a result of InterProScan (lacks {error})")
            continue
        for name in names:
            yield of_family(_protein(name, sequence, md5, matches, wanted, known, number), family)


def read_tsv(path: Path, fastas: Sequence[Path], family: str) -> Iterator[Protein]:
    """Proteins of the FASTA files with the matches of a TSV file.

    TSV has no entry types. With InterPro's ``entry.list`` beside the file they are known; else names that end in
    "active site", "binding site", "conserved site" and "domain" tell them.
    """
    wanted = _wanted(family, path)
    known = entries_beside(path)
    for number, (name, items) in enumerate(grouped(_parts(path, fastas)), start=1):
        sequences = [item for item in items if isinstance(item, str)]
        rows = [item for item in items if not isinstance(item, str)]
        matches = [Match(*values) for _, values in rows if values]
        md5 = rows[0][0] if rows else ""
        if sequences:
            yield of_family(_protein(name, sequences[0], md5, matches, wanted, known, number), family)
            continue
        text = f"the FASTA has no sequence named {name}; give the file that was scanned"
        fragments, faults = _fragments(matches, wanted, known)
        faults += [Fault("no_sequence", text, item.written, item.record) for item in fragments]
        yield Protein(
            uid=name, sequence="", record=number, faults=tuple(faults or [Fault("no_sequence", text)])
        )


def fasta_records(path: Path) -> Iterator[tuple[str, str]]:
    """Names (the header's first word) and sequences of a FASTA file."""
    from Bio.SeqIO.FastaIO import SimpleFastaParser

    with opened(path) as text:
        for title, sequence in SimpleFastaParser(text):
            yield (title.split() or [""])[0], sequence


def is_tsv(head: str) -> bool:
    """Whether a text starts as InterProScan's TSV does: name, MD5, length, …"""
    values = head.split("\n", 1)[0].split("\t")
    return len(values) >= 11 and re.fullmatch(r"[0-9a-fA-F]{32}", values[1]) is not None


def _parts(path: Path, fastas: Sequence[Path]) -> Iterator[tuple[str, Any]]:
    for fasta in fastas:
        yield from fasta_records(fasta)
    with opened(path) as text:
        for number, row in enumerate(csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE), start=1):
            if not row:
                continue
            if len(row) < 11 or not (row[6].isdigit() and row[7].isdigit()):
                raise UserError(
                    f"{path}: line {number}: not a row of InterProScan's TSV; is the file cut short?"
                )
            entry = row[11] if len(row) > 12 and row[11] not in ("", "-") else ""
            name = row[12] if entry else ""
            match = [row[3], row[4], row[5], int(row[6]), int(row[7]), entry, name, "", number]
            yield row[0], [row[1], match if entry else None]


def _protein(
    name: str,
    sequence: str,
    md5: str,
    matches: Sequence[Match],
    wanted: str | None,
    known: Mapping[str, Entry],
    number: int,
) -> Protein:
    fragments, faults = _fragments(matches, wanted, known)
    residues = sequence.strip().rstrip("*").upper()
    if md5 and hashlib.md5(residues.encode(), usedforsecurity=False).hexdigest() != md5.lower():
        text = f"the sequence's MD5 is not {md5}, as the results say; give the FASTA that was scanned"
        faults += [Fault("checksum", text, item.written, item.record) for item in fragments] or [
            Fault("checksum", text)
        ]
        fragments, sequence = [], ""
    return Protein(uid=name, sequence=sequence, fragments=fragments, record=number, faults=tuple(faults))


def _wanted(family: str, path: Path) -> str | None:
    """The entry type of a family; None for every type."""
    if family == "motif":
        raise UserError(f"{path}: InterPro has no entry type for a motif; use UniProt or VenusX files")
    return _TYPES.get(family)


def _fragments(
    matches: Iterable[Match], wanted: str | None, known: Mapping[str, Entry]
) -> tuple[list[Fragment], list[Fault]]:
    """Fragments of the wanted type from the matches of one protein."""
    by_entry: dict[str, dict[tuple[str, str], list[Match]]] = {}
    faults = []
    for match in matches:
        listed = known.get(match.entry)
        match = match._replace(
            entry_type=match.entry_type or (listed.type if listed else ""),
            entry_name=" ".join((listed.name if listed else match.entry_name).split()),
        )
        asked = _is_wanted(match, wanted)
        if asked is None:
            text = f"the type of {match.entry} ({match.entry_name}) is unknown; put an entry.list beside the file"
            faults.append(
                Fault("unknown_type", text, f"{match.entry} {match.start}-{match.end}", match.record)
            )
        elif asked:
            signatures = by_entry.setdefault(match.entry, {})
            signatures.setdefault((_library(match), match.signature), []).append(match)
    fragments = []
    for signatures in by_entry.values():
        best = min(signatures, key=lambda key: (-len(signatures[key]), _rank(key[0]), key))
        fragments += [_fragment(match) for match in signatures[best]]
    return fragments, faults


def _is_wanted(match: Match, wanted: str | None) -> bool | None:
    """Whether the match is of the wanted type; None where nothing tells."""
    if wanted is None:
        return True
    if match.entry_type:
        return match.entry_type.upper() == wanted
    if wanted != "DOMAIN":
        return wanted.replace("_", " ").lower() in match.entry_name.lower()
    if _OTHER_TYPE.search(match.entry_name):
        return False
    return True if "domain" in match.entry_name.lower() else None


def _fragment(match: Match) -> Fragment:
    kind = match.entry_type.replace("_", " ").lower() or "entry"
    signature = f"Signature {match.library} {match.signature}"
    if match.signature_name not in ("", "-"):
        signature += f": {match.signature_name}"
    return Fragment(
        class_name=match.entry_name,
        class_id=match.entry,
        span=Span(match.start - 1, match.end),
        description=f"{match.entry_name} ({match.entry}, InterPro {kind}). {signature.rstrip('.')}.",
        written=f"{match.entry} {match.start}-{match.end}",
        record=match.record,
    )


def _library(match: Match) -> str:
    """Library name in one spelling: TSV writes `ProSiteProfiles`, JSON `PROSITE_PROFILES`."""
    return match.library.upper().replace("_", "").replace("-", "")


def _rank(library: str) -> int:
    names = [name.replace("_", "") for name in _LIBRARIES]
    return names.index(library) if library in names else len(names)
