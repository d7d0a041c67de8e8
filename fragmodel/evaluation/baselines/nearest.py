"""Nearest neighbour in the space of the frozen encoder: its class, description or places are the answer."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from fragmodel.data.grammar import NONE, grounding_answer
from fragmodel.data.prompts import plain
from fragmodel.evaluation.baselines.priors import Texts, scaled
from fragmodel.evaluation.baselines.states import Store, nearest_rows, pooled, unit
from fragmodel.evaluation.parse import normalise
from fragmodel.evaluation.references import Reference
from fragmodel.vocabulary import GROUNDING_TASKS


class NearestEmbedding:
    """Cosine similarity of mean-pooled encoder states.

    Referring tasks pool the residues of the fragment, all others the whole window. `grounding_single`
    searches the training records of the class in question, those of proteins without it among them; a class
    without any is nowhere. Places keep their relative position.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, known: Sequence[Reference], asked: Sequence[Reference]) -> Texts:
        """An answer for each record of ``asked``."""
        memory, queries = (unit(pooled(self._store, records)) for records in (known, asked))
        texts = {record.key: NONE for record in asked}  # where training has no such class
        for among, askers in _searches(known, asked):
            rows = nearest_rows(_taken(memory, among), _taken(queries, askers))
            for asker, row in zip(askers, rows, strict=True):
                texts[asked[asker].key] = _transfer(known[among[row]], asked[asker])
        return texts


def _taken(vectors: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Some rows; where all are meant, no copy, which would be as large as all that training has."""
    return vectors if len(rows) == len(vectors) else vectors[rows]


def _searches(
    known: Sequence[Reference], asked: Sequence[Reference]
) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """Rows of training, and the rows of ``asked`` that search them: of the same class where one is asked for."""
    if asked[0].key.task_type != "grounding_single":
        yield range(len(known)), range(len(asked))
        return
    of_class: dict[str, list[int]] = defaultdict(list)
    askers: dict[str, list[int]] = defaultdict(list)
    for rows, records in ((of_class, known), (askers, asked)):
        for index, record in enumerate(records):
            rows[normalise(record.class_name)].append(index)
    yield from ((of_class[name], rows) for name, rows in askers.items() if name in of_class)


def _transfer(neighbour: Reference, record: Reference) -> str:
    task = record.key.task_type
    if task in GROUNDING_TASKS:
        groups = [
            (name, [scaled(span, neighbour.length, record.length) for span in spans])
            for name, spans in neighbour.groups
        ]
        return grounding_answer(task, groups)
    return plain(neighbour.class_name) if task == "referring_class" else neighbour.answer
