"""LoRA that begins as a part of the frozen weights, which is taken out of them (PiSSA, OLoRA).

A layer computes ``(W - s B₀ A₀) x + s B A x``. On disk this is plain LoRA of twice the rank on the weights ``W`` as
they were, ``W x + s' [B', -B₀'] [A; A₀] x``: whatever reads, merges or shares a folder needs to know of nothing else,
and no decomposition is made again. To train on, it is taken apart.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from peft import PeftModel
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor

START = "lora_start"  # attribute of a peft model: by layer A₀ [r, in] and B₀ [out, r], on the CPU
Factors = tuple[Tensor, Tensor]


def remember_start(model: PeftModel) -> None:
    """Keep the factors that LoRA begins with, before the first step."""
    setattr(
        model,
        START,
        {name: tuple(f.detach().cpu().clone() for f in _factors(layer)) for name, layer in _layers(model)},
    )


def as_plain(model: PeftModel, weights: dict[str, Tensor] | None) -> dict[str, Tensor]:
    """The trained weights by name, ``weights`` or the model's own, with factors of twice the rank."""
    if weights is None:
        weights = {name: w.detach().cpu() for name, w in model.named_parameters() if w.requires_grad}
    plain = dict(weights)
    for name, layer in _layers(model):
        down, up = (f"{name}.{part}.default.weight" for part in ("lora_A", "lora_B"))
        first, second = getattr(model, START)[name]
        plain[down] = torch.cat([weights[down], first.to(weights[down])])
        plain[up] = torch.cat([weights[up], -second.to(weights[up])], dim=1) * _ratio(model, layer)
    return plain


def from_plain(model: PeftModel, found: dict[str, Tensor]) -> dict[str, Tensor]:
    """The opposite of :func:`as_plain` for weights by their names on disk; the base weights are brought in step.

    Layers that were saved otherwise are handed on as they are.
    """
    found = dict(found)
    for name, layer in _layers(model):
        down, up = (f"{name}.{part}.weight" for part in ("lora_A", "lora_B"))
        rank = len(_factors(layer)[0])
        if down not in found or up not in found or len(found[down]) != 2 * rank:
            continue
        found[down], first = (part.contiguous() for part in found[down].split(rank))
        found[up], second = (
            part.contiguous() for part in (found[up] / _ratio(model, layer)).split(rank, dim=1)
        )
        _move_start(model, name, layer, (first, -second))
    return found


@contextmanager
def described_as_plain(model: PeftModel) -> Iterator[None]:
    """While ``model`` is saved, its adapter's configuration is that of what :func:`as_plain` gives."""
    kept = model.peft_config["default"]
    twice = {"r": 2 * kept.r, "lora_alpha": 2 * kept.lora_alpha}
    model.peft_config["default"] = replace(kept, **twice, use_rslora=False, init_lora_weights=True)
    try:
        yield
    finally:
        model.peft_config["default"] = kept


def _move_start(model: PeftModel, name: str, layer: LoraLayer, start: Factors) -> None:
    """Take the factors ``start`` out of the base weight instead of those that were.

    Another machine may decompose otherwise; on the same one nothing is done, and a resumed run is the same to the bit.
    """
    before = getattr(model, START)[name]
    if all(torch.equal(old, new) for old, new in zip(before, start, strict=True)):
        return
    weight = layer.get_base_layer().weight
    difference = before[1] @ before[0] - start[1] @ start[0]
    weight.data += (layer.scaling["default"] * difference).to(weight)
    getattr(model, START)[name] = start


def _ratio(model: PeftModel, layer: LoraLayer) -> float:
    """The layer's scale over that of the plain LoRA, alpha / rank; rsLoRA's differs."""
    settings = model.peft_config["default"]
    return layer.scaling["default"] * settings.r / settings.lora_alpha


def _layers(model: PeftModel) -> Iterator[tuple[str, LoraLayer]]:
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            yield name, module


def _factors(layer: LoraLayer) -> Factors:
    return layer.lora_A["default"].weight, layer.lora_B["default"].weight
