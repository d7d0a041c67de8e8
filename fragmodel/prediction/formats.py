"""Results as lines of GFF3, BED, TSV or JSON Lines, each with its own coordinates.

A row is a protein: ``id``, ``length`` and either ``annotations`` (grounding: class, class_ids, family, start, end) with
``calibrated`` (their confidences), ``none`` (class, family), ``texts``, ``faults`` and ``evidence``, or ``fragments``
(referring: name, start, end, shown_start, shown_end, stopped, calibrated, text, class_ids, evidence; `function` has the
whole protein in the place of a fragment). Its positions, like those of JSON Lines and BED, are 0-based and half-open;
GFF3 and TSV count from 1 and include the end.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fragmodel.data.grammar import NONE
from fragmodel.errors import UserError

Row = dict[str, Any]

# Terms of the Sequence Ontology; what has none of its own is a region.
_SO_TERMS = {
    "domain": "polypeptide_domain",
    "motif": "polypeptide_motif",
    "binding site": "binding_site",
}
_REGION_TERM = "polypeptide_region"
# The names of databases that go before their ids in `Dbxref`; ids of no known form are the data's own.
_DATABASES = {"InterPro": r"IPR\d{6}", "Pfam": r"PF\d{5}"}
_OWN_IDS = "class"
_SUFFIXES = {
    ".gff3": "gff3",
    ".gff": "gff3",
    ".bed": "bed",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_GROUNDING_COLUMNS = ("id", "length", "class", "family", "start", "end", "confidence", "class_ids")
_REFERRING_COLUMNS = (
    *(
        "id",
        "length",
        "name",
        "start",
        "end",
        "shown_start",
        "shown_end",
        "stopped",
        "confidence",
        "text",
        "class_ids",
    ),
)


def choose_format(output: Path, stated: str | None, referring: bool) -> str:
    """The format by name, else by the output's suffix. Raises :class:`UserError` for one that does not serve."""
    name = stated or _SUFFIXES.get(output.suffix.lower())
    writers = _REFERRING if referring else _GROUNDING
    if name is None:
        if str(output) == "-":
            raise UserError(f"--output -: standard output tells no format; add --format {', '.join(writers)}")
        raise UserError(f"--output {output}: the suffix names no format; add --format {', '.join(writers)}")
    if name not in writers:
        kind = "referring" if referring else "grounding"
        raise UserError(f"format '{name}' cannot hold the results of a {kind} task; use {', '.join(writers)}")
    return name


def render(rows: Iterable[Row], name: str, referring: bool) -> Iterator[str]:
    """Lines with their ends, in the order of the rows."""
    yield from (_REFERRING if referring else _GROUNDING)[name](rows)


def _gff3(rows: Iterable[Row]) -> Iterator[str]:
    yield "##gff-version 3\n"
    told = False  # whether the confidences are calibrated
    for row in rows:
        if row["annotations"] and "calibrated" in row and not told:
            told = True
            yield f"#!confidence {'calibrated' if row['calibrated'] else 'uncalibrated'}\n"
        # Characters that the specification allows unescaped in a sequence id.
        uid = quote(row["id"], safe=".:^*$@!+_?-|")
        yield f"##sequence-region {uid} 1 {row['length']}\n"
        for absence in row.get("none", ()):
            yield f"# none: {uid} {' '.join((absence['class'] or absence['family']).split())}\n"
        for number, place in enumerate(row["annotations"], start=1):
            attributes = {
                "ID": [f"{row['id']}:{number}"],
                "Name": [place["class"]],
                "family": [place["family"]],
                "Dbxref": [f"{_database(name)}:{name}" for name in place.get("class_ids", ())],
            }
            written = ";".join(
                f"{key}={','.join(map(_attribute, values))}"
                for key, values in attributes.items()
                if any(values)
            )
            term = _SO_TERMS.get(place["family"], _REGION_TERM)
            columns = (
                uid,
                "fragmodel",
                term,
                place["start"] + 1,
                place["end"],
                _sure(place, "."),
                ".",
                ".",
                written,
            )
            yield "\t".join(map(str, columns)) + "\n"


def _database(class_id: str) -> str:
    return next((name for name, form in _DATABASES.items() if re.fullmatch(form, class_id)), _OWN_IDS)


def _attribute(value: str) -> str:
    """Percent-encode what has a meaning in GFF3 attributes, control characters, and quotes, which readers strip."""
    return re.sub(r"[%;=&,\"\x00-\x1f\x7f]", lambda match: f"%{ord(match[0]):02X}", value)


def _bed(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        for place in row["annotations"]:
            # The specification: 1 to 255 printable ASCII characters.
            name = re.sub(r"[^\x20-\x7e]", "?", place["class"])[:255] or "."
            score = round(1000 * (place.get("confidence") or 0))
            yield f"{row['id']}\t{place['start']}\t{place['end']}\t{name}\t{score}\t.\n"


def _grounding_tsv(rows: Iterable[Row]) -> Iterator[str]:
    yield _tabbed(_GROUNDING_COLUMNS)
    for row in rows:
        for place in row["annotations"]:
            where = (place["start"] + 1, place["end"], _sure(place, ""), _ids(place))
            yield _tabbed((row["id"], row["length"], place["class"], place["family"], *where))
        for absence in row.get("none", ()):
            name = absence["class"] or NONE
            yield _tabbed((row["id"], row["length"], name, absence["family"], "", "", _sure(absence, ""), ""))


def _ids(row: Row) -> str:
    return ",".join(row.get("class_ids", ()))


def _sure(row: Row, unknown: str) -> str:
    """The confidence of a place or a text; ``unknown`` where there is none."""
    return unknown if row.get("confidence") is None else f"{row['confidence']:.4g}"


def _referring_tsv(rows: Iterable[Row]) -> Iterator[str]:
    yield _tabbed(_REFERRING_COLUMNS)
    for row in _fragments(rows):
        shifted = row | {name: row[name] + 1 for name in ("start", "shown_start")}
        shifted |= {"confidence": _sure(row, ""), "class_ids": _ids(row)}
        yield _tabbed(shifted[column] for column in _REFERRING_COLUMNS)


def _tabbed(values: Iterable[Any]) -> str:
    return "\t".join(" ".join(str(value).split()) for value in values) + "\n"


def _fragments(rows: Iterable[Row]) -> Iterator[Row]:
    for row in rows:
        for fragment in row["fragments"]:
            yield {"id": row["id"], "length": row["length"], **fragment}


def _jsonl(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"


_Writer = Callable[[Iterable[Row]], Iterator[str]]
_GROUNDING: dict[str, _Writer] = {"gff3": _gff3, "bed": _bed, "tsv": _grounding_tsv, "jsonl": _jsonl}
_REFERRING: dict[str, _Writer] = {
    "tsv": _referring_tsv,
    "jsonl": lambda rows: _jsonl(_fragments(rows)),
}
