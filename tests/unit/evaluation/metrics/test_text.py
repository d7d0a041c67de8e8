from collections import Counter
from math import exp, log

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF
from sklearn.metrics import label_ranking_average_precision_score, top_k_accuracy_score

from fragmodel.evaluation.metrics.semantic import Semantics, minilm
from fragmodel.evaluation.metrics.text import TextScores

REFERENCES = [
    "Binds ATP in the presence of magnesium ions.",
    "Zinc finger domain that binds DNA.",
    "Catalyses the transfer of phosphate to a serine residue.",
]
TEXTS = ["Binds ATP and magnesium ions.", "zinc finger domain that binds dna", ""]


def at_once(scores, weights=None):
    weights = np.ones((1, 3)) if weights is None else np.array([weights], dtype=float)
    return {name: float(value[0]) for name, value in scores.values(weights).items()}


def test_bleu_and_chrf_are_those_of_sacrebleu_for_any_resample():
    scores = TextScores(TEXTS, REFERENCES)
    for weights in ([1, 1, 1], [2, 0, 1], [0, 3, 1]):
        got = at_once(scores, weights)
        texts, references = (
            [item for item, weight in zip(side, weights, strict=True) for _ in range(weight)]
            for side in (TEXTS, REFERENCES)
        )
        assert got["bleu_4"] == pytest.approx(BLEU().corpus_score(texts, [references]).score)
        assert got["bleu_2"] == pytest.approx(BLEU(max_ngram_order=2).corpus_score(texts, [references]).score)
        assert got["chrf"] == pytest.approx(CHRF().corpus_score(texts, [references]).score)


def test_bleu_by_hand():
    # Words: 6 of ours (with the full stop), 9 of the reference. Shared: Binds ATP magnesium ions . = 5 of 6;
    # bigrams: Binds-ATP, magnesium-ions, ions-. = 3 of 5. Brevity penalty exp(1 - 9/6).
    got = at_once(TextScores(TEXTS[:1] * 3, REFERENCES[:1] * 3))
    assert got["bleu_2"] == pytest.approx(100 * exp(1 - 9 / 6) * exp((log(5 / 6) + log(3 / 5)) / 2))


def test_chrf_by_hand():
    # Characters shared by "abcd" and "abce": 3 of 4; pairs 2 of 3; triples 1 of 2; fours 0 of 1; longer ones there are
    # none of. Precision and recall are the same means, hence so is their F.
    got = at_once(TextScores(["abcd"] * 3, ["abce"] * 3))
    assert got["chrf"] == pytest.approx(100 * (3 / 4 + 2 / 3 + 1 / 2 + 0) / 4)


def rouge_f1(text, reference, n):
    grams = []
    for item in (text, reference):
        words = "".join(c if c.isalnum() else " " for c in item.lower()).split()
        grams.append(Counter(zip(*(words[i:] for i in range(n)), strict=False)))
    shared = sum((grams[0] & grams[1]).values())
    return 2 * shared / (sum(grams[0].values()) + sum(grams[1].values()) or 1)


def subsequence(a, b):
    """Length of the longest common subsequence, by the obvious recursion."""
    if not a or not b:
        return 0
    if a[0] == b[0]:
        return 1 + subsequence(a[1:], b[1:])
    return max(subsequence(a[1:], b), subsequence(a, b[1:]))


def test_rouge_against_counting():
    got = TextScores(TEXTS, REFERENCES).per_record()
    for n, name in ((1, "rouge_1"), (2, "rouge_2")):
        expected = [rouge_f1(t, r, n) for t, r in zip(TEXTS, REFERENCES, strict=True)]
        assert got[name] == pytest.approx(expected)
    ours = ["binds", "atp", "and", "magnesium", "ions"]
    theirs = ["binds", "atp", "in", "the", "presence", "of", "magnesium", "ions"]
    assert got["rouge_l"][0] == pytest.approx(2 * subsequence(ours, theirs) / (len(ours) + len(theirs)))


def test_exact_match_after_normalisation():
    assert TextScores(TEXTS, REFERENCES).per_record()["exact_match"].tolist() == [0, 1, 0]


def toy_encoder(texts):
    """A direction for each of three words."""
    vectors = np.array(
        [[word in text.lower() for word in ("atp", "zinc", "serine")] for text in texts], dtype=float
    )
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def test_retrieval_ranks_classes_by_their_nearest_description():
    described = {"A": ["serine", "atp"], "B": ["zinc"], "C": ["atp and zinc"], "D": ["zinc"]}
    texts = ["about ATP", "zinc", "", "zinc"]
    semantics = Semantics([*texts, "serine"], described, toy_encoder)
    got = semantics.metrics(texts, ["about ATP", "serine", "zinc", "zinc"], ["A", "C", "B", "unseen"])
    assert got["similarity"].tolist() == pytest.approx([1, 0, 0, 1])
    # A is first by its second description; C is behind B and D; empty text and unseen class find nothing.
    assert got["retrieval_mrr"].tolist() == pytest.approx([1, 1 / 3, 0, 0])
    assert got["retrieval_top1"].tolist() == [1, 0, 0, 0]
    assert got["retrieval_top5"].tolist() == [1, 1, 0, 0]
    # B and D have the same description: neither can be told, so neither is first.
    assert semantics.metrics(["zinc"], ["zinc"], ["B"])["retrieval_mrr"][0] == 0.5


def test_retrieval_agrees_with_scikit_learn():
    """With one right class the reciprocal rank is the average precision of the ranking."""
    rng = np.random.default_rng(3)
    names, count = [f"class {i}" for i in range(12)], 40
    vectors = {text: rng.normal(size=8) for text in [*names, *(f"answer {i}" for i in range(count))]}
    vectors = {text: vector / np.linalg.norm(vector) for text, vector in vectors.items()}
    answers, true = list(vectors)[len(names) :], rng.integers(len(names), size=count)
    semantics = Semantics(
        answers, {name: [name] for name in names}, lambda texts: np.array([vectors[t] for t in texts])
    )
    got = semantics.metrics(answers, answers, [names[i] for i in true])
    cosines = np.array([[vectors[answer] @ vectors[name] for name in names] for answer in answers])
    assert got["retrieval_mrr"].mean() == pytest.approx(
        label_ranking_average_precision_score(np.eye(len(names))[true], cosines)
    )
    for k in (1, 5):
        expected = top_k_accuracy_score(true, cosines, k=k, labels=range(len(names)))
        assert got[f"retrieval_top{k}"].mean() == pytest.approx(expected)


def test_no_retrieval_without_descriptions_or_classes():
    assert set(Semantics(["a"], {}, toy_encoder).metrics(["a"], ["a"], ["A"])) == {"similarity"}
    assert set(Semantics(["a"], {"A": ["a"]}, toy_encoder).metrics(["a"], ["a"], [None])) == {"similarity"}


@pytest.mark.slow
def test_minilm_puts_a_paraphrase_nearer_than_another_subject():
    vectors = minilm([REFERENCES[0], "Needs magnesium to bind ATP.", "The cat sat on the mat."])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert vectors[0] @ vectors[1] > 0.6 > 0.3 > vectors[0] @ vectors[2]
