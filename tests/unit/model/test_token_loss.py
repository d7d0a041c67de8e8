"""The chunked cross-entropy against torch's over all logits."""

import pytest
import torch
import torch.nn.functional as F

from fragmodel.model import token_loss
from fragmodel.model.token_loss import linear_cross_entropy
from fragmodel.model.token_rows import embed_tokens


@pytest.mark.parametrize("chunk", [1, 100, 10_000])
@pytest.mark.parametrize("replaced", [False, True])
def test_equals_the_cross_entropy_over_all_logits(
    monkeypatch: pytest.MonkeyPatch, chunk: int, replaced: bool
) -> None:
    monkeypatch.setattr(token_loss, "CHUNK", chunk)
    torch.manual_seed(0)
    hidden, weight = torch.randn(9, 6, requires_grad=True), torch.randn(30, 6)
    rows, ids = torch.randn(2, 6, requires_grad=True), torch.tensor([29, 4])
    targets = torch.tensor([3, 29, 4, 4, 0, 7, 28, 11, 29])
    options = {"ids": ids, "rows": rows} if replaced else {}
    whole = weight.index_copy(0, ids, rows) if replaced else weight
    inputs = (hidden, rows) if replaced else (hidden,)
    expected = F.cross_entropy(hidden @ whole.T, targets, reduction="sum")
    found = linear_cross_entropy(hidden, weight, targets, **options)
    torch.testing.assert_close(found, expected)
    for ours, reference in zip(
        torch.autograd.grad(3 * found, inputs), torch.autograd.grad(3 * expected, inputs), strict=True
    ):
        torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-5)


def test_embeddings_of_trained_rows_get_their_gradient() -> None:
    torch.manual_seed(0)
    weight, ids = torch.randn(8, 3), torch.tensor([6, 2])
    rows = torch.randn(2, 3, requires_grad=True)
    tokens = torch.tensor([[0, 2, 6], [6, 1, 7]])
    expected = F.embedding(tokens, weight.index_copy(0, ids, rows))
    found = embed_tokens(tokens, weight, ids, rows)
    assert torch.equal(found, expected)
    scale = torch.randn_like(found)
    torch.testing.assert_close(
        torch.autograd.grad((found * scale).sum(), rows), torch.autograd.grad((expected * scale).sum(), rows)
    )
