"""Pooling against the same formula on each item alone."""

import pytest
import torch
import torch.nn.functional as F

from fragmodel.alignment.pooling import pool, pooled_width

LENGTHS = (1, 2, 5, 9)


@pytest.fixture
def batch() -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    items = [torch.randn(length, 6) for length in LENGTHS]
    padded = torch.nn.utils.rnn.pad_sequence(items, batch_first=True, padding_value=1e4)
    mask = torch.arange(padded.shape[1]) < torch.tensor(LENGTHS)[:, None]
    return items, padded, mask


def test_mean_and_deviation(batch):
    items, padded, mask = batch
    expected = torch.stack([torch.cat([x.mean(0), x.std(0, correction=0)]) for x in items])
    assert torch.allclose(pool(padded, mask, "mean_std"), expected, atol=2e-3)  # the root's small addend
    assert torch.allclose(pool(padded, mask, "mean"), expected[:, :6], atol=1e-5)


@pytest.mark.parametrize("segments", [1, 2, 4])
def test_segments_are_those_of_adaptive_pooling(batch, segments):
    items, padded, mask = batch
    expected = torch.stack([F.adaptive_avg_pool1d(x.T[None], segments)[0].T.flatten() for x in items])
    # Padding of 1e4 must not leak in; 0 * 1e4 keeps no digit from its neighbours.
    assert torch.allclose(pool(padded, mask, "segment_means", segments), expected, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "mean_std", "segment_means"])
def test_a_single_row_has_finite_gradients(pooling):
    states = torch.randn(1, 3, 4, requires_grad=True)
    vector = pool(states, torch.tensor([[True, False, False]]), pooling, 3)
    assert vector.shape == (1, pooled_width(4, pooling, 3))
    vector.square().sum().backward()
    assert torch.isfinite(states.grad).all()
    assert not states.grad[0, 1:].any()
