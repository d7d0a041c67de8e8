"""Stored encoder states train as the encoder in the loop does."""

from pathlib import Path

import pytest
import torch
from tiny_models import (
    TinyModels,
    assert_same_gradients,
    build_model,
    gradients,
    grounding_record,
    joined,
    make_batch,
    referring_record,
)

from fragmodel.embeddings.extract import embed_sequences
from fragmodel.embeddings.store import EmbeddingStore

ROWS = [referring_record(0), grounding_record(1), referring_record(2, (10, 20), "serine protease")]


def stored_and_in_loop(tiny: TinyModels, folder: Path, dtype: str) -> tuple[list, list]:
    """Loss and gradients of one batch from the store and from the encoder, of the same weights."""
    summary = embed_sequences(
        [row["sequence"] for row in ROWS], encoder=tiny.encoder, store=folder, dtype=dtype, device="cpu"
    )
    model, tokenizer = build_model(tiny.spec())
    results = []
    for store in (EmbeddingStore(folder, summary.fingerprint), None):
        batch = make_batch(ROWS, tokenizer, store=store)
        assert ("protein_hidden_states" in batch) == (store is not None)
        loss = model(**batch).loss
        results.append([loss, gradients(model, loss)])
    return results


def test_float32_states_give_the_same_loss_and_gradients(tiny: TinyModels, tmp_path: Path) -> None:
    (stored_loss, stored), (loss, in_loop) = stored_and_in_loop(tiny, tmp_path, "float32")
    torch.testing.assert_close(stored_loss, loss, rtol=1e-5, atol=1e-5)
    assert_same_gradients(stored, in_loop, tolerance=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_rounded_states_stay_within_their_precision(tiny: TinyModels, tmp_path: Path, dtype: str) -> None:
    (stored_loss, stored), (loss, in_loop) = stored_and_in_loop(tiny, tmp_path, dtype)
    assert stored_loss.item() == pytest.approx(loss.item(), rel=2e-3)
    ours, reference = (torch.cat([g.flatten() for g in each.values()]) for each in (stored, in_loop))
    # 8 bits of mantissa, carried through two random networks.
    assert (ours - reference).norm() < 0.03 * reference.norm()
    assert not torch.equal(ours, reference)


def test_padding_changes_no_state(tiny: TinyModels) -> None:
    model, tokenizer = build_model(tiny.spec())
    encoder = joined(model)
    batch = make_batch(ROWS, tokenizer)
    together = encoder.encode_protein(batch["protein_input_ids"], batch["protein_attention_mask"])
    for number, row in enumerate(ROWS):
        one = make_batch([row], tokenizer)
        alone = encoder.encode_protein(one["protein_input_ids"], one["protein_attention_mask"])[0]
        torch.testing.assert_close(together[number, : len(alone)], alone, rtol=1e-4, atol=1e-5)
