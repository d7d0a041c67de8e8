"""A model folder to share: weights, tokenizer, generation settings, base model and model card in one place."""

import json
import tempfile
from pathlib import Path

import torch
from peft import PeftModel
from transformers import GenerationConfig

from fragmodel.digests import note_digests, read_json
from fragmodel.embeddings.encoders import load_encoder
from fragmodel.errors import UserError
from fragmodel.evaluation.calibration import CALIBRATION_FILE
from fragmodel.files import file_digest, make_shared, write_text
from fragmodel.model.answer_forms import read_forms
from fragmodel.model.loading import BASE, locate_spec
from fragmodel.model.trained import WEIGHTS_FILE, load_adapter_weights, read_spec, save_trained
from fragmodel.prediction.card import model_card, read_metrics
from fragmodel.prediction.evidence import carry_relatives
from fragmodel.prediction.provenance import DATA_FILE, calibration_of, trained_on, window_length
from fragmodel.vocabulary import CARD_FILE, SOURCE_FILE


def export_model(
    model_dir: Path,
    output: Path,
    *,
    metrics: Path | None = None,
    title: str | None = None,
    license_name: str = "other",
    adapter_only: bool = False,
    with_relatives: bool = True,
) -> None:
    """Write the folder ``output``, whole or not at all.

    It holds the trained weights and the tokenizer (with its chat template) as the run wrote them,
    ``generation_config.json``, ``training_data.json``, ``calibration.json`` where there is one, the relatives that
    evidence is found in (their proteins only ``with_relatives``), the card ``README.md`` and, unless ``adapter_only``,
    ``base/``: encoder and decoder as one model for ``AutoModelForCausalLM``. Raises :class:`UserError` when ``output``
    exists or ``model_dir`` is no whole model folder.
    """
    if output.exists():
        raise UserError(f"--output {output}: exists already; remove it or name another folder")
    if (model_dir / BASE).is_dir():
        raise UserError(f"--model {model_dir}: an exported folder already; export the run's own model folder")
    numbers = read_metrics(metrics) if metrics else {}
    spec, located = read_spec(model_dir), locate_spec(model_dir)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        made = Path(folder) / "model"
        # What is shared is whole: the base model stands beside the adapters in its own number format.
        model, tokenizer = located.model_copy(update={"decoder_bits": None}).build(
            include_encoder=not adapter_only
        )
        load_adapter_weights(model, model_dir)
        if not adapter_only:
            model.peft_config["default"].base_model_name_or_path = BASE
        save_trained(model, tokenizer, spec, made, forms=read_forms(model_dir))
        model_config = model.base_model.model.config
        GenerationConfig(
            do_sample=False,
            max_new_tokens=256,
            eos_token_id=model_config.eos_token_id,
            pad_token_id=model_config.pad_token_id,
        ).save_pretrained(made)
        data = trained_on(model_dir)
        if data:
            write_text(made / DATA_FILE, json.dumps(data, indent=2) + "\n")
        relatives = carry_relatives(model_dir, made, with_proteins=with_relatives)
        calibration = calibration_of(model_dir)
        if calibration:
            write_text(made / CALIBRATION_FILE, calibration.as_json())
        card = model_card(
            spec,
            data,
            numbers,
            title=title or output.name,
            license_name=license_name,
            parts={"encoder": _part_name(located.esm_path), "decoder": _part_name(located.llama_path)},
            weights_digest=file_digest(made / WEIGHTS_FILE),
            window=window_length(model_dir),
            has_base=not adapter_only,
            relatives=relatives,
            calibration=calibration,
        )
        write_text(made / CARD_FILE, card)
        note_digests(made)
        if not adapter_only:
            _save_base(model, located.esm_path, made / BASE)
        make_shared(made)
        made.rename(output)


def _save_base(adapted: PeftModel, encoder: str, folder: Path) -> None:
    """The joined model without LoRA: decoder in its own dtype, encoder in float32, which the store's states need."""
    base = adapted.unload()
    base.esm_encoder = load_encoder(encoder, dtype=torch.float32)
    base.save_pretrained(folder)
    note_digests(folder)


def _part_name(source: str) -> str:
    """What the pipeline noted of an encoder or decoder when it put it in place, else its path or hub id."""
    note = Path(source) / SOURCE_FILE
    if not note.is_file():
        return source
    stated = read_json(note)
    return f"{stated['name']} ({stated['source']})" if stated["source"] != stated["name"] else stated["name"]
