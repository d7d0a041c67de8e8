"""Places of one sequence in another, through their alignment."""

from collections.abc import Sequence

from fragmodel.homology.search import Block
from fragmodel.vocabulary import Span

MIN_ALIGNED = 0.5  # part of a span's residues that must be aligned for its place to be known


def map_span(span: Span, blocks: Sequence[Block], *, min_aligned: float = MIN_ALIGNED) -> Span | None:
    """A span of the target as a span of the query: from the first to the last of its aligned residues.

    ``blocks`` are those of a :class:`~fragmodel.homology.search.Hit`. Spans are 0-based and half-open. ``None`` when
    no residue of the span is aligned, or less than ``min_aligned`` of them.
    """
    pieces = []
    for query_start, target_start, length in blocks:
        start, end = max(span.start, target_start), min(span.end, target_start + length)
        if start < end:
            shift = query_start - target_start
            pieces.append(Span(start + shift, end + shift))
    aligned = sum(piece.length for piece in pieces)
    if not pieces or aligned < min_aligned * span.length:
        return None
    return Span(pieces[0].start, pieces[-1].end)
