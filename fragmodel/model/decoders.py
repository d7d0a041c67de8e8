"""Which decoders there are: the families by their ``model_type`` in transformers, and what of their settings is taken.

A family needs its name here and a row in the test of families: its layers are transformers' own, run by
:mod:`fragmodel.model.decoder_pass` over packed records.
"""

from dataclasses import dataclass
from typing import Any

from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING, PretrainedConfig, PreTrainedModel


@dataclass(frozen=True)
class Family:
    """What the joined model must know of a family beside its layers."""

    fused: bool = False  # its layers are LLaMA's, which packed_decoder runs faster than transformers does
    scales_tokens: bool = False  # the embeddings are multiplied by the root of their width


FAMILIES = {
    "llama": Family(fused=True),
    "mistral": Family(fused=True),
    "qwen2": Family(),
    "qwen3": Family(),
    "gemma3_text": Family(scales_tokens=True),
}
# What the packed pass leaves out, whatever the family: settings of a config.json and their only values.
_ONLY: dict[str, Any] = {
    "attention_dropout": 0,
    "attn_logit_softcapping": None,
    "final_logit_softcapping": None,
    "use_bidirectional_attention": False,
}


def check_decoder(config: PretrainedConfig) -> None:
    """Raise ``ValueError`` for a decoder that would be computed otherwise than transformers does."""
    _check_type(config.model_type)
    for name, only in _ONLY.items():
        if (found := getattr(config, name, only)) != only and found is not None:
            raise ValueError(f"{name} is {found} in its config.json; only {only} is supported")


def decoder_config(values: dict[str, Any]) -> PretrainedConfig:
    """The configuration from the values of a config.json; of a LLaMA where no ``model_type`` is named.

    Raises ``ValueError`` for another family.
    """
    values = dict(values)
    kind = values.pop("model_type", "llama")
    _check_type(kind)
    return CONFIG_MAPPING[kind](**values)


def decoder_class(config: PretrainedConfig) -> type[PreTrainedModel]:
    """The causal model of transformers for ``config``."""
    return MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]


def token_scale(config: PretrainedConfig) -> float:
    """What the decoder multiplies its token embeddings by."""
    return config.hidden_size**0.5 if FAMILIES[config.model_type].scales_tokens else 1.0


def has_fused_layers(config: PretrainedConfig) -> bool:
    """Whether :mod:`fragmodel.model.packed_decoder` computes what this decoder's layers do."""
    window = getattr(config, "sliding_window", None)
    return FAMILIES[config.model_type].fused and config.hidden_act in ("silu", "swish") and window is None


def _check_type(model_type: str) -> None:
    if model_type not in FAMILIES:
        raise ValueError(f"is a '{model_type}' model; expected one of {', '.join(FAMILIES)}")
