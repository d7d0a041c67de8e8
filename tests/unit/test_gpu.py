"""What a CUDA device computes, against the same on the CPU."""

import pytest
import torch
import torch.nn.functional as F
from tiny_models import (
    SEQUENCES,
    TinyModels,
    assert_same_gradients,
    build_model,
    gradients,
    grounding_record,
    make_dataset,
    make_packed,
    referring_record,
)

from fragmodel.batching.answering import answer_prompts
from fragmodel.batching.packing import Batch
from fragmodel.embeddings.encoders import build_stand_in, load_encoder
from fragmodel.embeddings.extract import embed_sequences
from fragmodel.embeddings.forward import PackedEncoder
from fragmodel.embeddings.store import EmbeddingStore

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]
RECORDS = [referring_record(0), grounding_record(1), referring_record(2, (10, 20), "serine protease")]


def test_encoder_states_equal_those_of_the_cpu(tmp_path) -> None:
    encoder = tmp_path / "esm2_stand_in.pt"
    build_stand_in(encoder, layers=3, dim=64, heads=4, seed=1)
    expected = PackedEncoder(load_encoder(encoder))(SEQUENCES)
    exact = PackedEncoder(load_encoder(encoder, device="cuda"))(SEQUENCES)
    rounded = PackedEncoder(load_encoder(encoder, device="cuda", dtype=torch.bfloat16))(SEQUENCES)
    for reference, same, close in zip(expected, exact, rounded, strict=True):
        torch.testing.assert_close(same.cpu(), reference, rtol=0, atol=1e-4)
        assert F.cosine_similarity(close.float().cpu(), reference, dim=1).min() >= 0.9995


def test_store_is_filled_on_the_device(tiny: TinyModels, tmp_path) -> None:
    stores = []
    for device in ("cpu", "cuda"):
        options = {"store": tmp_path / device, "dtype": "float32", "device": device}
        embed_sequences(SEQUENCES, encoder=tiny.encoder, **options)
        stores.append(EmbeddingStore(tmp_path / device))
    for sequence in SEQUENCES:
        expected, ours = (store.get(sequence) for store in stores)
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)


def test_packed_loss_and_gradients_equal_those_of_the_cpu(tiny: TinyModels) -> None:
    model, tokenizer = build_model(tiny.spec())
    batch = make_packed(RECORDS, tokenizer)
    reference = model(**batch).loss
    # Copies: moving the model moves its gradients, too.
    expected = {name: gradient.clone() for name, gradient in gradients(model, reference).items()}
    loss = model.cuda()(**_on_device(batch)).loss
    torch.testing.assert_close(loss.cpu(), reference, rtol=1e-4, atol=1e-4)
    found = {name: gradient.cpu() for name, gradient in gradients(model, loss).items()}
    assert_same_gradients(found, expected, tolerance=1e-3)


def test_dropout_draws_its_masks_on_the_device(tiny: TinyModels) -> None:
    """A GPU draws other masks than a CPU; the loss stays near the one without dropout."""
    model, tokenizer = build_model(tiny.spec(lora_dropout=0.1))
    batch = _on_device(make_packed(RECORDS, tokenizer))
    whole = model.cuda().eval()(**batch).loss
    masked = model.train()(**batch).loss
    masked.backward()
    assert masked != whole
    torch.testing.assert_close(masked, whole, rtol=0.2, atol=0)


def _on_device(batch: Batch) -> Batch:
    return {name: values.cuda() for name, values in batch.items()}


def test_greedy_answers_equal_those_of_the_cpu(tiny: TinyModels) -> None:
    model, tokenizer = build_model(tiny.spec())
    dataset = make_dataset(RECORDS, tokenizer, prompts_only=True)
    items, end = [dataset[number] for number in range(len(dataset))], tokenizer.eos_token_id
    expected = answer_prompts(model.eval(), items, end=end, max_new_tokens=20)
    found = answer_prompts(model.cuda(), items, end=end, max_new_tokens=20)
    assert [answer.tokens for answer in found] == [answer.tokens for answer in expected]
