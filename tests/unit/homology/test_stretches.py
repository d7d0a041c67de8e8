"""What of a protein is searched for a fragment."""

import pytest

from fragmodel.homology.stretches import stretches
from fragmodel.vocabulary import Span

SEQUENCE = "".join("ACDEFGHIKLMNPQRSTVWY"[(7 * n + n // 20) % 20] for n in range(200))


@pytest.mark.parametrize(
    ("span", "searched"),
    [
        ((50, 80), (50, 80)),  # 30 residues stand for themselves
        ((50, 79), (20, 109)),
        ((100, 101), (70, 131)),
        ((10, 15), (0, 45)),  # as far as the protein goes
        ((195, 200), (165, 200)),
        ((0, 200), (0, 200)),
    ],
)
def test_sites_have_flanks(span, searched):
    assert stretches(SEQUENCE, [Span(*span)]) == {SEQUENCE[slice(*searched)]}


def test_half_of_a_flanked_site_holds_part_of_the_site():
    for size in range(1, 30):
        (stretch,) = stretches(SEQUENCE, [Span(100, 100 + size)])
        half = -(-len(stretch) // 2)
        # The first and the last alignment of that length, relative to the site.
        assert half > 30 and len(stretch) - half < 30 + size


def test_all_places_count_once():
    assert len(stretches(SEQUENCE, [Span(0, 40), Span(60, 100), Span(0, 40)])) == 2
    assert stretches(SEQUENCE, []) == set()
