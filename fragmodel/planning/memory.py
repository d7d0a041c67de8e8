"""GPU memory and operations of a training step, by part.

The modules that training builds run a step in which nothing is computed (:mod:`fragmodel.planning.fake_step`). All
decoder layers are alike, so that one and two of them, and batches of one and two records, tell every other number by a
straight line.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from peft import PeftModel
from transformers import PretrainedConfig

from fragmodel.config.run import RunConfig
from fragmodel.config.training import AdapterConfig, LoraConfig
from fragmodel.embeddings.kinds import new_encoder
from fragmodel.model.assemble import add_lora
from fragmodel.model.chat import CONTROL_NAMES
from fragmodel.model.configuration import Esm2LlamaInstructConfig
from fragmodel.model.decoders import decoder_class, decoder_config
from fragmodel.model.modeling import Esm2LlamaInstructForCausalLM
from fragmodel.model.token_loss import CHUNK
from fragmodel.planning.data import Lengths
from fragmodel.planning.fake_step import operations, peak_memory, training_step
from fragmodel.planning.optimizers import state_bytes, states_of

# Of a card's memory; the rest is the CUDA context, kernels' workspaces and what the allocator cannot use.
USABLE = 0.9
# Parts of a batch: above the most there is nothing to gain, and what is free differs a little from start to start.
MOST_TOKENS, TOKENS_STEP = 16_384, 256

_PARTS = {
    "modality_adapter": "modality_adapter.",
    "fragment_adapter": "fragment_adapter.",
    "lora": "lora_",
    "token_rows": "trainable_tokens_",
}


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
    optimizer_bytes: int

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
    optimizer: int  # what it keeps on the device
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(vars(self).values())


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """What decides about the memory of a training step, beside the two pretrained models.

    Number formats by torch's names: of the frozen weights, of the products, and of stored encoder states (None: the
    encoder is in the loop).
    """

    adapter: AdapterConfig
    lora: LoraConfig
    frozen: str
    computed: str
    states: str | None
    decoder_bits: int | None
    optimizer: str
    processes: int  # in all

    @classmethod
    def of(cls, run: RunConfig) -> "StepSettings":
        """Those of a run of the pipeline."""
        training, embeddings = run.training, run.embeddings
        stored = {"float32": "float32", "bfloat16": "bfloat16", "int8": "float32"}[embeddings.dtype]
        return cls(
            adapter=run.adapter,
            lora=run.lora,
            frozen=training.precision,
            computed=training.precision,
            states=stored if embeddings.mode == "store" else None,
            decoder_bits=training.decoder_bits,
            optimizer=training.optimizer,
            processes=training.all_processes,
        )


class Planner:
    """Weights, memory and operations of a run's model, from configurations alone."""

    def __init__(self, settings: StepSettings, encoder: PretrainedConfig, decoder: PretrainedConfig) -> None:
        self.settings, self.encoder, self.decoder = settings, encoder, decoder
        self._layers = [self._build(number) for number in (1, 2)]
        with torch.device("meta"):
            self._encoder_weights = new_encoder(encoder).num_parameters()
        self._found: dict[Any, int] = {}  # activations
        self.weights = self._weights()

    def like(self, settings: StepSettings) -> "Planner":
        """For settings that differ in ``decoder_bits``, ``optimizer`` or ``processes`` alone, at no work."""
        other = copy(self)
        other.settings = settings
        other.weights = other._weights()
        return other

    def standing(self) -> StepMemory:
        """What a step takes beside its activations."""
        weights = self.weights
        return StepMemory(
            frozen=weights.frozen_bytes,
            trained=weights.trained_bytes,
            gradients=weights.trained_bytes,
            buckets=weights.trained_bytes if self.settings.processes > 1 else 0,
            # Paged ones make way for the activations.
            optimizer=0 if states_of(self.settings.optimizer).paged else weights.optimizer_bytes,
            activations=0,
        )

    def gathered_bytes(self) -> int:
        """Of the frozen weights all that is no layer, and two layers: what a process gathers that shares its model."""
        return _count(self._layers[1], self.settings)["frozen_bytes"]

    def step(self, lengths: Lengths, batch: int, *, checkpointing: bool) -> StepMemory:
        """Memory of a step on ``batch`` records of these lengths.

        Gradients are counted as standing, as they do when several batches are accumulated; with one batch the
        peak is lower by up to their size.
        """
        one, two = (
            self._in_layers([self._activations(index, lengths, n, checkpointing) for index in (0, 1)])
            for n in (1, 2)
        )
        return replace(self.standing(), activations=one + (batch - 1) * (two - one))

    def tokens_at_once(self, lengths: Lengths, usable: int, *, checkpointing: bool) -> int:
        """The largest part of a batch, in tokens, whose step takes at most ``usable`` bytes.

        At least one record of these lengths, the longest, which can be in no smaller part.
        """
        one, two = (self.step(lengths, records, checkpointing=checkpointing).total for records in (1, 2))
        tokens = lengths.tokens + lengths.tokens * (usable - one) / (two - one)
        tokens = min(int(tokens) // TOKENS_STEP * TOKENS_STEP, MOST_TOKENS)
        return max(tokens, lengths.tokens)

    def training_operations(self, lengths: Lengths, *, checkpointing: bool) -> int:
        """Floating point operations of a training step for each record; an encoder in the loop is left out."""
        return self._in_layers(
            [operations(model, self._step(model, lengths, 1, checkpointing)) for model in self._layers]
        )

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
        values = {**self.decoder.to_diff_dict(), "num_hidden_layers": layers}
        values.pop("layer_types", None)  # of all layers; how far a layer looks back changes no size
        decoder = decoder_config(values)
        adapter, lora = self.settings.adapter, self.settings.lora
        config = Esm2LlamaInstructConfig(
            esm_config=self.encoder,
            llama_config=decoder,
            **adapter.model_dump(),
            control_token_ids={name: index for index, name in enumerate(CONTROL_NAMES.values())},
            include_encoder=False,
        )
        with torch.device("meta"):
            model = Esm2LlamaInstructForCausalLM(config)
            model.llama_decoder = decoder_class(decoder)._from_config(
                decoder, dtype=_dtype(self.settings.frozen)
            )
            model.requires_grad_(False)
            return add_lora(
                model,
                rank=lora.rank,
                alpha=lora.alpha,
                dropout=lora.dropout,
                target_modules=lora.target_modules,
                use_dora=lora.use_dora,
            )

    def _weights(self) -> Weights:
        encoder = self._encoder_weights
        counted = [_count(model, self.settings) for model in self._layers]
        parts = {name: self._in_layers([each[name] for each in counted]) for name in counted[0]}
        if self.settings.states is None:
            parts["frozen_bytes"] += encoder * _dtype(self.settings.frozen).itemsize
        return Weights(encoder=encoder, **parts)

    def _activations(self, index: int, lengths: Lengths, batch: int, checkpointing: bool) -> int:
        """Most bytes at once that a step makes beyond weights, gradients and optimizer states."""
        key = (index, lengths, batch, checkpointing)
        if key not in self._found:
            model = self._layers[index]
            peak = peak_memory(model, self._step(model, lengths, batch, checkpointing))
            # What logsumexp makes of the logits and does not show.
            hidden = 4 * min(CHUNK, batch * lengths.answer * self.decoder.vocab_size)
            self._found[key] = peak + hidden
        return self._found[key]

    def _step(
        self, model: PeftModel, lengths: Lengths, batch: int, checkpointing: bool
    ) -> Callable[[], None]:
        settings = self.settings
        dtypes = {
            "precision": _dtype(settings.computed),
            "states_dtype": _dtype(settings.states or settings.frozen),
        }
        return partial(training_step, model, lengths, batch, checkpointing=checkpointing, **dtypes)


def _dtype(name: str) -> torch.dtype:
    """Both formats of half precision have one size, and a CPU's autocast is made for bfloat16."""
    return torch.float32 if name == "float32" else torch.bfloat16


def _count(model: PeftModel, settings: StepSettings) -> dict[str, int]:
    """Numbers of weights by part and bytes by kind; frozen linear layers of the decoder may be held in fewer bits."""
    decoder_bits = settings.decoder_bits
    counted = dict.fromkeys(("decoder", *_PARTS, "frozen_bytes", "trained_bytes", "optimizer_bytes"), 0)
    for name, weight in model.named_parameters():
        size = weight.nbytes
        if decoder_bits and "proj." in name and not weight.requires_grad:
            # LLM.int8 adds a float32 for each row; NF4 with double quantisation about 0.127 bits for each weight.
            size = (
                weight.numel() + 4 * len(weight) if decoder_bits == 8 else round(weight.numel() * 4.127 / 8)
            )
        counted["trained_bytes" if weight.requires_grad else "frozen_bytes"] += size
        if weight.requires_grad:
            counted["optimizer_bytes"] += state_bytes(settings.optimizer, weight.numel())
        part = next((part for part, mark in _PARTS.items() if mark in name), "decoder")
        counted[part] += weight.numel()
    return counted
