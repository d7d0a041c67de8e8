"""InterProScan results: the JSON of versions 5 and 6, and how the matches of any of its formats become fragments.

Positions are 1-based with inclusive ends. A match whose signature is integrated into an InterPro entry is one of that
entry; the matches of one signature stand for it (:mod:`fragmodel.data.readers.signatures`). The entry's type decides
the family. A name `sp|P12345|NAME` is the protein `P12345`.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from fragmodel.data.readers import fields
from fragmodel.data.readers.fields import BadField
from fragmodel.data.readers.interpro import entries_beside, told_type
from fragmodel.data.readers.nested import of_family, unreadable
from fragmodel.data.readers.signatures import UNINTEGRATED, Match, library_name, standing_for
from fragmodel.data.records import Fault, Fragment, Protein
from fragmodel.data.text_files import BadRow, Row
from fragmodel.data.validate import capitals, plain_residues
from fragmodel.errors import UserError
from fragmodel.vocabulary import Span

_TYPES = {
    "domain": "DOMAIN",
    "active site": "ACTIVE_SITE",
    "binding site": "BINDING_SITE",
    "conserved site": "CONSERVED_SITE",
}
_UNIPROT_NAME = re.compile(r"(?:sp|tr)\|([^|\s]+)(?:\|\S*)?")
Found = Match | Fault  # a match, or why one cannot be read


class Lookup:
    """What one file's matches are looked up in, and whether any of them had an InterPro entry.

    ``libraries`` are those of each entry's signatures in the whole file, where it does not state types of entries.
    """

    def __init__(self, path: Path, family: str, libraries: Mapping[str, Set[str]] | None = None) -> None:
        if family not in (*_TYPES, "fragment"):
            raise UserError(
                f"{path}: InterPro has no entry type for the family {family}; use UniProt or VenusX files"
            )
        self.path, self.family = path, family
        self.wanted = _TYPES.get(family)  # None: every type
        self._known = entries_beside(path)
        self._libraries = libraries or {}
        self._without = self._with = 0

    def count(self, library: str, entry: str) -> None:
        """Note a match; those of libraries that are never integrated say nothing."""
        self._with += bool(entry)
        self._without += not entry and library not in UNINTEGRATED

    def check(self) -> None:
        """Raise :class:`UserError` when none of the file's matches has an entry."""
        if self._without and not self._with:
            raise UserError(
                f"{self.path}: none of its {self._without:,} matches names an InterPro entry, from which fragments are "
                "made; scan again with the option -iprlookup"
            )

    def protein(self, name: str, sequence: str, found: Iterable[Found], record: int) -> Protein:
        """The protein with a fragment for each match that stands for a wanted entry."""
        fragments, faults = self._fragments(found, len(plain_residues(sequence)))
        protein = Protein(
            uid=name,
            sequence=sequence,
            fragments=fragments,
            record=record,
            faults=tuple(faults),
            complete=True,  # for the entries that the scan finds somewhere
        )
        return of_family(protein, self.family)

    def _fragments(self, found: Iterable[Found], length: int) -> tuple[list[Fragment], list[Fault]]:
        """Fragments of the wanted type from the matches of one protein of ``length`` residues."""
        by_entry: dict[str, dict[tuple[str, str], list[Match]]] = {}
        fragments: list[Fragment] = []
        faults: list[Fault] = []
        for item in found:
            if isinstance(item, Fault):
                faults.append(item)
                continue
            match = self._named(item)
            if self.wanted not in (None, self._type_of(match)):
                continue
            if all(1 <= start <= end <= length for start, end in match.spans):
                signatures = by_entry.setdefault(match.entry, {})
                signatures.setdefault((match.library, match.signature), []).append(match)
            else:  # the check of spans says what is wrong with it
                fragments += _places(match)
        for signatures in by_entry.values():
            kind = self._type_of(next(iter(signatures.values()))[0])
            fragments += [fragment for match in standing_for(signatures, kind) for fragment in _places(match)]
        return fragments, faults

    def _named(self, match: Match) -> Match:
        """The match with the name and type of its entry, as far as they are stated."""
        listed = self._known.get(match.entry)
        return match._replace(
            entry_type=match.entry_type or (listed.type.upper() if listed else ""),
            entry_name=" ".join((listed.name if listed else match.entry_name).split()),
        )

    def _type_of(self, match: Match) -> str:
        """The stated type of a match's entry, else the likely one."""
        libraries = self._libraries.get(match.entry, {match.library})
        return match.entry_type or told_type(match.entry_name, libraries)


def uid_of(name: str) -> str:
    """The accession in a name as UniProt's FASTA has it (`sp|P12345|NAME`), else the name."""
    match = _UNIPROT_NAME.fullmatch(name)
    return match[1] if match else name


def md5_of(sequence: str) -> str:
    """Checksum of a sequence as InterProScan writes it, in lower case."""
    residues = capitals(sequence.strip().rstrip("*"))
    return hashlib.md5(residues.encode(), usedforsecurity=False).hexdigest()


def read_json(rows: Iterator[Row], path: Path, family: str) -> Iterator[Protein]:
    """Proteins from JSON results, one for each name of a sequence; of a nucleotide scan those of its reading frames."""
    lookup = Lookup(path, family)
    for number, result in rows:
        if isinstance(result, BadRow):
            yield unreadable(number, result.detail)
            continue
        try:
            frames = fields.mappings(result, "openReadingFrames") if "openReadingFrames" in result else None
        except BadField as error:
            yield unreadable(number, str(error))
            continue
        if frames == []:
            yield unreadable(number, "the nucleotide sequence has no open reading frame with a match")
        for item in [result] if frames is None else [frame.get("protein") for frame in frames]:
            try:
                if not isinstance(item, dict):
                    raise BadField("field 'protein' of a reading frame is no object")
                yield from _from_result(item, lookup, number)
            except BadField as error:
                yield unreadable(number, f"not a result of InterProScan: {error}")
    lookup.check()


def _from_result(result: dict[str, Any], lookup: Lookup, number: int) -> Iterator[Protein]:
    found = [item for match in fields.mappings(result, "matches") for item in _matches(match, lookup)]
    sequence, md5 = fields.text(result, "sequence"), fields.text(result, "md5")
    if md5 and sequence and md5_of(sequence) != md5.lower():
        text = f"the sequence's MD5 is not {md5}, as the result says; take the file as it was written"
        found = [refused(item, "checksum", text) for item in found] or [Fault("checksum", text)]
        sequence = ""
    names = [uid_of(fields.text(xref, "id").strip()) for xref in fields.mappings(result, "xref")]
    if not names:
        raise BadField("field 'xref' is empty: the sequence has no name")
    for name in dict.fromkeys(names):
        yield lookup.protein(name, sequence, found, number)


def _matches(match: dict[str, Any], lookup: Lookup) -> Iterator[Found]:
    """The locations of one match whose signature has an entry."""
    signature = fields.mapping(match, "signature")
    library = library_name(fields.text(fields.mapping(signature, "signatureLibraryRelease"), "library"))
    entry = fields.mapping(signature, "entry") if signature.get("entry") else {}
    accession = fields.text(entry, "accession").strip()
    lookup.count(library, accession)
    if not accession:
        return
    for place in fields.mappings(match, "locations"):
        parts = fields.mappings(place, "location-fragments") if place.get("location-fragments") else []
        try:
            spans = tuple(
                (fields.integer(part, "start"), fields.integer(part, "end"))
                for part in (parts if len(parts) > 1 else [place])
            )
        except BadField as error:
            yield Fault(
                "bad_field", f"a location of signature {signature.get('accession')!s:.40}: {error}", accession
            )
            continue
        yield Match(
            library=library,
            signature=fields.text(signature, "accession"),
            signature_name=fields.text(signature, "description", "name"),
            spans=spans,
            entry=accession,
            entry_name=fields.text(entry, "description", "name") or accession,
            entry_type=fields.text(entry, "type").upper().replace(" ", "_"),
            record=0,
        )


def refused(item: Found, reason: str, detail: str) -> Fault:
    """A match as a fault; a fault stays what it is."""
    if isinstance(item, Fault):
        return item
    return Fault(reason, detail, _written(item, item.spans), item.record)


def _places(match: Match) -> Iterator[Fragment]:
    """A fragment for each span of a match."""
    kind = match.entry_type.replace("_", " ").lower() or "entry"
    signature = f"Signature {match.library} {match.signature}"
    if match.signature_name not in ("", "-"):
        signature += f": {match.signature_name}"
    flags = (
        *(["discontinuous"] if len(match.spans) > 1 else []),
        *([] if match.entry_type else ["type_derived"]),
    )
    for start, end in match.spans:
        yield Fragment(
            class_name=match.entry_name,
            class_id=match.entry,
            span=Span(start - 1, end),
            description=f"{match.entry_name} ({match.entry}, InterPro {kind}). {signature.rstrip('.')}.",
            written=_written(match, [(start, end)]),
            record=match.record,
            flags=flags,
        )


def _written(match: Match, spans: Iterable[tuple[int, int]]) -> str:
    return f"{match.entry} " + ",".join(f"{start}-{end}" for start, end in spans)
