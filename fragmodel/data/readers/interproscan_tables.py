"""InterProScan's TSV and GFF3, read with the FASTA that was scanned: matches by the name of the sequence.

Neither has types of entries: an ``entry.list`` beside the file tells them, else the entry's name and the libraries of
its signatures in the whole file. GFF3 has no names of entries either, and may carry its sequences itself.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fragmodel.data.readers.fasta import raw_records, records_in
from fragmodel.data.readers.fields import BadField, as_integer
from fragmodel.data.readers.grouping import grouped
from fragmodel.data.readers.interproscan import Found, Lookup, md5_of, refused, uid_of
from fragmodel.data.readers.nested import unreadable
from fragmodel.data.readers.signatures import Match, library_name
from fragmodel.data.records import Fault, Protein
from fragmodel.data.text_files import opened
from fragmodel.data.validate import NUCLEOTIDES, capitals, plain_residues
from fragmodel.errors import UserError

_COLUMNS = 11  # of a TSV row, before those of the entry
_MD5 = re.compile(r"[0-9a-fA-F]{32}")
_ENTRY = re.compile(r"InterPro:(IPR\d+)")
_ACCESSION = re.compile(r"\bIPR\d+")
Part = tuple[str, list[Any]]  # uid; name and sequence, or name, MD5, length and match of a row, as plain JSON


def is_tsv(head: str) -> bool:
    """Whether a text starts as InterProScan's TSV does: name, MD5, length, …; a header and comments may come before."""
    for line in head.splitlines()[:20]:
        values = line.split("\t")
        if not _passed_over(values):
            return len(values) >= _COLUMNS and _MD5.fullmatch(values[1]) is not None
    return False


def is_gff3(head: str) -> bool:
    """Whether a text starts as GFF3 does."""
    return head.lstrip().startswith("##gff-version")


def read_tsv(path: Path, fastas: Sequence[Path], family: str) -> Iterator[Protein]:
    """Proteins of the FASTA files with the matches of a TSV file."""
    lookup = Lookup(path, family, _libraries(path, library=3, entry=11))
    yield from _proteins(chain(_sequences(fastas), _tsv_parts(path, lookup)), lookup)


def read_gff3(path: Path, fastas: Sequence[Path], family: str) -> Iterator[Protein]:
    """Proteins of the FASTA files, or of the file's own FASTA part, with the matches of a GFF3 file."""
    lookup = Lookup(path, family, _libraries(path, library=1, entry=8))
    yield from _proteins(chain(_sequences(fastas), _gff3_parts(path, lookup, alone=not fastas)), lookup)


def _libraries(path: Path, *, library: int, entry: int) -> dict[str, set[str]]:
    """The libraries of each entry's signatures, which stand in these columns; the file is read once before for it."""
    libraries: dict[str, set[str]] = {}
    with opened(path) as text:
        for line in text:
            row = line.rstrip("\r\n").split("\t")
            if len(row) > entry and (found := _ACCESSION.search(row[entry])):
                libraries.setdefault(found[0], set()).add(library_name(row[library]))
    return libraries


def _proteins(parts: Iterator[Part], lookup: Lookup) -> Iterator[Protein]:
    """A protein for each name, in the order of the names' first appearance."""
    for number, (uid, items) in enumerate(grouped(parts), start=1):
        sequences = [item for item in items if len(item) == 2]
        rows = [item for item in items if len(item) > 2]
        if uid.startswith("\0"):  # a row of which nothing can be read
            yield unreadable(rows[0][3], rows[0][4][1])
            continue
        names = list(dict.fromkeys(item[0] for item in items))
        if len({md5_of(sequence) for _, sequence in sequences}) > 1 and len({n for n, _ in sequences}) > 1:
            for name in names:  # the accession is not unique, the names may be
                yield _protein(
                    name,
                    [sequence for other, sequence in sequences if other == name],
                    [row for row in rows if row[0] == name],
                    lookup,
                    number,
                )
        else:
            yield _protein(uid, [sequence for _, sequence in sequences], rows, lookup, number)
    lookup.check()


def _protein(
    uid: str, sequences: Sequence[str], rows: Sequence[list[Any]], lookup: Lookup, number: int
) -> Protein:
    """One protein; each row must state the checksum and length of its sequence.

    The first of several sequences of one name keeps it, as in all formats; rows of another one are conflicts.
    """
    first = sequences[0] if sequences else ""
    digest, length = md5_of(first), len(plain_residues(first))
    others = dict.fromkeys(md5_of(other) for other in sequences[1:] if md5_of(other) != digest)
    found: list[Found] = []
    without_entry: dict[Fault, None] = {}
    told = {row[1].lower() for row in rows if row[1]}
    for _, md5, stated, record, item in rows:
        md5 = md5 or (min(told) if len(told) == 1 else "")  # GFF3 states it once
        match = None if item is None else Fault(*item) if len(item) == 4 else _match(item)
        fault = None
        if not sequences:
            text = f"the FASTA has no sequence named {uid}; give the file that was scanned"
            fault = Fault("no_sequence", text)
        elif md5 and md5.lower() in others:
            text = f"the row belongs to another sequence named {uid}; give each sequence its own name"
            fault = Fault("uid_conflict", text)
        elif md5 and md5.lower() != digest:
            text = f"the sequence's MD5 is not {md5:.40}, as the row says; give the FASTA that was scanned"
            fault = Fault("checksum", text)
        elif stated not in ("", str(length)):
            text = f"the sequence has {length} residues, the row says {stated:.40}; give the FASTA that was scanned"
            fault = Fault("checksum", text)
        if fault and match:
            found.append(refused(match, fault.reason, fault.detail))
        elif fault:
            without_entry[fault._replace(record=record)] = None
        elif match:
            found.append(match)
    text = f"the FASTA has another sequence named {uid}; give each sequence its own name"
    found += [Fault("uid_conflict", text) for other in others if other not in told]
    if not found:
        found += list(without_entry)[:1]
    return lookup.protein(uid, first, found, number)


def _sequences(fastas: Sequence[Path]) -> Iterator[Part]:
    for fasta in fastas:
        nucleotides = True
        for name, sequence, _ in raw_records(fasta):
            nucleotides = nucleotides and set(capitals(sequence)) <= NUCLEOTIDES
            yield uid_of(name), [name, sequence]
        if nucleotides:
            raise UserError(
                f"{fasta}: nucleotides; give the proteins of the reading frames as FASTA, or the scan's JSON, "
                "which has them"
            )


def _tsv_parts(path: Path, lookup: Lookup) -> Iterator[Part]:
    with opened(path) as text:
        for number, line in enumerate(text, start=1):
            row = line.rstrip("\r\n").split("\t")
            if _passed_over(row):
                continue
            if len(row) < _COLUMNS:
                if not line.endswith("\n"):
                    raise UserError(f"{path}: line {number}: the file ends inside the row; is it cut short?")
                detail = f"the row has {len(row)} columns, InterProScan's TSV at least {_COLUMNS}"
                yield f"\0{number}", ["", "", "", number, ["bad_record", detail, None, number]]
                continue
            library = library_name(row[3])
            # Columns for the entry say that it was looked up, also where there is none.
            lookup.count(library, "-" if len(row) > _COLUMNS else "")
            entry = row[11].strip("- ") if len(row) > _COLUMNS else ""
            match = None
            if entry:
                name = row[12] if len(row) > 12 else ""
                match = _row_match(library, row[4], row[5], row[6], row[7], entry, name or entry, number)
            yield uid_of(row[0]), [row[0], row[1], row[2], number, match]


def _gff3_parts(path: Path, lookup: Lookup, alone: bool) -> Iterator[Part]:
    """``alone``: no FASTA goes with the file, so that its own FASTA part must not be empty."""
    with opened(path) as text:
        for number, line in enumerate(text, start=1):
            if line.startswith("##FASTA"):
                first = next(filter(str.strip, text), None)
                if first is None:
                    if alone:
                        raise UserError(
                            f"{path}: line {number}: no sequence comes after ##FASTA; "
                            "fetch the file again, or give the FASTA that was scanned as well"
                        )
                    return
                for name, sequence, _ in records_in(chain([first], text), path):
                    if not name.startswith("match$"):  # the residues of a match
                        yield uid_of(name), [name, sequence]
                return
            if line.startswith("#") or not line.strip():
                continue
            row = line.rstrip("\r\n").split("\t")
            if len(row) != 9:
                detail = f"the row has {len(row)} columns, GFF3 has 9"
                yield f"\0{number}", ["", "", "", number, ["bad_record", detail, None, number]]
                continue
            facts = dict(pair.split("=", 1) for pair in row[8].split(";") if "=" in pair)
            name, match = unquote(row[0]), None
            if row[2] == "protein_match":
                library, entry = library_name(row[1]), _ENTRY.search(facts.get("Dbxref", ""))
                lookup.count(library, entry[1] if entry else "")
                if entry:
                    about = unquote(facts.get("signature_desc", ""))
                    signature = unquote(facts.get("Name", ""))
                    match = _row_match(library, signature, about, row[3], row[4], entry[1], entry[1], number)
            elif row[2] != "polypeptide":
                continue
            yield uid_of(name), [name, facts.get("md5", ""), "", number, match]


def _passed_over(row: Sequence[str]) -> bool:
    """Whether a line of TSV is blank, a comment or a header."""
    header = len(row) > 7 and _MD5.fullmatch(row[1]) is None and row[6].strip().lower().startswith("start")
    return header or row[0].lstrip("\ufeff").startswith("#") or not "".join(row).strip()


def _row_match(
    library: str, signature: str, about: str, start: str, end: str, entry: str, name: str, number: int
) -> list[Any]:
    """The values of a match, or the fault of its row, as plain JSON."""
    try:
        span = [as_integer(start, "the start"), as_integer(end, "the end")]
    except BadField as error:
        return ["bad_field", str(error), f"{entry} {start:.40}-{end:.40}", number]
    return [library, signature, about, [span], entry, name, "", number]


def _match(values: list[Any]) -> Match:
    match = Match(*values)
    return match._replace(spans=tuple((start, end) for start, end in match.spans))
