"""A model folder, wherever it lies: a run's folder, or an exported one that carries its own base model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoTokenizer, EsmModel, PreTrainedTokenizerBase

from fragmodel.data.prompts import family_of
from fragmodel.embeddings.encoders import load_encoder
from fragmodel.embeddings.extract import COMPUTE_DTYPES
from fragmodel.errors import UserError
from fragmodel.model.assemble import add_lora
from fragmodel.model.modeling import Esm2LlamaInstructForCausalLM
from fragmodel.model.trained import ModelSpec, load_adapter_weights, read_spec
from fragmodel.tables import read_metadata

BASE = "base"  # in an exported folder: encoder and decoder, joined
DATA_FILE = "training_data.json"  # in an exported folder: what the model was trained on
LONGEST_WINDOW = 1021  # residues; what `ingest.max_sequence_length` is unless it is set
DATA_NAMES = {family_of(name): name for name in ("Dom", "Act", "BindI", "Evo", "Motif")}
"""A data name for each family of fragments, as the questions know them."""


@dataclass(frozen=True)
class Parts:
    """A trained model in evaluation mode, its tokenizer and its frozen encoder."""

    model: PeftModel
    tokenizer: PreTrainedTokenizerBase
    encoder: EsmModel


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


def load_parts(folder: Path, *, device: torch.device, dtype: str | None = None) -> Parts:
    """Load a model folder. The encoder computes in float32, whatever ``dtype`` the decoder is held in.

    ``dtype`` is `float32` or `bfloat16`; None takes what the model was trained in. Raises :class:`UserError`.
    """
    spec = locate_spec(folder)
    if dtype is not None:
        if dtype not in COMPUTE_DTYPES:
            raise UserError(f"--dtype {dtype}: not known; use one of {', '.join(COMPUTE_DTYPES)}")
        spec = spec.model_copy(update={"dtype": dtype})
    if (Path(folder) / BASE).is_dir():
        parts = _load_exported(Path(folder), spec)
    else:
        model, tokenizer = spec.build(include_encoder=False)
        parts = Parts(model, tokenizer, load_encoder(spec.esm_path))
    load_adapter_weights(parts.model, folder)
    return Parts(parts.model.eval().to(device), parts.tokenizer, parts.encoder.to(device))


def _load_exported(folder: Path, spec: ModelSpec) -> Parts:
    try:
        base = Esm2LlamaInstructForCausalLM.from_pretrained(folder / BASE, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / BASE}: cannot be loaded: {str(error).splitlines()[0]}") from None
    encoder, base.esm_encoder = base.esm_encoder.eval(), None
    base.llama_decoder.to(getattr(torch, spec.dtype))
    base.requires_grad_(False)
    model = add_lora(
        base,
        rank=spec.lora_rank,
        alpha=spec.lora_alpha,
        dropout=spec.lora_dropout,
        target_modules=spec.target_modules,
        seed=spec.seed,
    )
    return Parts(model, tokenizer, encoder)


def trained_on(folder: Path) -> list[dict[str, Any]]:
    """An entry for each training table: data_name, task_type, records, inputs (name and sha256 of the raw files) and
    max_sequence_length. Empty when neither the folder (exported) nor a run around it (`training/model`) says so.
    """
    folder = Path(folder).resolve()
    stated = folder / DATA_FILE
    if stated.is_file():
        return json.loads(stated.read_text(encoding="utf-8"))
    entries = []
    for path in sorted(folder.parents[1].glob("data/*/*/train.parquet")):
        made = read_metadata(path)
        entries.append(
            {
                "data_name": path.parents[1].name,
                "task_type": path.parent.name,
                "records": made["counts"]["accepted"],
                "inputs": [{"name": raw["name"], "sha256": raw["sha256"]} for raw in made["inputs"]],
                "max_sequence_length": made["arguments"]["max_sequence_length"],
            }
        )
    return entries


def families(folder: Path) -> list[str]:
    """Kinds of fragments to ask for: those that the model was trained on, else all."""
    return list(dict.fromkeys(family_of(entry["data_name"]) for entry in trained_on(folder))) or list(
        DATA_NAMES
    )


def window_length(folder: Path) -> int:
    """Residues of the longest window that the model was trained on; 1021 where nothing says so."""
    return max((entry["max_sequence_length"] for entry in trained_on(folder)), default=LONGEST_WINDOW)
