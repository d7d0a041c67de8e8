"""The loss against transformers' CLIP and against its definition, pair by pair."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.clip.modeling_clip import image_text_contrastive_loss

from fragmodel.alignment.loss import contrastive_loss, false_negatives


def by_definition(items, texts, scale: float, item_ids, text_ids) -> float:
    """Plain Python, one query at a time."""

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    total, n = 0.0, len(items)
    for i in range(n):
        others = [j for j in range(n) if j != i and item_ids[j] != item_ids[i] and text_ids[j] != text_ids[i]]
        own = math.exp(scale * cosine(items[i], texts[i]))
        total -= math.log(own / (own + sum(math.exp(scale * cosine(items[i], texts[j])) for j in others)))
        total -= math.log(own / (own + sum(math.exp(scale * cosine(items[j], texts[i])) for j in others)))
    return total / 2 / n


@pytest.fixture
def vectors() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    return torch.randn(7, 5), torch.randn(7, 5)


def test_without_repeats_it_is_clips_loss(vectors):
    items, texts = vectors
    none = false_negatives(range(7), range(7))
    assert not none.any()
    unit = [x / x.norm(dim=1, keepdim=True) for x in vectors]
    expected = image_text_contrastive_loss(20 * unit[0] @ unit[1].T)
    assert torch.allclose(contrastive_loss(items, texts, torch.tensor(math.log(20)), none), expected)


@given(ids=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8))
@settings(deadline=None, max_examples=40)
def test_the_same_item_or_text_is_no_negative(ids):
    torch.manual_seed(3)
    items, texts = torch.randn(len(ids), 4), torch.randn(len(ids), 4)
    item_ids, text_ids = zip(*ids, strict=True)
    loss = contrastive_loss(items, texts, torch.tensor(1.5), false_negatives(item_ids, text_ids))
    expected = by_definition(items.tolist(), texts.tolist(), math.exp(1.5), item_ids, text_ids)
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_a_batch_of_one_description_teaches_nothing(vectors):
    items, texts = vectors
    items.requires_grad_()
    loss = contrastive_loss(items, texts, torch.tensor(1.0), false_negatives(range(7), ["same"] * 7))
    loss.backward()
    assert loss.item() == 0
    assert not items.grad.any()


def test_the_scale_stops_at_100(vectors):
    none = false_negatives(range(7), range(7))
    at_limit = contrastive_loss(*vectors, torch.tensor(math.log(100.0)), none)
    assert torch.allclose(contrastive_loss(*vectors, torch.tensor(9.0), none), at_limit)
