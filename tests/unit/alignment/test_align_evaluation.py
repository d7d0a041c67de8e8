"""Retrieval by the adapters and the baselines, against loops over single pairs."""

import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from align_inputs import ADAPTER, Inputs

from fragmodel.alignment.adapters import AlignedAdapters
from fragmodel.alignment.evaluate import evaluate
from fragmodel.alignment.pairs import read_pairs
from fragmodel.alignment.texts import TextStore
from fragmodel.embeddings.store import EmbeddingStore


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Inputs:
    return Inputs(tmp_path_factory.mktemp("alignment"))


@pytest.fixture(scope="module")
def found(inputs, tmp_path_factory) -> dict:
    """Scores of adapters of another seed than the start's; training pairs and test pairs are the same."""
    folder = tmp_path_factory.mktemp("scores")
    records = []
    for path in inputs.records:
        for split in ("train", "test"):
            records.append(folder / path.stem / f"{split}.parquet")
            records[-1].parent.mkdir(exist_ok=True)
            shutil.copy(path, records[-1])
    AlignedAdapters(inputs.models.encoder, inputs.models.untied, ADAPTER, seed=9).save(folder, ["fragment"])
    evaluate(
        folder,
        records,
        encoder=inputs.models.encoder,
        decoder=inputs.models.untied,
        store=inputs.folder / "store",
        fingerprint=inputs.fingerprint,
        texts_fingerprint=inputs.texts,
        adapter=ADAPTER,
        alignment=inputs.config(),
        seed=3,
        output=folder / "metrics.json",
    )
    return json.loads((folder / "metrics.json").read_text())


def test_every_system_both_ways(found, inputs):
    assert found["valid"] == {}, "no validation records"
    assert set(found["test"]) == {"protein", "fragment"}
    for pairs in read_pairs(inputs.records):
        part = found["test"][pairs.kind]
        assert (part["pairs"], part["items"]) == (len(pairs), len(set(pairs.items)))
        assert part["texts"] == len(set(pairs.texts))
        assert list(part["systems"]) == ["aligned", "unaligned", "nearest_embedding", "random"]
        assert part["systems"]["random"]["to_text"]["recall_at_1"] == pytest.approx(
            1 / part["texts"], rel=0.5
        )
        # A protein that is its own nearest neighbour finds its text.
        assert part["systems"]["nearest_embedding"]["to_text"]["mrr"] > 0.9
    fragment = found["test"]["fragment"]["systems"]
    assert fragment["aligned"] != fragment["unaligned"]


def test_a_fragments_recall_is_that_of_a_loop(found, inputs):
    """Whole windows through the adapters one by one, and the rank by sorting."""
    _, pairs = read_pairs(inputs.records)
    model = AlignedAdapters(inputs.models.encoder, inputs.models.untied, ADAPTER, seed=9)
    store = EmbeddingStore(inputs.folder / "store", inputs.fingerprint)
    texts = TextStore(inputs.folder / "texts", inputs.texts)
    names = list(dict.fromkeys(pairs.texts))
    inverse = []
    for item in dict.fromkeys(pairs.items):
        sequence, place = item
        with torch.no_grad():
            states = model.modality_adapter(store.get(sequence)[None])
            tokens = model.fragment_adapter(states[0], torch.tensor([place]) + 1)[0]
        vector = torch.cat([tokens.mean(0), (tokens.var(0, correction=0) + 1e-6).sqrt()])
        scores = {name: torch.cosine_similarity(vector, texts.get([name])[0], dim=0).item() for name in names}
        ranked = sorted(names, key=lambda name: -scores[name])
        own = {text for other, text in zip(pairs.items, pairs.texts, strict=True) if other == item}
        inverse.append(1 / min(1 + ranked.index(text) for text in own))
    mrr = found["test"]["fragment"]["systems"]["aligned"]["to_text"]["mrr"]
    assert mrr == pytest.approx(np.mean(inverse), abs=1e-6)


def test_the_nearest_training_item_and_text_stand_in_for_a_query(found, inputs):
    """By whole matrices of the records, which are both known and asked."""
    _, pairs = read_pairs(inputs.records)
    store = EmbeddingStore(inputs.folder / "store", inputs.fingerprint)
    texts = F.normalize(TextStore(inputs.folder / "texts", inputs.texts).get(pairs.texts), dim=1)
    means = [store.get(sequence)[p.start + 1 : p.end + 1].mean(0) for sequence, p in pairs.items]
    items = F.normalize(torch.stack(means), dim=1)
    names, places = (list(dict.fromkeys(values)) for values in (pairs.texts, pairs.items))
    asked = {"to_text": (items, texts, places, pairs.items), "from_text": (texts, items, names, pairs.texts)}
    for way, (queries, answers, distinct, of_pairs) in asked.items():
        rows = [of_pairs.index(query) for query in distinct]
        others, answers_of = (names, pairs.texts) if way == "to_text" else (places, pairs.items)
        candidates = answers[[answers_of.index(other) for other in others]]
        scores = answers[(queries[rows] @ queries.T).argmax(1)] @ candidates.T
        inverse = []
        for query, row in zip(distinct, scores, strict=True):
            own = [others.index(b) for a, b in zip(of_pairs, answers_of, strict=True) if a == query]
            wrong = torch.ones(len(others), dtype=torch.bool)
            wrong[own] = False
            inverse.append(1 / (1 + (row[wrong] >= row[own].max()).sum().item()))
        mrr = found["test"]["fragment"]["systems"]["nearest_embedding"][way]["mrr"]
        assert mrr == pytest.approx(np.mean(inverse), abs=0.02), "equal rows may round differently"
