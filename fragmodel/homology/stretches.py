"""Fragments as the search for relatives sees them: a short site with its neighbours."""

from collections.abc import Iterable

from fragmodel.vocabulary import Span

SHORT = 30
"""Residues below which a fragment is a site: too short for a significant alignment of its own."""
FLANK = 30
"""Neighbouring residues that a site is searched with, on each side. With both flanks, an alignment of half of the
stretch always reaches into the site."""


def stretches(sequence: str, spans: Iterable[Span]) -> set[str]:
    """The residues of each span, those of a site with :data:`FLANK` more on each side, as far as there are any.

    Spans are 0-based and half-open, within ``sequence``.
    """
    found = set()
    for start, end in spans:
        flank = FLANK if end - start < SHORT else 0
        found.add(sequence[max(0, start - flank) : end + flank])
    return found
