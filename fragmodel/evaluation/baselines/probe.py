"""Supervised heads on the frozen encoder's states: what the embeddings tell without a language model."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from fragmodel.data.prompts import plain
from fragmodel.evaluation.baselines.priors import Texts, most_common
from fragmodel.evaluation.baselines.softmax import SoftmaxRegression
from fragmodel.evaluation.baselines.states import Store, pooled
from fragmodel.evaluation.baselines.tagging import ResidueTagger
from fragmodel.evaluation.references import Key, Reference
from fragmodel.vocabulary import GROUNDING_TASKS, REFERRING_TASKS


class LinearProbe:
    """A linear head for each task.

    Referring: multinomial logistic regression on the mean state of the fragment; a description is the most frequent one
    of the class in training. Grounding: a linear tagger of residues (:class:`ResidueTagger`), whose scores
    of residues are kept in ``residue_scores`` by record. No function.
    """

    def __init__(self, store: Store, seed: int = 1) -> None:
        self._store, self._seed = store, seed
        self.residue_scores: dict[Key, np.ndarray] = {}

    def __call__(self, known: Sequence[Reference], asked: Sequence[Reference]) -> Texts:
        """An answer for each record of ``asked``."""
        task = asked[0].key.task_type
        if task in REFERRING_TASKS:
            return self._classify(known, asked)
        if task not in GROUNDING_TASKS or not any(spans for record in known for _, spans in record.groups):
            return {}
        texts, self.residue_scores = ResidueTagger(self._store, known, seed=self._seed).answer(asked)
        return texts

    def _classify(self, known: Sequence[Reference], asked: Sequence[Reference]) -> Texts:
        answers: dict[str, list[str]] = defaultdict(list)
        for record in known:
            describes = record.key.task_type == "referring_desc"
            answers[record.class_name].append(record.answer if describes else plain(record.class_name))
        names = sorted(answers)
        column = {name: label for label, name in enumerate(names)}
        labels = np.array([column[record.class_name] for record in known])
        head = SoftmaxRegression(pooled(self._store, known), labels, len(names), seed=self._seed)
        said = [most_common(answers[name]) for name in names]
        predicted = head.predict(pooled(self._store, asked))
        return {record.key: said[label] for record, label in zip(asked, predicted, strict=True)}
