"""Pairs from records, and that a fragment's own rows are enough for the adapters."""

import pytest
import torch
from tiny_models import HEADS, SEQUENCES, TinyModels, referring_record

from fragmodel.alignment.adapters import AlignedAdapters
from fragmodel.alignment.batches import epoch_batches
from fragmodel.alignment.pairs import Batch, Pairs, read_pairs
from fragmodel.config.training import AdapterConfig
from fragmodel.embeddings.extract import embed_sequences
from fragmodel.embeddings.store import EmbeddingStore
from fragmodel.errors import UserError
from fragmodel.tables import RECORDS, write_table
from fragmodel.vocabulary import Span

ADAPTER = AdapterConfig(intermediate_dim=32, num_perceiver_heads=HEADS, perceiver_latent_size=2)


@pytest.fixture
def store(tiny: TinyModels, tmp_path) -> EmbeddingStore:
    embed_sequences(SEQUENCES, encoder=tiny.encoder, store=tmp_path / "store", dtype="float32")
    return EmbeddingStore(tmp_path / "store")


def record(task: str, number: int, span: tuple[int, int] | None, answer: str) -> dict:
    row = referring_record(number, span or (0, 1), answer)
    return row | {"task_type": task, "position_ref": list(span) if span else None}


def test_pairs_come_once_and_by_kind(tmp_path):
    rows = [
        record("function", 0, None, "binds DNA"),
        record("referring_desc", 0, (3, 9), "zinc finger"),
        record("referring_desc", 0, (3, 9), "zinc finger"),
        record("referring_desc", 0, (4, 9), "zinc finger"),
        record("referring_class", 1, (3, 9), "zinc finger"),
    ]
    for name in ("a", "b"):  # the same pairs in two data sets
        write_table(tmp_path / f"{name}.parquet", RECORDS, rows)
    protein, fragment = read_pairs([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert (protein.kind, protein.items, protein.texts) == ("protein", [(SEQUENCES[0], None)], ["binds DNA"])
    assert fragment.items == [(SEQUENCES[0], (3, 9)), (SEQUENCES[0], (4, 9))]


def test_a_fragments_rows_alone_give_its_vector(tiny: TinyModels, store):
    """Against the whole window through both adapters, as the joined model runs them."""
    adapters = AlignedAdapters(tiny.encoder, tiny.untied, ADAPTER)
    spans = [Span(0, 1), Span(3, 9), Span(0, len(SEQUENCES[2]))]
    pairs = Pairs("fragment", [(s, p) for s, p in zip(SEQUENCES, spans, strict=True)], ["x"] * 3)
    found = adapters(pairs.batch(range(3), store))
    for row, (sequence, span) in enumerate(pairs.items):
        proteins = adapters.modality_adapter(store.get(sequence)[None])
        tokens = adapters.fragment_adapter(proteins[0], torch.tensor([span]) + 1)[0]
        expected = torch.cat([tokens.mean(0), tokens.std(0, correction=0)])
        assert torch.allclose(found[row], expected, atol=2e-3)


def test_padding_does_not_change_a_proteins_vector(tiny: TinyModels, store):
    adapters = AlignedAdapters(tiny.encoder, tiny.untied, ADAPTER, pooling="segment_means", segments=3)
    pairs = Pairs("protein", [(sequence, None) for sequence in SEQUENCES], ["x"] * 3)
    together = adapters(pairs.batch(range(3), store))
    alone = torch.cat([adapters(pairs.batch([row], store)) for row in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_adapters_start_where_training_starts(tiny: TinyModels):
    model, _ = tiny.spec().build(include_encoder=False)
    joined = model.base_model.model
    ours = AlignedAdapters(tiny.encoder, tiny.untied, ADAPTER, seed=3)
    for name in ("modality_adapter", "fragment_adapter"):
        reference = getattr(joined, name).modules_to_save["default"].state_dict()
        for key, value in getattr(ours, name).state_dict().items():
            # The gain alone differs a little: training counts the rows of its added control tokens too.
            tolerance = 2e-3 if key == "output_norm.weight" else 0
            assert torch.allclose(value, reference[key], atol=tolerance), key


def test_a_saved_adapter_comes_back(tiny: TinyModels, tmp_path):
    ours = AlignedAdapters(tiny.encoder, tiny.untied, ADAPTER, seed=1)
    ours.save(tmp_path, ["protein"])
    other = AlignedAdapters(tiny.encoder, tiny.untied, ADAPTER, seed=2)
    before = other.fragment_adapter.latents.clone()
    other.load(tmp_path)
    assert torch.equal(other.modality_adapter.up.weight, ours.modality_adapter.up.weight)
    assert torch.equal(other.fragment_adapter.latents, before), "no fragment was aligned"


def test_heads_that_do_not_divide_are_told(tiny: TinyModels):
    with pytest.raises(UserError, match="num_perceiver_heads"):
        AlignedAdapters(tiny.encoder, tiny.untied, AdapterConfig(num_perceiver_heads=7))


@pytest.mark.parametrize("sizes", [(10,), (10, 3), (1, 17)])
def test_an_epoch_has_each_pair_once(sizes):
    batches = epoch_batches(sizes, 4, seed=1, epoch=2)
    for kind, size in enumerate(sizes):
        parts = [part.tolist() for number, part in batches if number == kind]
        assert sorted(index for part in parts for index in part) == list(range(size))
        assert max(map(len, parts)) <= 4
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    again = epoch_batches(sizes, 4, seed=1, epoch=2)
    assert [(k, p.tolist()) for k, p in again] == [(k, p.tolist()) for k, p in batches]
    assert [p.tolist() for _, p in epoch_batches(sizes, 4, seed=1, epoch=3)] != [
        p.tolist() for _, p in batches
    ]


def test_a_batch_moves_as_a_whole():
    batch = Batch(torch.ones(1, 2, 3), torch.ones(1, 2, dtype=torch.bool), None).to("meta")
    assert batch.states.is_meta and batch.mask.is_meta and batch.places is None
