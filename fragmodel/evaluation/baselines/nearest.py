"""Nearest neighbour in the space of the frozen encoder: its class, description or places are the answer."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from fragmodel.data.grammar import grounding_answer
from fragmodel.data.prompts import plain
from fragmodel.evaluation.baselines.priors import Texts, scaled
from fragmodel.evaluation.baselines.states import Store, nearest_rows, pooled, unit
from fragmodel.evaluation.parse import normalise
from fragmodel.evaluation.references import Reference
from fragmodel.vocabulary import GROUNDING_TASKS


class NearestEmbedding:
    """Cosine similarity of mean-pooled encoder states.

    Referring tasks pool the residues of the fragment, all others the whole window. `grounding_single`
    searches the training records of the class in question (all when there is none); places keep their
    relative position.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, known: Sequence[Reference], asked: Sequence[Reference]) -> Texts:
        """An answer for each record of ``asked``."""
        memory, queries = (unit(pooled(self._store, records)) for records in (known, asked))
        neighbour = np.empty(len(asked), dtype=np.int64)
        for among, askers in _searches(known, asked):
            neighbour[askers] = (
                nearest_rows(memory, queries[askers])
                if among is None
                else np.array(among)[nearest_rows(memory[among], queries[askers])]
            )
        return {
            record.key: _transfer(known[row], record) for record, row in zip(asked, neighbour, strict=True)
        }


def _searches(
    known: Sequence[Reference], asked: Sequence[Reference]
) -> list[tuple[list[int] | None, list[int]]]:
    """Rows of training (``None``: all) and the rows of ``asked`` that search them."""
    if asked[0].key.task_type != "grounding_single":
        return [(None, list(range(len(asked))))]
    of_class: dict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(known):
        of_class[normalise(record.class_name)].append(index)
    askers: dict[str | None, list[int]] = defaultdict(list)
    for index, record in enumerate(asked):
        name = normalise(record.class_name)
        askers[name if name in of_class else None].append(index)
    return [(None if name is None else of_class[name], rows) for name, rows in askers.items()]


def _transfer(neighbour: Reference, record: Reference) -> str:
    task = record.key.task_type
    if task in GROUNDING_TASKS:
        groups = [
            (name, [scaled(span, neighbour.length, record.length) for span in spans])
            for name, spans in neighbour.groups
        ]
        return grounding_answer(task, groups)
    return plain(neighbour.class_name) if task == "referring_class" else neighbour.answer
