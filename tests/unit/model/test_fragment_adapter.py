"""The batched fragment adapter against a slow one, and what it can see."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fragmodel.model.fragment_adapter import CrossAttentionLayer, FragmentAdapter

DIM, LATENT, HEADS = 12, 3, 4
NARROW = 8


@pytest.fixture(scope="module", params=[0, NARROW], ids=["as wide as the decoder", "narrow"])
def adapter(request: pytest.FixtureRequest) -> FragmentAdapter:
    torch.manual_seed(0)
    adapter = FragmentAdapter(DIM, LATENT, HEADS, layers=2, width=request.param)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return adapter


def naive(adapter: FragmentAdapter, states: torch.Tensor, start: int, end: int) -> torch.Tensor:
    """Tokens of one fragment: the sequence is cut out, attention is done head by head and latent by latent."""
    residues = torch.stack([states[1 + residue] for residue in range(start, end)])  # row 0 is BOS
    mean = residues.sum(0) / len(residues)
    narrow = hasattr(adapter, "input_projection")
    if narrow:
        residues = residues @ adapter.input_projection.weight.T
    latents = adapter.latents + residues.sum(0) / len(residues)
    for layer in adapter.layers:
        latents = latents + naive_attention(layer, layer.latent_norm(latents), layer.residue_norm(residues))
        latents = latents + layer.feed_forward(latents)
    if narrow:
        latents = mean + latents @ adapter.output_projection.weight.T
    return nn.functional.layer_norm(latents, (DIM,), adapter.output_norm.weight, adapter.output_norm.bias)


def naive_attention(
    layer: CrossAttentionLayer, latents: torch.Tensor, residues: torch.Tensor
) -> torch.Tensor:
    key_weight, value_weight = layer.key_value.weight.chunk(2)
    width = len(key_weight) // HEADS
    rows = []
    for latent in latents:
        heads = []
        for head in range(HEADS):
            part = slice(head * width, (head + 1) * width)
            query = layer.query.weight[part] @ latent
            scores = torch.stack([query @ (key_weight[part] @ r) / math.sqrt(width) for r in residues])
            weights = scores.exp() / scores.exp().sum()
            heads.append(sum(w * (value_weight[part] @ r) for w, r in zip(weights, residues, strict=True)))
        rows.append(layer.output.weight @ torch.cat(heads))
    return torch.stack(rows)


def packed(
    states: torch.Tensor, lengths: list[int], spans: list[tuple[int, int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of all proteins, BOS and EOS included, and the rows of the fragments ``spans`` among them."""
    rows = torch.cat([state[: length + 2] for state, length in zip(states, lengths, strict=True)])
    firsts = [sum(lengths[:number]) + 2 * number + 1 for number in range(len(lengths))]
    return rows, torch.tensor([(f + s, f + e) for f, (s, e) in zip(firsts, spans, strict=True)])


@st.composite
def fragments(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int]]]:
    """Lengths of proteins and a fragment of each, of one residue to the whole protein."""
    lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    spans = []
    for length in lengths:
        start = draw(st.integers(0, length - 1))
        spans.append((start, draw(st.integers(start + 1, length))))
    return lengths, spans


@settings(max_examples=25)
@given(case=fragments(), seed=st.integers(0, 99))
def test_equals_one_fragment_after_the_other(
    adapter: FragmentAdapter, case: tuple[list[int], list[tuple[int, int]]], seed: int
) -> None:
    lengths, spans = case
    states = torch.randn(len(lengths), max(lengths) + 2, DIM, generator=torch.Generator().manual_seed(seed))
    tokens = adapter(*packed(states, lengths, spans))
    for number, (start, end) in enumerate(spans):
        torch.testing.assert_close(
            tokens[number], naive(adapter, states[number], start, end), rtol=1e-4, atol=1e-5
        )


def test_depends_on_exactly_the_residues_of_the_fragment(adapter: FragmentAdapter) -> None:
    residues, start, end = 10, 4, 7
    states = torch.randn(2, residues + 2, DIM, generator=torch.Generator().manual_seed(1))
    spans = [(start, end), (0, residues)]
    before = adapter(*packed(states, [residues] * 2, spans))[0]
    changing = []
    for row in range(residues + 2):
        changed = states.clone()
        changed[0, row] += torch.linspace(-1, 1, DIM)
        if not torch.equal(adapter(*packed(changed, [residues] * 2, spans))[0], before):
            changing.append(row)
    assert changing == [start + 1, start + 2, start + 3]  # residue i is row i + 1


def test_other_fragments_of_the_batch_change_nothing(adapter: FragmentAdapter) -> None:
    states = torch.randn(3, 12, DIM, generator=torch.Generator().manual_seed(2))
    alone = adapter(*packed(states[:1], [10], [(2, 4)]))
    together = adapter(*packed(states, [10] * 3, [(2, 4), (0, 10), (9, 10)]))
    torch.testing.assert_close(together[:1], alone)


def test_says_which_number_of_heads_would_fit() -> None:
    with pytest.raises(ValueError, match=r"num_perceiver_heads \(16\) must divide .* \(36\); try 12"):
        FragmentAdapter(36, 1, heads=16, layers=1)
    with pytest.raises(ValueError, match=r"num_perceiver_heads \(12\) must divide .* \(32\); try 8"):
        FragmentAdapter(36, 1, heads=12, layers=1, width=32)


@pytest.mark.parametrize("width", [DIM, DIM + 4], ids=["equal", "above"])
def test_a_width_not_below_the_decoder_s_is_the_shape_without_one(width: int) -> None:
    adapters = []
    for given_width in (0, width):
        torch.manual_seed(0)
        adapters.append(FragmentAdapter(DIM, LATENT, HEADS, layers=2, width=given_width))
    ours, old = (adapter.state_dict() for adapter in reversed(adapters))
    assert list(ours) == list(old) and not any("projection" in name for name in ours)
    assert all(torch.equal(ours[name], old[name]) for name in old), "other random numbers"


def test_a_narrow_one_has_the_weights_of_its_width() -> None:
    """By hand: of a layer q, k, v, o and two of four times the width; the latents; a projection at each end."""
    adapter = FragmentAdapter(64, 1, heads=4, layers=3, width=16)
    matrices = sum(weight.numel() for weight in adapter.parameters() if weight.ndim == 2)
    assert matrices == 3 * 12 * 16**2 + 16 + 2 * 64 * 16
    tokens = adapter(torch.randn(9, 64), torch.tensor([[1, 4], [5, 6]]))
    assert tokens.shape == (2, 1, 64)


def test_every_weight_of_a_narrow_one_has_a_gradient(adapter: FragmentAdapter) -> None:
    rows = torch.randn(9, DIM, generator=torch.Generator().manual_seed(3)).requires_grad_()
    adapter.zero_grad()
    adapter(rows, torch.tensor([[1, 4], [5, 8]])).square().sum().backward()
    assert all(weight.grad.abs().max() > 1e-6 for weight in adapter.parameters())
    assert not rows.grad[4].any() and rows.grad[2].any()
