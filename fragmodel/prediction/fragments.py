"""Fragments to ask about: regions `id:start-end`, BED or GFF3. The positions become 0-based half-open here."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from fragmodel.data.text_files import opened
from fragmodel.errors import UserError
from fragmodel.vocabulary import Span

_REGION = re.compile(r"(?P<uid>\S+):(?P<start>[0-9,]+)-(?P<end>[0-9,]+)")
_DIGITS = 18  # of a position
_NAMES = ("Name", "ID")  # GFF3 attributes that may name a fragment


@dataclass(frozen=True, slots=True)
class NamedSpan:
    """A fragment of the protein ``uid``; ``where`` is the file and line that it comes from."""

    uid: str
    span: Span
    name: str
    where: str


def read_fragments(sources: Iterable[str]) -> dict[str, list[NamedSpan]]:
    """Fragments by protein, in the order given. A source is a file, or a region `id:start-end` itself.

    Regions count from 1 and include their end, as samtools and NCBI write them; BED counts from 0 and leaves the end
    out; GFF3 counts from 1 and includes it. A file's first data line tells its format: nine columns are GFF3, three
    to twelve BED, none a region. Raises :class:`UserError` with file, line and remedy.
    """
    found: dict[str, list[NamedSpan]] = {}
    for source in sources:
        if not Path(source).exists() and (region := _REGION.fullmatch(source)):
            fragments: Iterable[NamedSpan] = [_region(region, "--fragments")]
        else:
            fragments = _read(Path(source))
        for fragment in fragments:
            found.setdefault(fragment.uid, []).append(fragment)
    if not found:
        raise UserError("--fragments: no fragment was given; write regions id:start-end, BED or GFF3")
    return found


def check_inside(fragments: Iterable[NamedSpan], length: int) -> None:
    """Raise :class:`UserError` for a fragment that leaves its protein of ``length`` residues."""
    for fragment in fragments:
        if fragment.span.end > length:
            raise UserError(
                f"{fragment.where}: the fragment ends at residue {fragment.span.end} of '{fragment.uid}', "
                f"which has {length}; mend its positions"
            )


def _read(path: Path) -> Iterator[NamedSpan]:
    columns = None
    with opened(path) as handle:
        for number, line in enumerate(handle, start=1):
            line = line.rstrip("\r\n")
            if line.startswith("##FASTA"):
                return  # the rest of a GFF3 file may be sequences
            if not line.strip() or line.startswith(("#", "track ", "browser ")):
                continue
            where = f"{path} line {number}"
            fields = line.split("\t")
            columns = columns or len(fields)
            if len(fields) != columns:
                raise UserError(f"{where}: {len(fields)} columns, the lines before have {columns}")
            if columns == 9 and not fields[1].isdigit():
                yield _gff3(fields, where)
            elif columns >= 3:
                yield _bed(fields, where)
            elif region := _REGION.fullmatch(line.strip()):
                yield _region(region, where)
            else:
                raise UserError(f"{where}: expected id:start-end, tab-separated BED or GFF3")


def _region(match: re.Match[str], where: str) -> NamedSpan:
    start, end = (match[name].replace(",", "") for name in ("start", "end"))
    return NamedSpan(match["uid"], _span(start, end, 1, where), "", where)


def _bed(fields: list[str], where: str) -> NamedSpan:
    name = fields[3] if len(fields) > 3 else ""
    return NamedSpan(fields[0], _span(fields[1], fields[2], 0, where), name, where)


def _gff3(fields: list[str], where: str) -> NamedSpan:
    attributes = dict(pair.split("=", 1) for pair in fields[8].split(";") if "=" in pair)
    name = next((unquote(attributes[key]) for key in _NAMES if key in attributes), "")
    return NamedSpan(unquote(fields[0]), _span(fields[3], fields[4], 1, where), name, where)


def _span(start: str, end: str, first: int, where: str) -> Span:
    """Positions as written, where the first residue is ``first`` (with 1, the end is included)."""
    if not (start.isdecimal() and end.isdecimal() and max(len(start), len(end)) <= _DIGITS):
        raise UserError(f"{where}: '{start[:20]}' and '{end[:20]}' are no positions; write whole numbers")
    span = Span(int(start) - first, int(end))
    if not 0 <= span.start < span.end:
        raise UserError(
            f"{where}: {start} to {end} holds no residue; positions count from {first} and the end lies after the start"
        )
    return span
