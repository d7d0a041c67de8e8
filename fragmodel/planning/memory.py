"""GPU memory and operations of a training step, by part.

The modules that training builds run a step in which nothing is computed (:mod:`fragmodel.planning.fake_step`). All
decoder layers are alike, so that one and two of them, and batches of one and two records, tell every other number by a
straight line.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from peft import PeftModel
from transformers import PretrainedConfig

from fragmodel.config.run import RunConfig
from fragmodel.embeddings.kinds import new_encoder
from fragmodel.model.assemble import add_lora
from fragmodel.model.chat import CONTROL_NAMES
from fragmodel.model.configuration import Esm2LlamaInstructConfig
from fragmodel.model.decoders import decoder_class, decoder_config
from fragmodel.model.modeling import Esm2LlamaInstructForCausalLM
from fragmodel.planning.data import Lengths
from fragmodel.planning.fake_step import operations, peak_memory, training_step

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

    def __init__(self, run: RunConfig, encoder: PretrainedConfig, decoder: PretrainedConfig) -> None:
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
        adapter, lora = self.run.adapter, self.run.lora
        config = Esm2LlamaInstructConfig(
            esm_config=self.encoder,
            llama_config=decoder,
            **adapter.model_dump(),
            control_token_ids={name: index for index, name in enumerate(CONTROL_NAMES.values())},
            include_encoder=False,
        )
        with torch.device("meta"):
            model = Esm2LlamaInstructForCausalLM(config)
            model.llama_decoder = decoder_class(decoder)._from_config(decoder, dtype=self.dtype)
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
        with torch.device("meta"):
            encoder = new_encoder(self.encoder).num_parameters()
        counted = [_count(model, self.run.training.decoder_bits) for model in self._layers]
        parts = {name: self._in_layers([each[name] for each in counted]) for name in counted[0]}
        if self.run.embeddings.mode == "in_loop":
            parts["frozen_bytes"] += encoder * self.dtype.itemsize
        return Weights(encoder=encoder, **parts)

    @cache  # noqa: B019 (a planner lives as long as a plan)
    def _activations(self, index: int, lengths: Lengths, batch: int, checkpointing: bool) -> int:
        """Most bytes at once that a step makes beyond weights, gradients and optimizer states."""
        model = self._layers[index]
        return peak_memory(model, self._step(model, lengths, batch, checkpointing))

    def _step(
        self, model: PeftModel, lengths: Lengths, batch: int, checkpointing: bool
    ) -> Callable[[], None]:
        dtypes = {"precision": self.dtype, "states_dtype": self._states_dtype()}
        return partial(training_step, model, lengths, batch, checkpointing=checkpointing, **dtypes)

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
