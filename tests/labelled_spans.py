"""Lists of a few labelled spans for property tests, and the plain ways to compare them."""

from itertools import permutations

import numpy as np
from hypothesis import strategies as st

from fragmodel.pairing import Labelled
from fragmodel.vocabulary import Span

LENGTH = 24
SPANS = st.lists(
    st.builds(
        lambda label, start, size: Labelled(label, Span(start, min(LENGTH, start + size))),
        st.sampled_from("ab"),
        st.integers(0, LENGTH - 1),
        st.integers(1, 12),
    ),
    max_size=4,
)


def residues(span):
    plane = np.zeros(LENGTH, dtype=int)
    plane[span.start : span.end] = 1
    return plane


def brute_force(matrix):
    """Largest total of one-to-one pairs, by trying every assignment."""
    rows, columns = matrix.shape
    if rows > columns:
        return brute_force(matrix.T)
    return max(
        (
            sum(matrix[row, column] for row, column in enumerate(order))
            for order in permutations(range(columns), rows)
        ),
        default=0,
    )
