"""Spans through alignments."""

from hypothesis import given
from hypothesis import strategies as st

from fragmodel.homology.mapping import map_span
from fragmodel.homology.search import Block
from fragmodel.vocabulary import Span


def test_by_hand():
    # Target residues 10-19 face query residues 0-9, target 20-24 face nothing, target 25-29 face query 10-14.
    blocks = [Block(0, 10, 10), Block(10, 25, 5)]
    assert map_span(Span(12, 15), blocks) == (2, 5)
    assert map_span(Span(18, 27), blocks) is None  # 4 of 9 residues are aligned
    assert map_span(Span(18, 27), blocks, min_aligned=0.4) == (8, 12)
    assert map_span(Span(16, 27), blocks) == (6, 12)  # 6 of 11
    assert map_span(Span(0, 5), blocks) is None
    assert map_span(Span(0, 5), blocks, min_aligned=0) is None


def slow(span, blocks, min_aligned):
    """Residue by residue."""
    query_of = {target + i: query + i for query, target, length in blocks for i in range(length)}
    inside = [query_of[residue] for residue in range(span.start, span.end) if residue in query_of]
    if not inside or len(inside) / (span.end - span.start) < min_aligned:
        return None
    return (min(inside), max(inside) + 1)


@st.composite
def alignments(draw):
    query = target = 0
    blocks = []
    for skip_query, skip_target, length in draw(
        st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(1, 8)), max_size=8)
    ):
        query, target = query + skip_query, target + skip_target
        blocks.append(Block(query, target, length))
        query, target = query + length, target + length
    return blocks


@given(alignments(), st.integers(0, 60), st.integers(1, 40), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_as_residue_by_residue(blocks, start, length, min_aligned):
    span = Span(start, start + length)
    assert map_span(span, blocks, min_aligned=min_aligned) == slow(span, blocks, min_aligned)
