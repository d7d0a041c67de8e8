"""Checkpoints of fair-esm: read without running anything stored in them, renamed for transformers."""

import argparse
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from transformers import EsmConfig

from fragmodel.embeddings import alphabet
from fragmodel.errors import UserError

# fair-esm's prefixes of the encoder's own parameters, ESM-1b ("decoder" for the earliest files) and ESM-2.
_PREFIX = re.compile(r"^(?:encoder\.|decoder\.)?(?:sentence_encoder\.)?")
_NOT_ENCODER = ("lm_head.", "contact_head.", "embed_out")
_NAMES = (
    (r"^embed_tokens\.", "embeddings.word_embeddings."),
    (r"^embed_positions\.", "embeddings.position_embeddings."),
    (r"^emb_layer_norm_before\.", "embeddings.layer_norm."),
    (r"^emb_layer_norm_after\.", "encoder.emb_layer_norm_after."),
    (r"^layers\.0\.self_attn\.rot_emb\.inv_freq$", "rotary_embeddings.inv_freq"),  # one for all layers
    (r"^layers\.(\d+)\.self_attn\.q_proj\.", r"encoder.layer.\1.attention.self.query."),
    (r"^layers\.(\d+)\.self_attn\.k_proj\.", r"encoder.layer.\1.attention.self.key."),
    (r"^layers\.(\d+)\.self_attn\.v_proj\.", r"encoder.layer.\1.attention.self.value."),
    (r"^layers\.(\d+)\.self_attn\.out_proj\.", r"encoder.layer.\1.attention.output.dense."),
    (r"^layers\.(\d+)\.self_attn_layer_norm\.", r"encoder.layer.\1.attention.LayerNorm."),
    (r"^layers\.(\d+)\.fc1\.", r"encoder.layer.\1.intermediate.dense."),
    (r"^layers\.(\d+)\.fc2\.", r"encoder.layer.\1.output.dense."),
    (r"^layers\.(\d+)\.final_layer_norm\.", r"encoder.layer.\1.LayerNorm."),
)


def read_checkpoint(path: Path) -> tuple[EsmConfig, dict[str, torch.Tensor]]:
    """Configuration and parameters of a fair-esm ``.pt`` file, under the names of ``transformers.EsmModel``.

    The file is unpickled by PyTorch's restricted loader, which builds tensors and plain containers; of all
    other classes only ``argparse.Namespace`` is allowed (fair-esm keeps its hyperparameters in one). Tensors
    keep their stored dtype and are memory-mapped where the file's format permits. The language-model head and
    the contact head are left out. Raises :class:`UserError` when the file holds anything else or another
    model.
    """
    data = _load(path)
    if not isinstance(data, dict) or "model" not in data:
        raise UserError(f"{path}: no fair-esm checkpoint (expected the entries 'model' and 'cfg' or 'args')")
    try:
        if "cfg" in data:
            model = data["cfg"]["model"]
            config = esm2_config(
                model.encoder_layers,
                model.encoder_embed_dim,
                model.encoder_attention_heads,
                token_dropout=model.token_dropout,
            )
        else:
            config = _esm1b_config(path, data["args"], data["model"])
    except (KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{path}: no fair-esm checkpoint of ESM-2 or ESM-1b ({error!s} is missing)") from None
    return config, _rename(data["model"])


def _load(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except pickle.UnpicklingError as error:
        blocked = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"it asks to load {blocked.group(1)}" if blocked else "it is no PyTorch checkpoint"
        raise UserError(
            f"{path}: refused: {what}; only tensors, plain containers and argparse.Namespace are loaded"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise UserError(f"{path}: damaged or no PyTorch checkpoint ({str(error).splitlines()[0]})") from None


def esm2_config(layers: int, dim: int, heads: int, *, token_dropout: bool = True) -> EsmConfig:
    """The configuration of an ESM-2 of this shape."""
    return _config(
        layers=layers,
        dim=dim,
        heads=heads,
        intermediate_size=4 * dim,
        token_dropout=token_dropout,
        position_embedding_type="rotary",
        emb_layer_norm_before=False,
    )


def _esm1b_config(path: Path, args: argparse.Namespace, state: dict[str, torch.Tensor]) -> EsmConfig:
    if args.arch != "roberta_large":
        raise UserError(f"{path}: fair-esm architecture '{args.arch}' is not supported; use ESM-2 or ESM-1b")
    # Some releases name the hyperparameters with a prefix, some without.
    values = {name.removeprefix("encoder_"): value for name, value in vars(args).items()}
    names = [_PREFIX.sub("", name) for name in state]
    (positions,) = (state[name].shape[0] for name in state if name.endswith("embed_positions.weight"))
    return _config(
        layers=values["layers"],
        dim=values["embed_dim"],
        heads=values["attention_heads"],
        intermediate_size=values["ffn_embed_dim"],
        token_dropout=values.get("token_dropout", False),
        position_embedding_type="absolute",
        emb_layer_norm_before=any(name.startswith("emb_layer_norm_before.") for name in names),
        max_position_embeddings=positions,
    )


def _config(*, layers: int, dim: int, heads: int, **fields: Any) -> EsmConfig:
    return EsmConfig(
        vocab_size=alphabet.VOCAB_SIZE,
        pad_token_id=alphabet.PAD,
        mask_token_id=alphabet.MASK,
        hidden_size=dim,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=1e-5,
        **{"max_position_embeddings": 1026, **fields},
    )


def _rename(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    renamed = {}
    for name, tensor in state.items():
        name = _PREFIX.sub("", name)
        if name.startswith(_NOT_ENCODER):
            continue
        for pattern, replacement in _NAMES:
            name, found = re.subn(pattern, replacement, name)
            if found:
                renamed[name] = tensor
                break
    return renamed
