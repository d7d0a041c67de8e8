"""Systems without a language model, whose answers are scored like the model's.

Each baseline is a function of the training and the test records of one task; it gives an answer text for each
test record, in the format of :mod:`fragmodel.data.grammar`, or nothing at all when the task makes no sense
to it.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fragmodel.errors import UserError
from fragmodel.evaluation.baselines.alignment import Alignment
from fragmodel.evaluation.baselines.imported import Imported
from fragmodel.evaluation.baselines.nearest import NearestEmbedding
from fragmodel.evaluation.baselines.priors import majority, position_prior, random_span
from fragmodel.evaluation.references import Key, Reference, read_references
from fragmodel.tables import PREDICTIONS, open_writer
from fragmodel.versions import BASELINES, versions_of
from fragmodel.vocabulary import MODEL, TASK_TYPES

logger = logging.getLogger(__name__)

NAMES = (
    *("majority", "nearest_embedding", "linear_probe", "alignment", "profile_search"),
    *("position_prior", "random_span"),
)
_OF_STATES = ("nearest_embedding", "linear_probe")


def run_baselines(
    train: Sequence[Path],
    test: Sequence[Path],
    *,
    names: Sequence[str],
    store: Path | None,
    fingerprint: str | None,
    output: Path,
    seed: int = 1,
    threads: int = 1,
    annotations: Mapping[str, Sequence[Path]] | None = None,
) -> None:
    """Answer the test records of a data set with each baseline and write them as a PREDICTIONS table.

    The column ``system`` is the baseline's name; prompts are empty, tokens and seconds 0; taggers state
    ``residue_scores``. The file's metadata says which alignment tool was used (``alignment_tool``). Bytes are
    deterministic.

    Args:
        train: RECORDS tables of the training split, all tasks.
        test: RECORDS tables of the split to answer.
        names: baselines to run, of :data:`NAMES`.
        store: embedding store; without one the systems that need states are left out, with a warning.
        fingerprint: fingerprint of the encoder in the store, where it holds several.
        output: the table.
        seed: seed of `random_span` and `linear_probe`.
        threads: threads of MMseqs2 and of the profile search.
        annotations: files by system name (:mod:`fragmodel.evaluation.baselines.imported`).

    Raises:
        UserError: an unknown name, a name that is taken, a file that is no RECORDS table, or a file of annotations that
            cannot be read or has nothing about the proteins asked for.
    """
    annotations = annotations or {}
    if taken := sorted({*NAMES, MODEL} & annotations.keys()):
        raise UserError(f"evaluation.annotations: the name '{taken[0]}' is taken; choose another")
    if unknown := sorted(set(names) - set(NAMES)):
        raise UserError(f"baselines: unknown name '{unknown[0]}'; one of {', '.join(NAMES)}")
    known, asked = (_by_task(read_references(paths)) for paths in (train, test))
    systems: dict[str, Any] = {
        "majority": majority,
        "position_prior": position_prior,
        "random_span": lambda known, asked: random_span(known, asked, seed),
    }
    if "alignment" in names:
        systems["alignment"] = Alignment(train, asked, threads)
    if "profile_search" in names:
        from fragmodel.evaluation.baselines.profiles import ProfileSearch

        systems["profile_search"] = ProfileSearch(known, asked, threads)
    if wanted := [name for name in _OF_STATES if name in names]:
        if store is None:
            logger.warning("baselines %s left out: they need an embedding store", ", ".join(wanted))
        else:
            from fragmodel.embeddings.store import EmbeddingStore
            from fragmodel.evaluation.baselines.probe import LinearProbe

            states = EmbeddingStore(store, fingerprint)
            systems["nearest_embedding"] = NearestEmbedding(states)
            systems["linear_probe"] = LinearProbe(states, seed)

    everything = [record for records in asked.values() for record in records]
    systems |= {name: Imported(name, paths, everything) for name, paths in sorted(annotations.items())}

    metadata: dict[str, Any] = {
        "seed": seed,
        "train_records": sum(map(len, known.values())),
        "environment": versions_of(BASELINES),
    }
    with open_writer(output, PREDICTIONS, metadata) as writer:
        for name in [*(name for name in NAMES if name in names and name in systems), *sorted(annotations)]:
            for task in (task for task in TASK_TYPES if known.get(task) and asked.get(task)):
                right = {reference.key: reference.answer for reference in asked[task]}
                texts = systems[name](known[task], asked[task])
                scores = getattr(systems[name], "residue_scores", {})
                for key, text in texts.items():
                    writer.write(_row(name, key, text, right[key], scores.get(key)))
        if "alignment" in names:
            metadata["alignment_tool"] = systems["alignment"].tool


def _by_task(records: Mapping[Key, Reference]) -> dict[str, list[Reference]]:
    tasks: dict[str, list[Reference]] = defaultdict(list)
    for key, record in records.items():
        tasks[key.task_type].append(record)
    return tasks


def _row(
    system: str, key: Key, text: str, reference: str, residue_scores: np.ndarray | None
) -> dict[str, Any]:
    return {
        "system": system,
        **key._asdict(),
        "prompt": "",
        "text": text,
        "reference": reference,
        "stopped": True,
        "tokens": 0,
        "seconds": 0.0,
        "confidence": None,
        "place_confidences": None,
        "candidates": None,
        "residue_scores": None if residue_scores is None else residue_scores.tolist(),
    }
