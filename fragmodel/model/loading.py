"""A trained model, in whichever form its folder holds it.

A run's model or checkpoint names encoder and decoder by their paths; an exported folder carries both, joined, in
``base/``; a merged folder is one transformers model.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from peft import PeftModel
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from fragmodel.digests import check_digests, read_json
from fragmodel.embeddings.encoders import load_encoder
from fragmodel.embeddings.extract import COMPUTE_DTYPES
from fragmodel.embeddings.kinds import check_joins
from fragmodel.errors import UserError
from fragmodel.files import file_digest, text_digest
from fragmodel.model.configuration import Esm2LlamaInstructConfig
from fragmodel.model.modeling import Esm2LlamaInstructForCausalLM
from fragmodel.model.trained import SPEC_FILE, ModelSpec, load_adapter_weights, read_spec

BASE = "base"

Model = PeftModel | Esm2LlamaInstructForCausalLM


class Parts(NamedTuple):
    """A trained model in evaluation mode without its encoder, its tokenizer, and the frozen encoder in float32."""

    model: Model
    tokenizer: PreTrainedTokenizerBase
    encoder: PreTrainedModel | None


def load_parts(
    folder: Path, *, dtype: str | None = None, with_encoder: bool = True, quantised: bool = True
) -> Parts:
    """Load a model folder of any form.

    ``dtype`` of the decoder is `float32` or `bfloat16`; None takes what the model was trained in, and its decoder in 8
    or 4 bits where it had those, unless ``quantised`` is off. The encoder computes in float32, as for the store.
    Raises :class:`UserError`.
    """
    folder = Path(folder)
    if dtype is not None and dtype not in COMPUTE_DTYPES:
        raise UserError(f"--dtype {dtype}: not known; use one of {', '.join(COMPUTE_DTYPES)}")
    check_digests(folder)
    if is_merged(folder):
        config = Esm2LlamaInstructConfig.from_pretrained(folder)
        return _load_joined(folder, folder, dtype or str(config.llama_config.dtype).removeprefix("torch."))
    spec = locate_spec(folder)
    bits = spec.decoder_bits if quantised and dtype is None else None
    spec = spec.model_copy(update={"dtype": dtype or spec.dtype, "decoder_bits": bits})
    if (folder / BASE).is_dir():
        parts = _load_joined(folder / BASE, folder, spec.dtype)
        parts = parts._replace(model=spec.add_lora(parts.model))
    else:
        encoder = load_encoder(spec.esm_path) if with_encoder else None
        model, _ = spec.build(include_encoder=False)
        # The tokenizer that it was trained with: a chat template, ours or the decoder's, may have changed since.
        parts = Parts(model, AutoTokenizer.from_pretrained(folder, trust_remote_code=False), encoder)
    load_adapter_weights(parts.model, folder)
    parts.model.eval()
    return parts


def load_trained(
    folder: Path, *, include_encoder: bool, quantised: bool = True
) -> tuple[Model, PreTrainedTokenizerBase]:
    """A trained model, ready for generation, and its tokenizer. Raises :class:`UserError`."""
    parts = load_parts(folder, with_encoder=include_encoder, quantised=quantised)
    return (with_its_encoder(parts) if include_encoder else parts.model), parts.tokenizer


def with_its_encoder(parts: Parts) -> Model:
    """The model, with the encoder that it was trained with put into it.

    Raises :class:`UserError` for an encoder whose states come from the store alone.
    """
    if parts.encoder is not None:
        check_joins(parts.encoder.config, parts.encoder.name_or_path)
    joined = parts.model.get_base_model() if isinstance(parts.model, PeftModel) else parts.model
    joined.esm_encoder, joined.config.include_encoder = parts.encoder, True
    return parts.model


def is_merged(folder: Path) -> bool:
    """Whether the folder holds one transformers model without adapters."""
    path = Path(folder) / "config.json"
    if (Path(folder) / SPEC_FILE).is_file() or not path.is_file():
        return False
    return read_json(path).get("model_type") == Esm2LlamaInstructConfig.model_type


def check_folder(folder: Path) -> None:
    """Raise :class:`UserError` when the folder holds no trained model of any form."""
    if not is_merged(folder):
        read_spec(folder)


def folder_digest(folder: Path) -> str:
    """SHA-256 of the trained weights in a model folder."""
    files = sorted(Path(folder).glob("*.safetensors"))
    if len(files) == 1:
        return file_digest(files[0])
    return text_digest(*(file_digest(path) for path in files))


def locate_spec(folder: Path) -> ModelSpec:
    """The spec with paths that exist from here.

    A run names its encoder and decoder relative to where Snakemake ran: they are looked for in the model folder and
    in the folders above it, then in the working folder. What is found nowhere is taken for a hub id.
    """
    spec = read_spec(folder)
    above = Path(folder).resolve()
    found = {}
    for field in ("esm_path", "llama_path"):
        name = getattr(spec, field)
        candidates = [parent / name for parent in (above, *above.parents, Path.cwd())]
        found[field] = str(next((path for path in candidates if path.exists()), name))
    return spec.model_copy(update=found)


def _load_joined(weights: Path, tokenizer: Path, dtype: str) -> Parts:
    """Encoder and decoder that lie in one transformers folder."""
    check_digests(weights)
    try:
        model = Esm2LlamaInstructForCausalLM.from_pretrained(
            weights, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
        words = AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{weights}: cannot be loaded: {str(error).splitlines()[0]}") from None
    if model.esm_encoder is None:
        raise UserError(f"{weights}: was saved without its encoder; merge or export it again")
    encoder, model.esm_encoder = model.esm_encoder.eval(), None
    model.config.include_encoder = False
    model.llama_decoder.to(getattr(torch, dtype))
    model.requires_grad_(False)
    return Parts(model.eval(), words, encoder)
