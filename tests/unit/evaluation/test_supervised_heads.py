"""The linear heads on stored states and what they are made of, each against an independent computation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from small_tables import grounding_record, record, write_records

from fragmodel.evaluation.baselines.probe import LinearProbe
from fragmodel.evaluation.baselines.segments import maximal_segments
from fragmodel.evaluation.baselines.softmax import SoftmaxRegression
from fragmodel.evaluation.baselines.states import nearest_rows
from fragmodel.evaluation.parse import parse_spans
from fragmodel.evaluation.references import read_references

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


class LetterStore:
    """States that tell the letters apart."""

    def get(self, sequence):
        import torch

        states = np.eye(len(LETTERS))[[LETTERS.index(letter) for letter in sequence]]
        return torch.from_numpy(np.concatenate([states[:1] * 50, states, states[:1] * 50])).float()


def ground(folder, rows):
    return list(read_references([write_records(folder, rows)]).values())


def test_the_head_is_the_logistic_regression_of_scikit_learn():
    """Three overlapping clouds of 1,500, 150 and 15 points, with balanced weights."""
    dice = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [1500, 150, 15])
    rows = dice.normal(size=(len(labels), 4)) * [1, 5, 0.2, 0] + np.eye(3, 4)[labels] * [2, 8, 0.5, 0] + 3
    rows = rows.astype(np.float32)
    head = SoftmaxRegression(rows, labels, 3)
    reference = LogisticRegression(class_weight="balanced", C=100, max_iter=1000).fit(rows, labels)
    assert (head.predict(rows) == reference.predict(rows)).mean() > 0.98
    ours = head.logits(rows)
    odds, expected = ours[:, 1:] - ours[:, :1], reference.decision_function(rows)
    expected = expected[:, 1:] - expected[:, :1]
    assert np.abs(odds - expected)[:, 0].mean() < 0.5  # of 4.8 in the mean
    assert np.array_equal(SoftmaxRegression(rows, labels, 3).logits(rows), ours)


def by_definition(scores, first, end):
    """The segment with the greatest sum, then the same on either side (Ruzzo & Tompa 1999, proposition 1)."""
    sums = {(i, j): sum(scores[i:j]) for i in range(first, end) for j in range(i + 1, end + 1)}
    if not sums or max(sums.values()) <= 0:
        return []
    start, stop = max(sums, key=sums.__getitem__)
    return [*by_definition(scores, first, start), (start, stop), *by_definition(scores, stop, end)]


@given(st.integers(0, 25), st.integers(0, 2**32))
def test_segments_are_those_of_the_definition(length, seed):
    scores = np.random.default_rng(seed).normal(size=length).tolist()  # no two sums are equal
    found = maximal_segments(scores)
    assert [tuple(span) for span, _ in found] == by_definition(scores, 0, length)
    assert all(total == pytest.approx(sum(scores[slice(*span)])) for span, total in found)


def test_blocks_do_not_change_the_nearest_row():
    dice = np.random.default_rng(2)
    memory, queries = (dice.integers(-2, 3, size=(n, 3)).astype(np.float32) for n in (131, 57))
    expected = [int(np.argmax(memory @ query)) for query in queries]  # ties: the first
    for block in (1, 5, 200):
        assert nearest_rows(memory, queries, block=block).tolist() == expected


def test_classes_and_their_usual_descriptions(tmp_path):
    def rows(task, answers):
        return [
            record(
                f"{task}{n}", "T", task, classes=[name], answer=text, sequence="GGG" + 4 * letter, ref=[3, 7]
            )
            for n, (name, letter, text) in enumerate(answers)
        ]

    known = [
        ("Finger", "W", "Zinc."),
        ("Finger", "W", "Zinc."),
        ("Finger", "W", "Z."),
        ("Loop", "C", "A loop."),
    ]
    asked = [("", "C", ""), ("", "W", "")]
    described, queries = (ground(tmp_path, rows("referring_desc", each)) for each in (known, asked))
    assert list(LinearProbe(LetterStore())(described, queries).values()) == ["A loop.", "Zinc."]
    named, queries = (ground(tmp_path, rows("referring_class", each)) for each in (known, asked))
    assert list(LinearProbe(LetterStore())(named, queries).values()) == ["Loop", "Finger"]
    assert (
        LinearProbe(LetterStore())(named, ground(tmp_path, [record("f", "P", "function", answer="x")])) == {}
    )


def tagged(folder, task, asked):
    known = [
        grounding_record("k1", "T1", {"Wing": [(4, 10)]}, task, "AAAA" + "W" * 6 + "AAAAGGGG"),
        grounding_record("k2", "T2", {"Coil": [(2, 5), (8, 11)]}, task, "GGCCCGAACCCAAAAAAA"),
        grounding_record("k3", "T3", {"Coil": [(6, 9)]}, task, "AAGGAACCCAAAAAAAAA"),
    ]
    probe = LinearProbe(LetterStore())
    texts = probe(ground(folder, known), ground(folder, asked))
    return [parse_spans(text, 20).groups for text in texts.values()], list(probe.residue_scores.values())


def test_places_of_the_class_in_question(tmp_path):
    window = "AACCCAAAWWWWWWAGGCCC"
    asked = [
        grounding_record("a", "P", {"wing": [(8, 14)]}, "grounding_single", window),
        grounding_record("b", "P", {"Coil": [(2, 5), (17, 20)]}, "grounding_single", window),
        grounding_record("c", "Q", {"Coil": [(0, 3)]}, "grounding_single", "A" * 20),
    ]
    (wing, coil, nothing), scores = tagged(tmp_path, "grounding_single", asked)
    assert (wing[0][1], coil[0][1]) == ([(8, 14)], [(2, 5), (17, 20)])
    assert [span.length for span in nothing[0][1]] == [3]  # a guess, as long as usual
    for letter, own in zip("WC", scores, strict=False):  # of the class in question, not of any
        assert set(np.argsort(-own)[: window.count(letter)]) == {
            n for n, each in enumerate(window) if each == letter
        }


def test_classes_are_found_too(tmp_path):
    asked = [
        grounding_record("a", "P", {"Wing": [(8, 14)], "Coil": [(2, 5)]}, sequence="AACCCAAAWWWWWWAGGAAA"),
        # The cut-off coil at the end is neither right nor wrong.
        grounding_record("b", "P", {"Coil": [(0, 3)]}, sequence="CCCAAAAAAAAAAAAAAAAC")
        | {"position_ignored": [{"class_name": "Coil", "start": 19, "end": 20}]},
    ]
    (both, one), scores = tagged(tmp_path, "grounding_group", asked)
    assert both == [("Coil", [(2, 5)]), ("Wing", [(8, 14)])] and one == [("Coil", [(0, 3)])]
    for row, own in zip(asked, scores, strict=True):
        letters = np.array(list(row["sequence"]))
        assert own[np.isin(letters, ["W", "C"])].min() > own[np.isin(letters, ["A", "G"])].max()
