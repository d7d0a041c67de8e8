"""Metrics of free text (`referring_desc`, `function`); definitions and sources are in docs/metrics.md.

BLEU and chrF are sacrebleu's, on its scale of 0 to 100; ROUGE is rouge-score's, and all else lies between 0
and 1.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from fragmodel.evaluation.metrics.bootstrap import Values, Weights
from fragmodel.evaluation.metrics.ratios import divide
from fragmodel.evaluation.parse import normalise

_ROUGE = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}


class TextScores:
    """Overlap statistics of each text with its reference.

    ``extra`` holds further metrics by record that are averaged, such as those of
    :mod:`fragmodel.evaluation.metrics.semantic`.
    """

    def __init__(self, texts: Sequence[str], references: Sequence[str], extra: Values | None = None) -> None:
        pairs = list(zip(texts, references, strict=True))
        # sacrebleu adds these statistics up over segments, in its own bootstrap too.
        self._statistics = {
            name: np.array(metric._extract_corpus_statistics(texts, [references]), dtype=np.float64)
            for name, metric in _sacrebleu().items()
        }
        self._means: Values = {
            "exact_match": np.array([normalise(text) == normalise(reference) for text, reference in pairs]),
            **_rouge(pairs),
            **(extra or {}),
        }

    def values(self, weights: Weights) -> Values:
        """Metrics of each resample: BLEU and chrF of the resampled corpus, means of all others."""
        result = {name: _combine(name, weights @ numbers) for name, numbers in self._statistics.items()}
        total = weights.sum(axis=1)
        return result | {
            name: divide(weights @ values, total, empty=np.nan) for name, values in self._means.items()
        }

    def per_record(self) -> Values:
        """Metrics of each record; BLEU and chrF are sentence scores."""
        sentences = {
            name: _combine(name, numbers, sentence=True) for name, numbers in self._statistics.items()
        }
        return sentences | {name: values.astype(np.float64) for name, values in self._means.items()}


@cache
def _sacrebleu(sentence: bool = False) -> dict[str, Any]:
    from sacrebleu.metrics import BLEU, CHRF

    # A single sentence may be shorter than four words: then BLEU takes the n-grams that it has (effective
    # order). `force` only silences the warning about texts that end in " .".
    return {
        "bleu_2": BLEU(max_ngram_order=2, effective_order=sentence, force=True),
        "bleu_4": BLEU(effective_order=sentence, force=True),
        "chrf": CHRF(),
    }


def _combine(name: str, sums: np.ndarray, sentence: bool = False) -> np.ndarray:
    """sacrebleu's score for each row of added-up statistics."""
    metric = _sacrebleu(sentence)[name]
    return np.array([metric._compute_score_from_stats(row).score for row in sums.astype(int).tolist()])


def _rouge(pairs: Sequence[tuple[str, str]]) -> Values:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(_ROUGE.values()))
    scores = [scorer.score(reference, text) for text, reference in pairs]
    return {
        name: np.array([score[rouge].fmeasure for score in scores], dtype=np.float64)
        for name, rouge in _ROUGE.items()
    }
