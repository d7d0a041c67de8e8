"""Nested JSON (FragLLM / VenusX): a protein with classes, each with its fragments.

Positions are 0-based with inclusive ends: the fragment is ``sequence[start_position : end_position + 1]``.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fragmodel.data.readers import fields
from fragmodel.data.readers.fields import BadField
from fragmodel.data.records import Fault, Fragment, Protein
from fragmodel.data.text_files import BadRow, Row
from fragmodel.vocabulary import Span

REQUIRED = ("uid", "sequence", "fragments")
_COMPLETE = ("yes", "true")  # of the field `completeness`


def read(rows: Iterator[Row], path: Path) -> Iterator[Protein]:
    """A protein a row; classes and fragments that cannot be read become its faults."""
    for number, row in rows:
        if isinstance(row, BadRow):
            yield unreadable(number, row.detail)
            continue
        fragments: list[Fragment] = []
        faults: list[Fault] = []
        try:
            classes = fields.nested(row, "fragments") or []
            if not isinstance(classes, list):
                raise BadField(f"field 'fragments' is {type(classes).__name__}, expected a list")
            for entry in classes:
                for found in _fragments(entry):
                    if isinstance(found, Fragment):
                        fragments.append(found)
                    else:
                        faults.append(found)
            yield Protein(
                uid=fields.text(row, "uid", "accession").strip(),
                sequence=fields.text(row, "sequence"),
                fragments=fragments,
                function=fields.text(row, "function"),
                record=number,
                faults=tuple(faults),
                complete=str(row.get("completeness")).strip().lower() in _COMPLETE,
            )
        except BadField as error:
            lost = [Fault("bad_field", str(error), fragment.written) for fragment in fragments]
            lost = lost or ([] if faults else [Fault("bad_field", str(error))])
            yield Protein(uid=_name(row), sequence="", record=number, faults=(*faults, *lost))


def unreadable(number: int, detail: str) -> Protein:
    """A stand-in for a record of which nothing can be read."""
    return Protein(uid="", sequence="", record=number, faults=(Fault("bad_record", detail),))


def of_family(protein: Protein, family: str) -> Protein:
    """The protein with a note when a file of all families has nothing of the asked one for it."""
    if family == "fragment" or protein.fragments or protein.faults:
        return protein
    return replace(
        protein, faults=(Fault("other_family", f"the entry has no {family}; nothing is wrong with it"),)
    )


def _fragments(entry: Any) -> Iterator[Fragment | Fault]:
    if not isinstance(entry, dict):
        yield Fault("bad_field", f"an item of 'fragments' is {type(entry).__name__}, expected an object")
        return
    try:
        class_id = fields.text(entry, "interpro_id").strip()
        name = " ".join(fields.text(entry, "category", "interpro_id").split())
        description = fields.text(entry, "description")
        places = entry.get("frags") or []
        if not isinstance(places, list):
            raise BadField(f"field 'frags' is {type(places).__name__}, expected a list")
        if not places:
            raise BadField("field 'frags' is empty: the class has no place")
    except BadField as error:
        yield Fault("bad_field", str(error), str(entry.get("interpro_id") or entry.get("category") or ""))
        return
    for place in places:
        written = class_id or name
        try:
            if not isinstance(place, dict):
                raise BadField(f"an item of 'frags' is {type(place).__name__}, expected an object")
            written = f"{written} {place.get('start_position')}-{place.get('end_position')}"
            yield Fragment(
                class_name=name,
                class_id=class_id,
                span=Span(fields.integer(place, "start_position"), fields.integer(place, "end_position") + 1),
                description=description,
                text=fields.text(place, "sequence") or None,
                length=fields.integer(place, "length") if place.get("length") is not None else None,
                written=written,
            )
        except BadField as error:
            yield Fault("bad_field", str(error), written)


def _name(row: dict[str, Any]) -> str:
    uid = row.get("uid")
    return uid if isinstance(uid, str) else ""
