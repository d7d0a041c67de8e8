"""Models and records that the benchmarks of training and generation share: true shapes, seeded random weights."""

import dataclasses
from typing import Any

import torch
from peft import PeftModel
from transformers import EsmConfig, LlamaConfig

from fragmodel.config.training import LoraConfig
from fragmodel.model.assemble import add_lora
from fragmodel.model.configuration import Esm2LlamaInstructConfig
from fragmodel.model.modeling import IGNORED, Esm2LlamaInstructForCausalLM

LETTERS = "LAGVSERTIDPKQNFYMHWC"


@dataclasses.dataclass(frozen=True)
class Shape:
    """What is trained on: the shapes of the models (ESM-2 35M and a LLaMA of 135M, as SmolLM2), and the lengths of
    the records of a batch.
    """

    residues: tuple[int, ...]
    layers: int = 30
    vocabulary: int = 49_152
    dim: int = 576
    feed_forward: int = 1536
    heads: int = 9
    key_heads: int = 3
    tied: bool = True
    encoder_layers: int = 12
    encoder_dim: int = 480
    encoder_heads: int = 20
    rank: int = 16
    text: int = 140  # text tokens of a record, 40 of them its answer
    answer: int = 40

    @property
    def tokens(self) -> int:
        """Useful tokens of the batch: text, residues, BOS and EOS, and a token for the fragment."""
        return sum(self.text + count + 3 for count in self.residues)

    @property
    def control(self) -> dict[str, int]:
        """Ids of the control tokens: the last ones of the vocabulary."""
        names = ("protein", "fragment", "span_open", "span_close")
        return {name: self.vocabulary - 1 - number for number, name in enumerate(names)}


def build(shape: Shape, *, include_encoder: bool, dtype: torch.dtype = torch.float32) -> PeftModel:
    """The joined model with LoRA on all linear layers, on torch's default device.

    The frozen parts are held in ``dtype``, as ``training.precision`` says; what is trained is float32.
    """
    torch.manual_seed(0)
    config = Esm2LlamaInstructConfig(
        esm_config=EsmConfig(
            vocab_size=33,
            mask_token_id=32,
            pad_token_id=1,
            hidden_size=shape.encoder_dim,
            num_hidden_layers=shape.encoder_layers,
            num_attention_heads=shape.encoder_heads,
            intermediate_size=4 * shape.encoder_dim,
            max_position_embeddings=1026,
            position_embedding_type="rotary",
            token_dropout=True,
        ),
        llama_config=LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.dim,
            intermediate_size=shape.feed_forward,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.key_heads,
            max_position_embeddings=8192,
            tie_word_embeddings=shape.tied,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=2,
        ),
        control_token_ids=shape.control,
        include_encoder=include_encoder,
    )
    model = Esm2LlamaInstructForCausalLM(config)
    model.requires_grad_(False)
    model.llama_decoder.to(dtype)
    if model.esm_encoder is not None:
        model.esm_encoder.to(dtype)
    settings = LoraConfig()
    return add_lora(
        model,
        rank=shape.rank,
        alpha=2 * shape.rank,
        dropout=settings.dropout,
        target_modules=settings.target_modules,
    )


def items(shape: Shape, *, stored: bool) -> list[dict[str, Any]]:
    """Records as :class:`fragmodel.batching.dataset.FragRefDataset` gives them, with encoder states or without."""
    draw = torch.Generator().manual_seed(1)
    control, found = shape.control, []
    for number, count in enumerate(shape.residues):
        text = torch.randint(3, shape.vocabulary - 4, (shape.text,), generator=draw).tolist()
        prompt, answer = text[: -shape.answer], text[-shape.answer :]
        prompt[20:20] = [control["protein"]] * (count + 2) + [control["fragment"]]
        letters = torch.randint(len(LETTERS), (count,), generator=draw).tolist()
        item = {
            "record_id": f"record {number}",
            "sequence": "".join(LETTERS[letter] for letter in letters),
            "position_ref": [count // 4, count // 2],
            "input_ids": prompt + answer,
            "labels": [IGNORED] * len(prompt) + answer,
        }
        if stored:
            states = torch.randn(count + 2, shape.encoder_dim, generator=draw)
            item["protein_hidden_states"] = states.bfloat16()
        found.append(item)
    return found
