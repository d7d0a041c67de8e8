"""One kernel for all segments is what one call a segment is."""

import inspect

import pytest
import torch
from torch.nn.attention.varlen import varlen_attn
from varlen_reference import VarlenReference, use_reference

from fragmodel.embeddings.encoders import load_encoder
from fragmodel.embeddings.forward import PackedEncoder
from fragmodel.embeddings.packed_attention import Segments, attend_inside, takes_all_segments


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("lengths", [[5], [3, 1, 4]])
def test_both_ways_agree(causal: bool, lengths: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(sum(lengths), heads, 8, generator=draw) for heads in (4, 2, 2))
    for scale in (None, 0.7):
        loop = attend_inside(query, key, value, Segments(lengths), causal=causal, scale=scale)
        with monkeypatch.context() as patch:
            kernel = use_reference(patch)
            one = attend_inside(query, key, value, Segments(lengths), causal=causal, scale=scale)
        assert kernel.calls == 1
        torch.testing.assert_close(one, loop, rtol=1e-5, atol=1e-6)


def test_the_encoder_by_one_kernel_a_layer(encoder_file, sequences, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = PackedEncoder(load_encoder(encoder_file))
    expected = encoder(sequences)
    kernel = use_reference(monkeypatch)
    for found, states in zip(encoder(sequences), expected, strict=True):
        torch.testing.assert_close(found, states, rtol=1e-5, atol=1e-5)
    assert kernel.calls == encoder.config.num_hidden_layers


def test_a_cpu_has_no_such_kernel() -> None:
    assert not takes_all_segments(torch.zeros(2, 1, 8, dtype=torch.bfloat16))


def test_the_reference_has_the_kernels_arguments() -> None:
    theirs = inspect.signature(varlen_attn).parameters
    ours = inspect.signature(VarlenReference.__call__).parameters
    shared = [name for name in theirs if name in ours]
    assert shared == [name for name in ours if name != "self"]
    assert all(theirs[name].kind == ours[name].kind for name in shared)
