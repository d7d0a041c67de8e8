"""Frozen linear layers with LoRA, as one autograd function that keeps little and copies nothing.

Same formulas as ``peft``'s ``Linear`` after a norm or a gated activation. What differs is the order of the work: layers
that read the same input are one node; the update is added inside the matrix product; what comes before the product
(norm or gate) is computed again in the backward pass, so that only its own input is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import Tensor, nn

DRAWS = 65_536  # dropout's probability is rounded to a multiple of 1 / DRAWS


@dataclass(frozen=True)
class _Plan:
    """All that is not differentiated: of layers ``i`` with ``weights[i] [N_i, K]`` those in ``updated`` have LoRA."""

    weights: list[Tensor]
    updated: list[int]
    scales: list[float]  # of the updates, including what dropout scales up
    dropout: float
    dtype: torch.dtype  # of the products
    norm: tuple[Tensor, float] | None  # weight [K] and epsilon of the RMS norm before the layers


def project(
    layers: Sequence[nn.Module],
    x: Tensor,
    dtype: torch.dtype,
    *,
    norm: nn.Module | None = None,
    gate: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Outputs ``[T, N_i]`` of linear layers, with or without LoRA, that read the same rows ``x [T, K]``.

    They read ``norm(x)``, or ``silu(gate) * x``, where those are given. The products are computed in ``dtype``
    whatever the weights are held in. LoRA's dropout draws one mask for all layers of the call. Layers of another
    kind (quantised, with a bias, with another variant of LoRA) are called as they are.
    """
    if not all(map(_is_plain, layers)):
        inputs = _inputs(x, gate, None if norm is None else (norm.weight, norm.variance_epsilon))[0].to(dtype)
        return tuple(layer(inputs).to(dtype) for layer in layers)
    updates = [(number, layer) for number, layer in enumerate(layers) if _has_update(layer)]
    factors: list[Tensor] = []
    scales, dropout = [], 0.0
    for _, layer in updates:
        (name,) = layer.active_adapters
        factors += [layer.lora_A[name].weight, layer.lora_B[name].weight]
        scales.append(layer.scaling[name])
        dropout = getattr(layer.lora_dropout[name], "p", 0.0) if layer.training else 0.0
    kept = 1 - round(dropout * DRAWS) / DRAWS
    plan = _Plan(
        weights=[getattr(layer, "base_layer", layer).weight for layer in layers],
        updated=[number for number, _ in updates],
        scales=[scale / kept for scale in scales],
        dropout=dropout,
        dtype=dtype,
        norm=None if norm is None else (norm.weight, norm.variance_epsilon),
    )
    return _Project.apply(plan, x, gate, *factors)


def _is_plain(layer: nn.Module) -> bool:
    base = getattr(layer, "base_layer", layer)
    if type(base) is not nn.Linear or base.bias is not None or base.weight.requires_grad:
        return False
    if base is layer or not _has_update(layer):
        return True
    return type(layer) is LoraLinear and len(layer.active_adapters) == 1 and not layer.lora_variant


def _has_update(layer: nn.Module) -> bool:
    return isinstance(layer, LoraLinear) and not layer.disable_adapters and not layer.merged


class _Project(torch.autograd.Function):
    """``y_i = inputs W_iᵀ + scale_i (drop(inputs) A_iᵀ) B_iᵀ`` with ``inputs`` from :func:`_inputs`."""

    @staticmethod
    def forward(
        ctx: Any, plan: _Plan, x: Tensor, gate: Tensor | None, *factors: Tensor
    ) -> tuple[Tensor, ...]:
        inputs, rescale = _inputs(x, gate, plan.norm)
        inputs = inputs.to(plan.dtype)
        outputs = [F.linear(inputs, weight.to(plan.dtype)) for weight in plan.weights]
        keep = low = None
        if factors:
            keep = _keep(inputs, plan.dropout)
            low = _drop(inputs, keep) @ torch.cat(factors[::2]).to(plan.dtype).T
            parts = low.split([len(down) for down in factors[::2]], dim=1)
            for number, part, up, scale in zip(plan.updated, parts, factors[1::2], plan.scales, strict=True):
                outputs[number].addmm_(part, up.to(plan.dtype).T, alpha=scale)
        ctx.plan = plan
        ctx.save_for_backward(x, gate, rescale, keep, low, *factors)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        plan = ctx.plan
        x, gate, rescale, keep, low, *factors = ctx.saved_tensors
        inner = gradients[0] @ plan.weights[0].to(plan.dtype)
        for gradient, weight in zip(gradients[1:], plan.weights[1:], strict=True):
            inner.addmm_(gradient, weight.to(plan.dtype))
        of_factors: list[Tensor] = []
        if factors:
            inputs = _inputs(x, gate, plan.norm, rescale)[0].to(plan.dtype)
            ranks = [len(down) for down in factors[::2]]
            outer = [gradients[number] for number in plan.updated]
            of_low = torch.cat(
                [
                    (gradient @ up.to(plan.dtype)).mul_(scale)
                    for gradient, up, scale in zip(outer, factors[1::2], plan.scales, strict=True)
                ],
                dim=1,
            )
            of_downs = (of_low.T @ _drop(inputs, keep)).split(ranks)
            of_ups = [
                (gradient.T @ part).mul_(scale)
                for gradient, part, scale in zip(outer, low.split(ranks, dim=1), plan.scales, strict=True)
            ]
            for pair, of_pair in zip(
                zip(factors[::2], factors[1::2], strict=True), zip(of_downs, of_ups, strict=True), strict=True
            ):
                of_factors += [found.to(factor.dtype) for factor, found in zip(pair, of_pair, strict=True)]
            downs = torch.cat(factors[::2]).to(plan.dtype)
            if keep is None:
                inner.addmm_(of_low, downs)
            else:
                inner += _drop(of_low @ downs, keep)
        return None, *_through_inputs(inner, x, gate, plan.norm, rescale), *of_factors


def _inputs(
    x: Tensor, gate: Tensor | None, norm: tuple[Tensor, float] | None, rescale: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """What the layers read, and the norm's factor ``[T, 1]`` of each row."""
    if gate is not None:
        return F.silu(gate).mul_(x) if not torch.is_grad_enabled() else F.silu(gate) * x, None
    if norm is None:
        return x, None
    weight, epsilon = norm
    exact = x.float()
    if rescale is None:
        rescale = (
            torch.linalg.vector_norm(exact, dim=-1, keepdim=True).square() / x.shape[-1] + epsilon
        ).rsqrt()
    return (exact * rescale).to(x.dtype) * weight, rescale


def _through_inputs(
    inner: Tensor, x: Tensor, gate: Tensor | None, norm: tuple[Tensor, float] | None, rescale: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Gradients of ``x`` and ``gate`` from the gradient of what :func:`_inputs` made of them."""
    if gate is not None:
        sigmoid = torch.sigmoid(gate)
        of_gate = (inner * x).mul_(sigmoid)
        of_gate.addcmul_(of_gate, (1 - sigmoid).mul_(gate))
        return sigmoid.mul_(gate).mul_(inner), of_gate
    if norm is None:
        return inner.to(x.dtype), None
    unit = x.float() * rescale
    inner = inner.float() * norm[0].float()
    mean = (inner * unit).mean(-1, keepdim=True)
    return inner.addcmul_(unit, mean, value=-1).mul_(rescale).to(x.dtype), None


def _keep(inputs: Tensor, dropout: float) -> Tensor | None:
    """Which numbers dropout keeps, as int8 (-1: kept, 0: dropped); None: all."""
    if not dropout:
        return None
    # Raw bits in one stroke: torch's own dropout costs as much as the matrix product on a CPU.
    bits = torch.empty(-(-inputs.numel() // 4), dtype=torch.int64, device=inputs.device).random_(
        -(2**63), None
    )
    draws = bits.view(torch.int16)[: inputs.numel()].view(inputs.shape)
    return draws.ge_(round(dropout * DRAWS) - DRAWS // 2).neg_().to(torch.int8)


def _drop(inputs: Tensor, keep: Tensor | None) -> Tensor:
    """Zeros in place of what is not kept; the rest is not rescaled. Bits, since a product with a mask is slow."""
    if keep is None:
        return inputs
    integer = {2: torch.int16, 4: torch.int32, 8: torch.int64}[inputs.element_size()]
    return (inputs.view(integer) & keep.to(integer)).view(inputs.dtype)
