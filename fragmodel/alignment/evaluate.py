"""Retrieval on validation and test pairs: the aligned adapters beside baselines."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fragmodel.alignment.adapters import AlignedAdapters
from fragmodel.alignment.pairs import Pairs, read_pairs
from fragmodel.alignment.retrieval import (
    Catalogue,
    both_ways,
    catalogue,
    first_ranks,
    random_metrics,
    retrieval_metrics,
)
from fragmodel.alignment.texts import TextStore
from fragmodel.alignment.vectors import Vectors, cosines
from fragmodel.config.alignment import AlignmentConfig
from fragmodel.config.training import AdapterConfig
from fragmodel.embeddings.extract import resolve_device
from fragmodel.embeddings.store import EmbeddingStore
from fragmodel.files import write_text

Way = dict[str, dict[str, float]]


def evaluate(
    model: Path,
    records: Sequence[Path],
    *,
    encoder: Path,
    decoder: Path,
    store: Path,
    fingerprint: str,
    texts_fingerprint: str,
    adapter: AdapterConfig,
    alignment: AlignmentConfig,
    seed: int,
    output: Path,
) -> dict[str, Any]:
    """Write and return ``{split: {kind: {"pairs", "items", "texts", "systems": {system: {way: {metric: value}}}}}}``.

    ``records`` are RECORDS tables of all splits (a file is named by its split); ``model`` is a folder of aligned
    adapters. Each protein or fragment and each text of a split counts once. Ways: ``to_text``, ``from_text``.
    Systems: ``aligned``; ``unaligned``, the adapters as they start; ``nearest_embedding`` (:func:`nearest_scores`),
    where there are training pairs; ``random``, by expectation.
    """
    device = resolve_device("auto")
    settings = {"pooling": alignment.pooling, "segments": alignment.segments, "seed": seed}
    systems = {
        "aligned": AlignedAdapters(encoder, decoder, adapter, **settings).load(model).to(device),
        "unaligned": AlignedAdapters(encoder, decoder, adapter, **settings).to(device),
    }
    vectors = Vectors(
        EmbeddingStore(store, fingerprint),
        TextStore(Path(alignment.store), texts_fingerprint),
        alignment,
        device,
    )
    known = {pairs.kind: pairs for pairs in _of_split(records, "train")}
    found = {
        split: {
            pairs.kind: _score(pairs, known.get(pairs.kind), systems, vectors)
            for pairs in _of_split(records, split)
        }
        for split in ("valid", "test")
    }
    write_text(output, json.dumps(found, indent=2))
    return found


def nearest_scores(
    queries: np.ndarray, memory: np.ndarray, partners: np.ndarray, candidates: np.ndarray
) -> np.ndarray:
    """Scores ``[n, m]`` of retrieval through the nearest known neighbour.

    Each query ``[n, d]`` goes to the most similar row of ``memory [k, d]``; the partner of that row, ``[k, w]``, is
    compared with the candidates ``[m, w]``. Similarity is the cosine throughout.
    """
    nearest = _unit(queries) @ _unit(memory).T
    return _unit(partners)[nearest.argmax(axis=1)] @ _unit(candidates).T


def mean_states(pairs: Pairs, rows: Sequence[int], store: EmbeddingStore) -> np.ndarray:
    """Mean encoder state of the residues of each item, without BOS and EOS: float32 ``[n, encoder_dim]``."""
    means = []
    for row in rows:
        sequence, place = pairs.items[row]
        start, end = place or (0, len(sequence))
        means.append(store.get(sequence)[start + 1 : end + 1].mean(dim=0))
    return torch.stack(means).numpy()


def _score(
    pairs: Pairs, known: Pairs | None, systems: dict[str, AlignedAdapters], vectors: Vectors
) -> dict[str, Any]:
    found = catalogue(pairs.items, pairs.texts)
    texts = vectors.stored_texts.get([pairs.texts[row] for row in found.text_rows])
    results: dict[str, Way] = {}
    for name, model in systems.items():
        items = vectors.all_items(model, pairs, found.item_rows.tolist())
        results[name] = both_ways(cosines(items, texts), found.relevant)
    if known:
        results["nearest_embedding"] = _nearest(pairs, known, found, texts.numpy(), vectors)
    results["random"] = {
        "to_text": random_metrics(found.relevant),
        "from_text": random_metrics(found.relevant.T),
    }
    return {
        "pairs": len(pairs),
        "items": len(found.item_rows),
        "texts": len(found.text_rows),
        "systems": results,
    }


def _nearest(pairs: Pairs, known: Pairs, found: Catalogue, texts: np.ndarray, vectors: Vectors) -> Way:
    """An item asks with the text of the nearest training item, a text with the item of the nearest training text."""
    items = mean_states(pairs, found.item_rows.tolist(), vectors.states)
    known_items = mean_states(known, range(len(known)), vectors.states)
    known_texts = vectors.stored_texts.get(known.texts).numpy()
    scores = {
        "to_text": (nearest_scores(items, known_items, known_texts, texts), found.relevant),
        "from_text": (nearest_scores(texts, known_texts, known_items, items), found.relevant.T),
    }
    return {way: retrieval_metrics(first_ranks(*pair)) for way, pair in scores.items()}


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _of_split(records: Sequence[Path], split: str) -> list[Pairs]:
    return read_pairs([path for path in records if path.stem == split])
