"""Fragments drawn along a protein, and the words for their places: residues count from 1, the last included."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from fragmodel.evaluation.parse import normalise
from fragmodel.report import labels

_WRITTEN = re.compile(r"\((\d{1,9}),\s*(\d{1,9})\)")
_STEPS = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Track:
    """Boxes along the whole protein, each (left, width) in percent of it and its place in words."""

    name: str
    boxes: list[tuple[float, float, str]]
    class_id: str = ""
    sure: list[float] = field(default_factory=list)  # confidence of each box, 0 to 1, where stated

    @property
    def places(self) -> str:
        """All places in words."""
        return ", ".join(text for *_, text in self.boxes)


def tracks(
    groups: Sequence[tuple[str, Sequence[Sequence[int]]]],
    start: int,
    whole: int,
    class_ids: Mapping[str, str] | None = None,
    sure: Sequence[float] = (),
) -> list[Track]:
    """A track for each class; ``groups`` hold spans within a window that begins at residue ``start`` of ``whole``.

    ``class_ids`` are by class name as :func:`fragmodel.evaluation.parse.normalise` leaves it, ``sure`` is the
    confidence of each span, where stated.
    """
    left = iter(sure)
    return [
        Track(
            labels.shorten(name, 80),
            [
                (*percent(start + first, start + last, whole), place(start + first, start + last))
                for first, last in spans
            ],
            (class_ids or {}).get(normalise(name), ""),
            list(islice(left, len(spans))),
        )
        for name, spans in groups
    ]


def place(first: int, last: int) -> str:
    """The place of 0-based half-open residues in words: ``101–110``, or ``151`` for a single one."""
    return f"{first + 1}" if last == first + 1 else f"{first + 1}–{last}"


def in_protein(text: str, start: int) -> str:
    """An answer with the places that the model writes, ``(0,10)`` in a window from ``start``, as they are shown."""
    return _WRITTEN.sub(lambda found: place(start + int(found[1]), start + int(found[2])), text)


def percent(first: int, last: int, whole: int) -> tuple[float, float]:
    """Left and width of residues in percent of the protein."""
    return round(100 * first / whole, 3), round(100 * (last - first) / whole, 3)


def ruler(whole: int) -> list[tuple[float, int]]:
    """Residue numbers along a protein of ``whole`` residues, and where they stand: the middle of each, in percent."""
    step = next(
        size for power in range(12) for first in _STEPS if (size := first * 10**power) and whole / size <= 5
    )
    # One that is too near the last number would touch it.
    between = [number for number in range(step, whole, step) if whole - number >= step / 2]
    return [
        (round(100 * (number - 0.5) / whole, 3), number) for number in dict.fromkeys((1, *between, whole))
    ]
