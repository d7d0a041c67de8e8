"""Kinds of encoders by their ``model_type`` in transformers, and how each spells residues.

ESM-1b, ESM-1v, ESM-2 and ESM-C share one alphabet (:mod:`fragmodel.embeddings.alphabet`). The others bring a tokenizer,
of which the token of each letter is noted once, as ``residue_tokens`` in the configuration:

- SaProt (an ESM-2 by its layers) reads pairs of a residue and its structure; ``#`` stands for an unknown structure.
- ProtT5, ProstT5 and Ankh are the encoder half of a T5. They write no token before the residues (ProstT5 writes the one
  that says that residues follow). Where there is none, row 0 of the states is zero.
"""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    CONFIG_MAPPING,
    EsmcModel,
    EsmModel,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5EncoderModel,
)

from fragmodel.embeddings import alphabet
from fragmodel.errors import UserError

KINDS: dict[str, type[PreTrainedModel]] = {"esm": EsmModel, "esmc": EsmcModel, "t5": T5EncoderModel}
# Settings beside the weights that change the forward pass.
_DECISIVE = {
    "esmc": ("num_attention_heads", "head_dim", "hidden_act", "rope_parameters"),
    "t5": (
        *("num_heads", "d_kv", "layer_norm_epsilon", "feed_forward_proj"),
        *("relative_attention_num_buckets", "relative_attention_max_distance"),
    ),
}
_RARE = "UZOB"  # which ProtT5 has seen as X
_SPACE = "▁"  # of sentencepiece: these models read residues as words
_RESIDUES_FOLLOW = "<AA2fold>"  # of ProstT5


def encoder_class(config: PretrainedConfig) -> type[PreTrainedModel]:
    """The model of transformers for ``config``."""
    return KINDS[config.model_type]


def new_encoder(config: PretrainedConfig) -> PreTrainedModel:
    """A newly initialised encoder."""
    options = {"add_pooling_layer": False} if config.model_type == "esm" else {}
    return encoder_class(config)(config, **options)


def encoder_config(values: dict[str, Any]) -> PretrainedConfig:
    """The configuration from the values of a config.json. Raises ``ValueError`` for another kind of model."""
    values = dict(values)
    kind = values.pop("model_type", "esm")
    if kind not in KINDS:
        raise ValueError(f"holds a '{kind}' model; expected an encoder of {', '.join(KINDS)}")
    return CONFIG_MAPPING[kind](**values)


def check_encoder(config: PretrainedConfig) -> None:
    """Raise ``ValueError`` for a model that is no encoder of a known kind."""
    kind = config.model_type
    if kind not in KINDS or getattr(config, "is_folding_model", False):
        raise ValueError(f"holds a '{kind}' model; expected an encoder of {', '.join(KINDS)}")


def has_esm_alphabet(config: PretrainedConfig) -> bool:
    """Whether the ids of :mod:`fragmodel.embeddings.alphabet` are this encoder's."""
    ids = (config.pad_token_id, getattr(config, "mask_token_id", None))
    if config.model_type == "esm":
        return (config.vocab_size, *ids) == (alphabet.VOCAB_SIZE, alphabet.PAD, alphabet.MASK)
    return config.model_type == "esmc" and ids == (alphabet.PAD, alphabet.MASK)


def check_joins(config: PretrainedConfig, source: str | Path) -> None:
    """Raise :class:`UserError` for an encoder that the joined model cannot hold: its states come from the store."""
    if config.model_type != "esm" or not has_esm_alphabet(config):
        kind = "SaProt" if config.model_type == "esm" else config.model_type
        raise UserError(
            f"encoder {source}: one of the kind {kind} is not joined with a decoder into one model; train on its "
            "states in the store (embeddings.mode: store, --store), and use the model's folder as it is"
        )


def residue_tokens(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Ids of the letters A to Z, of any other letter (``other``), and of what stands ``before`` and ``after``.

    Raises ``ValueError`` for a tokenizer that does not know the twenty amino acids.
    """
    known = tokenizer.get_vocab()
    if config.model_type == "t5":
        spelling = _SPACE + "{}" if f"{_SPACE}L" in known else "{}"
        other, after = known.get(spelling.format("X")), tokenizer.eos_token_id
        before, rare = known.get(_RESIDUES_FOLLOW), _RARE if spelling != "{}" else ""
    else:
        spelling, other, rare = "{}#", known.get("##"), ""
        before, after = known.get("<cls>"), known.get("<eos>")
    letters = {chr(code): known.get(spelling.format(chr(code))) for code in range(ord("A"), ord("Z") + 1)}
    if missing := [letter for letter in "ACDEFGHIKLMNPQRSTVWY" if letters[letter] is None]:
        raise ValueError(f"its tokenizer knows no token {spelling.format(missing[0])!r} for a residue")
    if other is None or after is None:
        raise ValueError("its tokenizer has no token for an unknown residue, or none that ends a sequence")
    found = {letter: token for letter, token in letters.items() if token is not None and letter not in rare}
    return {"letters": found, "other": other, "before": before, "after": after}


def token_ids(sequence: str, config: PretrainedConfig) -> torch.Tensor:
    """Ids of a sequence as this encoder reads it: ``[residues + 2]``, or one less without a token before."""
    tokens = getattr(config, "residue_tokens", None)
    if tokens is None:
        return alphabet.encode_packed([sequence])
    residues = [tokens["letters"].get(letter, tokens["other"]) for letter in sequence]
    before = [] if tokens["before"] is None else [tokens["before"]]
    return torch.tensor([*before, *residues, tokens["after"]])


def decisive_settings(config: PretrainedConfig) -> list[Any]:
    """What beside the weights decides about an encoder's states, for its digest."""
    if config.model_type == "esm":
        found = [
            config.num_attention_heads,
            config.layer_norm_eps,
            config.token_dropout,
            config.position_embedding_type,
            config.emb_layer_norm_before,
        ]
    else:
        found = [(name, getattr(config, name)) for name in ("model_type", *_DECISIVE[config.model_type])]
    tokens = getattr(config, "residue_tokens", None)
    return found if tokens is None else [*found, json.dumps(tokens, sort_keys=True)]
