"""Retrieval on validation and test pairs: the aligned adapters beside baselines."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fragmodel.alignment.adapters import AlignedAdapters
from fragmodel.alignment.pairs import Pairs, read_pairs
from fragmodel.alignment.retrieval import (
    Catalogue,
    blocks,
    both_ways,
    catalogue,
    nearest_rows,
    random_metrics,
)
from fragmodel.alignment.texts import TextStore
from fragmodel.alignment.vectors import Vectors
from fragmodel.config.alignment import AlignmentConfig
from fragmodel.config.training import AdapterConfig
from fragmodel.digests import write_noted
from fragmodel.embeddings.extract import resolve_device
from fragmodel.embeddings.store import EmbeddingStore

QUERIES = 16_384  # texts whose nearest training texts are looked for at once

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
    Systems: ``aligned``; ``unaligned``, the adapters as they start; ``nearest_embedding`` (:func:`nearest_rows`),
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
    write_noted(output, json.dumps(found, indent=2))
    return found


def mean_states(pairs: Pairs, rows: Sequence[int], store: EmbeddingStore) -> torch.Tensor:
    """Mean encoder state of the residues of each item, without BOS and EOS: float32 ``[n, encoder_dim]``."""
    means = []
    for row in rows:
        sequence, place = pairs.items[row]
        start, end = place or (0, len(sequence))
        means.append(store.get(sequence)[start + 1 : end + 1].mean(dim=0))
    return torch.stack(means)


def _score(
    pairs: Pairs, known: Pairs | None, systems: dict[str, AlignedAdapters], vectors: Vectors
) -> dict[str, Any]:
    found = catalogue(pairs.items, pairs.texts)
    results: dict[str, Way] = {name: vectors.retrieval(model, pairs) for name, model in systems.items()}
    if known:
        results["nearest_embedding"] = _nearest(pairs, known, found, vectors)
    results["random"] = {way: random_metrics(*right) for way, right in found.right_answers().items()}
    return {
        "pairs": len(pairs),
        "items": len(found.item_rows),
        "texts": len(found.text_rows),
        "systems": results,
    }


def _nearest(pairs: Pairs, known: Pairs, found: Catalogue, vectors: Vectors) -> Way:
    """An item asks with the text of the nearest training item, a text with the item of the nearest training text."""

    def means(of: Pairs, rows: Sequence[int]) -> torch.Tensor:
        return mean_states(of, rows, vectors.states).to(vectors.device)

    def texts(part: range) -> torch.Tensor:
        return vectors.texts_at(pairs, found.text_rows[part])

    items = means(pairs, found.item_rows)
    own = range(len(items))
    nearest_items = nearest_rows(items, lambda part: means(known, part), len(known))
    asking = vectors.texts_at(known, nearest_items)
    nearest_texts = torch.cat(
        [
            nearest_rows(texts(part), lambda rows: vectors.texts_at(known, rows), len(known))
            for part in blocks(len(found.text_rows), QUERIES)
        ]
    )
    return {
        "to_text": both_ways(asking, own, texts, found)["to_text"],
        "from_text": both_ways(
            items, own, lambda part: means(known, nearest_texts[part.start : part.stop]), found
        )["from_text"],
    }


def _of_split(records: Sequence[Path], split: str) -> list[Pairs]:
    return read_pairs([path for path in records if path.stem == split])
