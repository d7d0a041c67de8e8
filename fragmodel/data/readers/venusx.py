"""VenusX tables as published: a row for a protein and InterPro entry, or (`fragment_cls`) for one fragment.

Positions are 1-based with inclusive ends, several fragments as ``386|449``; item i-1 of ``label`` is residue
i. Rows of one protein are brought together, wherever they stand in the file. ``interpro_label`` (the class as
a number) is not used: its map holds accessions, no names.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fragmodel.data.readers import fields, interpro
from fragmodel.data.readers.fields import BadField
from fragmodel.data.readers.grouping import grouped
from fragmodel.data.records import Fault, Fragment, Protein
from fragmodel.data.text_files import BadRow, Row
from fragmodel.data.validate import capitals, plain_residues
from fragmodel.vocabulary import Span

REQUIRED = ("uid", "interpro_id", "seq_full", "start", "end")
Part = tuple[str, int, int, str | None, str]  # class id, start, end (half-open), text, as written
_ONLY_DIGITS = str.maketrans("", "", "[](), \n\r\t")


def read(rows: Iterator[Row], path: Path) -> Iterator[Protein]:
    """A protein a uid, at the place of its first row. Class names come from an ``entry.list`` beside the
    file.
    """
    names = interpro.entries_beside(path)
    for uid, members in grouped(_parts(rows)):
        chosen = next((member for member in members if member["sequence"]), members[0])
        first, sequence = chosen["record"], chosen["sequence"]
        fragments: list[Fragment] = []
        faults: list[Fault] = []
        for member in members:
            record = member["record"]
            faults += [Fault(*fault) for fault in member["faults"]]
            if plain_residues(member["sequence"]) != plain_residues(sequence):
                text = f"field 'seq_full' differs from that of row {first} with the same uid"
                faults += [Fault("uid_conflict", text, part[4], record) for part in member["parts"]]
                continue
            for class_id, start, end, residues, written in member["parts"]:
                known = names.get(class_id)
                fragments.append(
                    Fragment(
                        class_name=known.name if known else class_id,
                        class_id=class_id,
                        span=Span(start, end),
                        text=residues,
                        written=written,
                        record=record,
                    )
                )
        uid = "" if uid.startswith("\0") else uid
        yield Protein(uid=uid, sequence=sequence, fragments=fragments, record=first, faults=tuple(faults))


def _parts(rows: Iterator[Row]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A row as plain values that can wait on disk: its fragments, or why it has none."""
    for number, row in rows:
        uid, sequence, parts, faults = "", "", [], []
        alone = f"\0{number}"  # key of a row without a uid: it belongs to no other
        if isinstance(row, BadRow):
            faults = [Fault("bad_record", row.detail, None, number)]
            yield alone, {"record": number, "sequence": "", "parts": [], "faults": faults}
            continue
        written = f"{row.get('interpro_id')} {row.get('start')}-{row.get('end')}"
        try:
            uid = fields.text(row, "uid").strip()
            sequence = fields.text(row, "seq_full")
            parts = _fragments(row)
            if text := _label_fault(row, sequence, parts):
                # Where a fragment's own text contradicts its span, the check of spans says more.
                agree = [part for part in parts if _text_agrees(part, sequence)]
                faults = [Fault("label_mismatch", text, part[4], number) for part in agree]
                parts = [part for part in parts if part not in agree]
        except BadField as error:
            faults = [Fault("bad_field", str(error), written, number)]
        yield uid or alone, {"record": number, "sequence": sequence, "parts": parts, "faults": faults}


def _fragments(row: dict[str, Any]) -> list[Part]:
    class_id = fields.text(row, "interpro_id").strip()
    starts, ends = (_split(row.get(name)) for name in ("start", "end"))
    texts = _split(row.get("seq_fragment")) or [None] * len(starts)
    if not starts or len(starts) != len(ends) or len(texts) != len(starts):
        raise BadField(
            f"'start', 'end' and 'seq_fragment' list {len(starts)}, {len(ends)} and {len(texts)} fragments"
        )
    if not all(text is None or isinstance(text, str) for text in texts):
        raise BadField("field 'seq_fragment' is no text")
    return [
        (
            class_id,
            fields.as_integer(start, "field 'start'") - 1,
            fields.as_integer(end, "field 'end'"),
            text,
            f"{class_id} {start}-{end}",
        )
        for start, end, text in zip(starts, ends, texts, strict=True)
    ]


def _split(value: Any) -> list[Any]:
    if value is None or value == "" or value != value:
        return []
    if isinstance(value, list | tuple):
        return list(value)
    return [part.strip() for part in value.split("|")] if isinstance(value, str) else [value]


def _text_agrees(part: Part, sequence: str) -> bool:
    _, start, end, text, _ = part
    return text is None or capitals(sequence.strip()[max(0, start) : end]) == plain_residues(text)


def _label_fault(row: dict[str, Any], sequence: str, parts: list[Part]) -> str | None:
    """The residue labels, where there are any, are 1 on the row's fragments and 0 elsewhere; else a sentence."""
    label = row.get("label")
    if label is None or label == "" or (not isinstance(label, str) and not hasattr(label, "__len__")):
        return None  # `fragment_cls` files have no residue labels
    digits = label if isinstance(label, str) else "".join(map(str, label))
    digits = digits.translate(_ONLY_DIGITS)
    length = len(plain_residues(sequence))
    if len(digits) != length:
        return f"field 'label' has {len(digits)} items for {length} residues"
    expected = bytearray(b"0" * length)
    for _, start, end, _, _ in parts:
        if 0 <= start < end <= length:
            expected[start:end] = b"1" * (end - start)
    if expected.decode() == digits:
        return None
    place = next(i for i, (a, b) in enumerate(zip(expected.decode(), digits, strict=True)) if a != b)
    return f"field 'label' is {digits[place]} at residue {place + 1}, the spans say {chr(expected[place])}"
