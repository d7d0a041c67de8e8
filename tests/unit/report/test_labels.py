"""Names and numbers as readers see them."""

import pytest

from fragmodel.evaluation import parse
from fragmodel.report import labels
from fragmodel.vocabulary import TASK_TYPES


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("clean", "No relative in training"),
        ("fragment_length_1", "Fragment of 1 residue"),
        ("fragment_length_2-20", "Fragment of 2–20 residues"),
        ("identity_0.3-0.5", "Identity of the protein to training 0.3–0.5"),
        ("fragment_identity_0.9-1", "Identity of the fragment to training 0.9–1"),
        ("something_new", "Something new"),
    ],
)
def test_names_of_parts(key, text):
    assert labels.part(key) == text


def test_every_task_has_a_name():
    assert set(labels.TASKS) == set(TASK_TYPES)


def test_every_status_that_parsing_gives_has_a_group():
    statuses = {value for name, value in vars(parse).items() if name.isupper() and isinstance(value, str)}
    known = {status for members in labels.STATUS_GROUPS.values() for status in members}
    assert {"ok", "empty", "missing"} <= statuses & known
    assert not (statuses & {parse.NO_SPAN, parse.UNKNOWN, parse.REVERSED, parse.OUT_OF_RANGE}) - known


def test_numbers_for_readers():
    assert labels.size(1_234_567) == "1.23\u202fM"
    assert labels.count(12345) == "12\u202f345"
    assert [labels.signed(value) for value in (0.2541, -0.012, -0.0001)] == ["+0.254", "−0.012", "0.000"]
    assert labels.shorten("a  b\x00c", 10) == "a b\ufffdc"
    assert labels.shorten("abcdefgh", 4) == "abc…"
