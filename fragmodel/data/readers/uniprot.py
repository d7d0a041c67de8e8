"""UniProt entries by features: flat text (through Biopython) and the JSON of the REST service.

Positions are 1-based with inclusive ends. A feature becomes a fragment of the family that its key belongs to; its
class is the key's name and what the note or ligand says, without evidence and ordinals ("Domain: SH3").
"""

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fragmodel.data.readers import fields
from fragmodel.data.readers.fields import BadField
from fragmodel.data.readers.nested import of_family, unreadable
from fragmodel.data.records import Fault, Fragment, Protein
from fragmodel.data.text_files import BadRow, Row, opened
from fragmodel.errors import UserError
from fragmodel.vocabulary import Span

# Feature keys of a family, and what they are called (in the JSON too).
_FAMILIES = {
    "domain": {"DOMAIN": "Domain", "ZN_FING": "Zinc finger", "DNA_BIND": "DNA binding"},
    "active site": {"ACT_SITE": "Active site"},
    "binding site": {
        "BINDING": "Binding site",
        "METAL": "Metal binding",
        "NP_BIND": "Nucleotide binding",
        "CA_BIND": "Calcium binding",
    },
    "motif": {"MOTIF": "Motif"},
}
_REVIEWED = ("Reviewed", "STANDARD")  # data classes of Swiss-Prot, today and before 2006
_EVIDENCE = re.compile(r"\s*\{ECO:[^}]*\}")
_REFERENCE = re.compile(r"\s*\((?:Ref\.\d+|PubMed:\d+)(?:, *(?:Ref\.\d+|PubMed:\d+))*\)")
_HEDGE = re.compile(
    r"\s*(?:\((?:By similarity|Potential|Probable)\)|^(?:By similarity|Potential|Probable)\.?$)",
    re.IGNORECASE,
)
# Biopython joins the lines of a comment with a space, also where a line ends in a word's hyphen.
_BROKEN_HYPHEN = re.compile(r"(?<=\w)- (?!and\b|or\b)")
_ORDINAL = re.compile(r"\s+\d+(?=$|;)")


def features_of(family: str, path: Path) -> dict[str, str]:
    """Feature keys and names of a family; all of them when the data name tells no family."""
    if family == "fragment":
        return {key: name for keys in _FAMILIES.values() for key, name in keys.items()}
    if family not in _FAMILIES:
        raise UserError(
            f"{path}: UniProt has no feature of the family {family}; use InterProScan or VenusX files"
        )
    return _FAMILIES[family]


def read_json(rows: Iterator[Row], path: Path, family: str) -> Iterator[Protein]:
    """Proteins from entries of the REST service."""
    keys = {name: key for key, name in features_of(family, path).items()}
    for number, entry in rows:
        if isinstance(entry, BadRow):
            yield unreadable(number, entry.detail)
            continue
        try:
            yield of_family(_json_entry(entry, keys, number), family)
        except BadField as error:
            yield unreadable(number, f"not an entry of the UniProt service: {error}")


def _json_entry(entry: dict[str, Any], keys: dict[str, str], number: int) -> Protein:
    accession = fields.text(entry, "primaryAccession").strip()
    if reason := entry.get("inactiveReason"):
        why = fields.text(reason, "inactiveReasonType").lower() if isinstance(reason, dict) else "inactive"
        text = f"UniProt has withdrawn the entry ({why or 'inactive'}); take those that replace it, or leave it out"
        return Protein(uid=accession, sequence="", record=number, faults=(Fault("inactive", text),))
    sequence = fields.mapping(entry, "sequence")
    function = _join(
        fields.text(text, "value")
        for comment in fields.mappings(entry, "comments")
        if comment.get("commentType") == "FUNCTION"
        for text in fields.mappings(comment, "texts")
    )
    found = [
        _json_feature(feature, keys[kind], function)
        for feature in fields.mappings(entry, "features")
        if isinstance(kind := feature.get("type"), str) and kind in keys
    ]
    reviewed = fields.text(entry, "entryType").startswith("UniProtKB reviewed")
    return _protein(
        accession,
        fields.text(sequence, "value"),
        fields.text(sequence, "crc64"),
        found,
        function,
        number,
        reviewed,
    )


def _json_feature(feature: dict[str, Any], key: str, function: str) -> Fragment | Fault:
    name = feature["type"]
    try:
        ligand = fields.mapping(feature, "ligand") if feature.get("ligand") else {}
        location = fields.mapping(feature, "location")
        return _fragment(
            key,
            name,
            fields.text(ligand, "name") or fields.text(feature, "description"),
            _exact(fields.mapping(location, "start")),
            _exact(fields.mapping(location, "end")),
            function,
            isoform=fields.text(location, "sequence"),
        )
    except BadField as error:
        return Fault("bad_field", f"a feature of the entry: {error}", name)


def read_flat(path: Path, family: str) -> Iterator[Protein]:
    """Proteins from flat text; entries that Biopython cannot parse (line formats before 2006) are rejected."""
    from Bio import SwissProt
    from Bio.SeqFeature import ExactPosition

    names = features_of(family, path)
    for number, text in _entries(path):
        try:
            entry = SwissProt.read(io.StringIO(text))
            accession = entry.accessions[0]
        except Exception:  # Biopython raises many kinds, whose texts say nothing to a user
            told = "the entry is no UniProt flat text of today's layout; take a newer release of it"
            fault = Fault("unparsable", told)
            stated = re.search(r"^AC\s+(\w+)", text, re.MULTILINE)
            yield Protein(uid=stated[1] if stated else "", sequence="", record=number, faults=(fault,))
            continue
        function = _join(
            _BROKEN_HYPHEN.sub("-", comment.removeprefix("FUNCTION:"))
            for comment in entry.comments
            if comment.startswith("FUNCTION:")
        )
        found = []
        for feature in entry.features:
            if feature.type not in names:
                continue
            start, end = feature.location.start, feature.location.end
            qualifiers = feature.qualifiers
            note = qualifiers.get("ligand") or qualifiers.get("note") or qualifiers.get("description") or ""
            found.append(
                _fragment(
                    feature.type,
                    names[feature.type],
                    note,
                    int(start) + 1 if type(start) is ExactPosition else None,
                    int(end) if type(end) is ExactPosition else None,
                    function,
                    isoform=getattr(feature.location, "ref", None),
                )
            )
        checksum = entry.seqinfo[2] if entry.seqinfo else ""
        reviewed = entry.data_class in _REVIEWED
        protein = _protein(accession, entry.sequence, checksum, found, function, number, reviewed)
        yield of_family(protein, family)


def _entries(path: Path) -> Iterator[tuple[int, str]]:
    """Entries of a flat file as text, each with its end line."""
    lines: list[str] = []
    number = 1
    with opened(path) as text:
        for line in text:
            line = line.lstrip("\ufeff")
            if not lines and not line.strip():
                continue
            if not line.startswith("//"):
                lines.append(line)
                continue
            yield number, "".join([*lines, "//\n"])
            number += 1
            # Files joined with `cat` may have no line break between them.
            lines = [rest] if (rest := line.removeprefix("//").lstrip("\ufeff")).strip() else []
    if lines:
        raise UserError(f"{path}: entry {number}: the file ends inside the entry (no '//' line)")


def _fragment(
    key: str, name: str, note: str, start: int | None, end: int | None, function: str, isoform: str | None
) -> Fragment | Fault:
    """A fragment from 1-based inclusive positions; None where the entry is not exact."""
    note = _ORDINAL.sub("", _bare(note).rstrip("."))
    category = f"{name}: {note}" if note else name
    written = f"{category} {start or '?'}-{end or '?'}"
    if isoform:
        return Fault(
            "other_isoform", f"the position counts along isoform {isoform}, not the entry's sequence", written
        )
    if start is None or end is None:
        return Fault("uncertain_position", "the entry gives no exact start and end", written)
    return Fragment(
        class_name=category,
        class_id=f"UniProtKB-FT:{key}",
        span=Span(start - 1, end),
        description=f"{category}. Protein function: {function}" if function else f"{category}.",
        written=written,
    )


def _protein(
    uid: str,
    sequence: str,
    checksum: str,
    found: Sequence[Fragment | Fault],
    function: str,
    number: int,
    reviewed: bool,
) -> Protein:
    faults = [item for item in found if isinstance(item, Fault)]
    fragments: list[Fragment] = []
    seen: set[tuple[str, Span]] = set()
    for item in found:
        if isinstance(item, Fragment) and (item.class_name, item.span) in seen:
            text = "another feature has the same place and, without its ordinal, the same class; it stands for both"
            faults.append(Fault("same_feature", text, item.written))
        elif isinstance(item, Fragment):
            seen.add((item.class_name, item.span))
            fragments.append(item)
    if checksum and crc64(sequence) != checksum:
        text = f"the sequence's CRC64 is not {checksum}, as the entry says; download the entry again"
        faults += [Fault("checksum", text, fragment.written) for fragment in fragments] or [
            Fault("checksum", text)
        ]
        fragments, sequence, function = [], "", ""
    return Protein(
        uid=uid,
        sequence=sequence,
        fragments=fragments,
        function=function,
        record=number,
        faults=tuple(faults),
        complete=reviewed,
    )


def crc64(sequence: str) -> str:
    """Checksum of a sequence as UniProt writes it: 16 hex digits."""
    from Bio.SeqUtils.CheckSum import crc64 as checksum

    return checksum(sequence).removeprefix("CRC-")


def _exact(position: dict[str, Any]) -> int | None:
    return fields.integer(position, "value") if position.get("modifier") == "EXACT" else None


def _join(texts: Iterator[str]) -> str:
    """Texts of comments without evidence tags and literature references, each ended by a full stop."""
    cleaned = (_bare(text).rstrip(".") for text in texts)
    return " ".join(f"{text}." for text in cleaned if text)


def _bare(text: str) -> str:
    """Text on one line, without evidence tags, literature references and "(By similarity)"."""
    for unwanted in (_EVIDENCE, _REFERENCE, _HEDGE):
        text = unwanted.sub("", " ".join(text.split()))
    return text.strip()
