"""GPU memory of a training step, by part.

Nothing is computed: the modules that training builds run a padded step, forward and backward, on tensors that have
a shape and no content (``FakeTensorMode``), while a dispatch mode adds up what is alive. All decoder layers are
alike, so that one and two of them, and batches of one and two records, tell every other number by a straight line.
"""

import weakref
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count
from transformers import EsmConfig, EsmModel, LlamaConfig, LlamaForCausalLM

from fragmodel.config.run import RunConfig
from fragmodel.model.assemble import add_lora
from fragmodel.model.configuration import Esm2LlamaInstructConfig
from fragmodel.model.modeling import Esm2LlamaInstructForCausalLM
from fragmodel.planning.data import DataSize

_PARTS = {
    "modality_adapter": "modality_adapter.",
    "fragment_adapter": "fragment_adapter.",
    "lora": "lora_",
    "token_rows": "trainable_tokens_",
}
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


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """One record: residues of its window, tokens of its question and of its answer."""

    residues: int
    prompt: int
    answer: int

    @classmethod
    def longest(cls, run: RunConfig, data: DataSize) -> "Lengths":
        """The longest record that a batch can hold."""
        return cls(
            residues=data.longest, prompt=round(data.prompt_tokens), answer=run.training.max_text_tokens
        )

    @classmethod
    def mean(cls, data: DataSize) -> "Lengths":
        """The mean training record."""
        return cls(
            residues=round(data.record_residues),
            prompt=round(data.prompt_tokens),
            answer=max(round(data.answer_tokens), 1),
        )

    @property
    def tokens(self) -> int:
        """Positions in the decoder: BOS, residues and EOS, then the text."""
        return self.residues + 2 + self.prompt + self.answer


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Numbers of weights by part, and the bytes of those that a training step holds."""

    encoder: int
    decoder: int
    modality_adapter: int
    fragment_adapter: int
    lora: int
    token_rows: int
    frozen_bytes: int
    trained_bytes: int

    @property
    def trained(self) -> int:
        """Number of trained weights."""
        return self.modality_adapter + self.fragment_adapter + self.lora + self.token_rows


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """Bytes that one process holds at the peak of a training step."""

    frozen: int
    trained: int
    gradients: int
    buckets: int  # of distributed training, a second copy of the gradients
    optimizer: int  # AdamW's two moments
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(vars(self).values())


class Planner:
    """Weights, memory and operations of a run's model, from configurations alone."""

    def __init__(self, run: RunConfig, encoder: EsmConfig, decoder: LlamaConfig) -> None:
        self.run, self.encoder, self.decoder = run, encoder, decoder
        # Both formats of half precision have one size, and a CPU's autocast is made for bfloat16.
        self.dtype = torch.float32 if run.training.precision == "float32" else torch.bfloat16
        self._layers = [self._build(number) for number in (1, 2)]
        self.weights = self._weights()

    def step(self, lengths: Lengths, batch: int, *, checkpointing: bool) -> StepMemory:
        """Memory of a step on ``batch`` records of these lengths.

        Gradients are counted as standing, as they do when several batches are accumulated; with one batch the
        peak is lower by up to their size.
        """
        weights = self.weights
        one, two = (
            self._in_layers([self._activations(index, lengths, n, checkpointing) for index in (0, 1)])
            for n in (1, 2)
        )
        return StepMemory(
            frozen=weights.frozen_bytes,
            trained=weights.trained_bytes,
            gradients=weights.trained_bytes,
            buckets=weights.trained_bytes if self.run.training.all_processes > 1 else 0,
            optimizer=2 * weights.trained_bytes,
            activations=one + (batch - 1) * (two - one),
        )

    def training_operations(self, lengths: Lengths, *, checkpointing: bool) -> int:
        """Floating point operations of a training step for each record; an encoder in the loop is left out."""
        return self._in_layers([self._operations(model, lengths, checkpointing) for model in self._layers])

    def encoder_operations(self, residues: float) -> float:
        """Floating point operations of the encoder over one window: two for each weight, and the attention's."""
        rows, config = residues + 2, self.encoder
        attention = 4 * config.num_hidden_layers * config.hidden_size * rows
        return rows * (2 * self.weights.encoder + attention)

    def _in_layers(self, values: list[int]) -> int:
        """What is true of all layers, from what is true of one and of two."""
        one, two = values
        return one + (self.decoder.num_hidden_layers - 1) * (two - one)

    def _build(self, layers: int) -> PeftModel:
        """The model of training without its encoder, with this many decoder layers, on the meta device."""
        decoder = LlamaConfig(**{**self.decoder.to_diff_dict(), "num_hidden_layers": layers})
        adapter, lora = self.run.adapter, self.run.lora
        config = Esm2LlamaInstructConfig(
            esm_config=self.encoder,
            llama_config=decoder,
            **adapter.model_dump(),
            control_token_ids={"protein": 0, "fragment": 1, "span_open": 2, "span_close": 3},
            include_encoder=False,
        )
        with torch.device("meta"):
            model = Esm2LlamaInstructForCausalLM(config)
            model.llama_decoder = LlamaForCausalLM._from_config(decoder, dtype=self.dtype)
            model.requires_grad_(False)
            return add_lora(
                model,
                rank=lora.rank,
                alpha=lora.alpha,
                dropout=lora.dropout,
                target_modules=lora.target_modules,
            )

    def _weights(self) -> Weights:
        with torch.device("meta"):
            encoder = EsmModel(self.encoder, add_pooling_layer=False).num_parameters()
        counted = [_count(model, self.run.training.decoder_bits) for model in self._layers]
        parts = {name: self._in_layers([each[name] for each in counted]) for name in counted[0]}
        if self.run.embeddings.mode == "in_loop":
            parts["frozen_bytes"] += encoder * self.dtype.itemsize
        return Weights(encoder=encoder, **parts)

    @cache  # noqa: B019 (a planner lives as long as a plan)
    def _activations(self, index: int, lengths: Lengths, batch: int, checkpointing: bool) -> int:
        """Most bytes at once that a step makes beyond weights, gradients and optimizer states."""
        model, memory = self._layers[index], LiveMemory()
        with FakeTensorMode(allow_non_fake_inputs=True):
            _give_contents(model)
            memory.leave_out(*model.parameters(), *model.buffers())
            memory.leave_out(*(p.grad for p in model.parameters() if p.grad is not None))
            with memory:
                self._step(model, lengths, batch, checkpointing)
        return memory.peak

    def _operations(self, model: PeftModel, lengths: Lengths, checkpointing: bool) -> int:
        # Apart from the memory: the counter holds on to tensors.
        counter = FlopCounterMode(display=False, custom_mapping=_ATTENTION)
        with FakeTensorMode(allow_non_fake_inputs=True):
            _give_contents(model)
            with counter:
                self._step(model, lengths, 1, checkpointing)
        return counter.get_total_flops()

    def _step(self, model: PeftModel, lengths: Lengths, batch: int, checkpointing: bool) -> None:
        model.train()
        if checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
            model.enable_input_require_grads()
        else:
            model.activation_checkpointing_disable()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.dtype != torch.float32):
            loss = step_loss(model, lengths, batch, self._states_dtype())
        loss.backward()

    def _states_dtype(self) -> torch.dtype:
        stored = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.float32}
        embeddings = self.run.embeddings
        return stored[embeddings.dtype] if embeddings.mode == "store" else self.dtype


def _count(model: PeftModel, decoder_bits: int | None) -> dict[str, int]:
    """Numbers of weights by part and bytes by kind; frozen linear layers of the decoder may be held in fewer bits."""
    counted = dict.fromkeys(("decoder", *_PARTS, "frozen_bytes", "trained_bytes"), 0)
    for name, weight in model.named_parameters():
        size = weight.nbytes
        if decoder_bits and "proj." in name and not weight.requires_grad:
            # LLM.int8 adds a float32 for each row; NF4 with double quantisation about 0.127 bits for each weight.
            size = (
                weight.numel() + 4 * len(weight) if decoder_bits == 8 else round(weight.numel() * 4.127 / 8)
            )
        counted["trained_bytes" if weight.requires_grad else "frozen_bytes"] += size
        part = next((part for part, mark in _PARTS.items() if mark in name), "decoder")
        counted[part] += weight.numel()
    return counted


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


def step_loss(model: PeftModel, lengths: Lengths, batch: int, states_dtype: torch.dtype) -> torch.Tensor:
    """The loss of a padded batch by the layers of transformers and peft, with shapes that do not depend on contents.

    An upper bound: training packs its records and keeps less. Every record is given a fragment as long as its
    window.
    """
    inner: Any = model.base_model.model
    rows, tokens = lengths.residues + 2, lengths.tokens
    states = torch.empty(batch, rows, inner.config.esm_config.hidden_size, dtype=states_dtype)
    proteins = inner.modality_adapter(states)
    embeddings = inner.get_input_embeddings()(torch.zeros(batch, tokens, dtype=torch.long))
    places = torch.zeros(batch, tokens, 1, dtype=torch.bool)
    embeddings = embeddings.masked_scatter(places, proteins.to(embeddings.dtype))
    perceiver = inner.fragment_adapter
    residues = proteins[:, 1:-1].clone()
    latents = perceiver.latents + residues.mean(1, keepdim=True)
    mask = torch.ones(batch, lengths.residues, dtype=torch.bool)
    for layer in perceiver.layers:
        latents = layer(latents, residues, mask)
    soft_tokens = perceiver.output_norm(latents)
    embeddings = embeddings.masked_scatter(places, soft_tokens.to(embeddings.dtype))
    decoder = inner.llama_decoder
    attention = torch.ones(batch, 1, tokens, tokens, dtype=torch.bool)
    hidden = decoder.model(inputs_embeds=embeddings, attention_mask=attention).last_hidden_state
    logits = decoder.lm_head(hidden[:, -lengths.answer - 1 : -1].flatten(0, 1))
    return F.cross_entropy(logits.float(), torch.zeros(len(logits), dtype=torch.long), reduction="sum")


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
