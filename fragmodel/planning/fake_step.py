"""A training step on tensors that have a shape and no content: its memory and its operations, without its work.

The model's own modules run a padded step, forward and backward, under ``FakeTensorMode``.
"""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from peft import PeftModel
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from fragmodel.model.token_loss import linear_cross_entropy
from fragmodel.model.token_rows import embed_tokens, token_rows
from fragmodel.planning.data import Lengths

# Torch counts the attention of a GPU; that of a CPU does the same.
_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: (
        lambda query, key, value, *_, out_shape=None, **__: sdpa_flop_count(query, key, value)
    ),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda grad, query, key, value, *_, out_shape=None, **__: sdpa_backward_flop_count(
            grad, query, key, value
        )
    ),
}


def peak_memory(model: PeftModel, step: Callable[[], None]) -> int:
    """Most bytes at once that ``step`` makes beyond the weights of ``model``, its buffers and its gradients."""
    memory = LiveMemory()
    with FakeTensorMode(allow_non_fake_inputs=True):
        _give_contents(model)
        memory.leave_out(*model.parameters(), *model.buffers())
        memory.leave_out(*(p.grad for p in model.parameters() if p.grad is not None))
        with memory:
            step()
    return memory.peak


def operations(model: PeftModel, step: Callable[[], None]) -> int:
    """Floating point operations of ``step``."""
    # Apart from the memory: the counter holds on to tensors.
    counter = FlopCounterMode(display=False, custom_mapping=_ATTENTION)
    with FakeTensorMode(allow_non_fake_inputs=True):
        _give_contents(model)
        with counter:
            step()
    return counter.get_total_flops()


def training_step(
    model: PeftModel,
    lengths: Lengths,
    batch: int,
    *,
    checkpointing: bool,
    precision: torch.dtype,
    states_dtype: torch.dtype,
) -> None:
    """Forward and backward pass of ``batch`` records of these lengths, whose encoder states are ``states_dtype``."""
    model.train()
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    else:
        model.activation_checkpointing_disable()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision != torch.float32):
        loss = _loss(model, lengths, batch, states_dtype, precision)
    loss.backward()


def _loss(
    model: PeftModel, lengths: Lengths, batch: int, states_dtype: torch.dtype, precision: torch.dtype
) -> torch.Tensor:
    """The loss of a padded batch by the layers of transformers and peft, with shapes that do not depend on contents.

    An upper bound: training packs its records and keeps less. Embeddings and head are training's own, which copy no
    vocabulary. Every record is given a fragment as long as its window.
    """
    inner: Any = model.base_model.model
    rows, tokens = lengths.residues + 2, lengths.tokens
    states = torch.empty(batch, rows, inner.config.esm_config.hidden_size, dtype=states_dtype)
    proteins = inner.modality_adapter(states)
    embeddings = embed_tokens(
        torch.zeros(batch, tokens, dtype=torch.long), *token_rows(inner.get_input_embeddings())
    )
    places = torch.zeros(batch, tokens, 1, dtype=torch.bool)
    embeddings = embeddings.masked_scatter(places, proteins.to(embeddings.dtype))
    perceiver = inner.fragment_adapter
    residues = proteins[:, 1:-1].clone()
    mask = torch.ones(batch, lengths.residues, dtype=torch.bool)
    soft_tokens = perceiver.read(residues, mask, residues.mean(1, keepdim=True))
    embeddings = embeddings.masked_scatter(places, soft_tokens.to(embeddings.dtype))
    decoder = inner.llama_decoder
    attention = torch.ones(batch, 1, tokens, tokens, dtype=torch.bool)
    hidden = decoder.model(inputs_embeds=embeddings, attention_mask=attention).last_hidden_state
    weight, ids, rows = token_rows(inner.get_output_embeddings())
    dtype = weight.dtype if precision == torch.float32 else precision
    hidden = hidden[:, -lengths.answer - 1 : -1].flatten(0, 1).to(dtype)
    targets = torch.zeros(len(hidden), dtype=torch.long)
    return linear_cross_entropy(hidden, weight, targets, ids=ids, rows=rows)


def _give_contents(model: PeftModel) -> None:
    """Put fake CPU tensors, with standing gradients, in place of the meta ones. Needs an active fake mode."""
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                fake = torch.empty(weight.shape, dtype=weight.dtype)
                module._parameters[name] = torch.nn.Parameter(fake, requires_grad=weight.requires_grad)
                if weight.requires_grad:
                    module._parameters[name].grad = torch.empty_like(fake)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


class LiveMemory(TorchDispatchMode):
    """Adds up the storages that operations make while they are alive; ``peak`` is the most bytes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: set[int] = set()

    def leave_out(self, *tensors: torch.Tensor) -> None:
        """Do not count these, which were there before."""
        self._known.update(tensor.untyped_storage()._cdata for tensor in tensors)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._add(leaf.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size
