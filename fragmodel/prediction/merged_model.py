"""LoRA folded into the decoder: a standalone model folder."""

import json
import tempfile
from pathlib import Path

from fragmodel.digests import note_digests
from fragmodel.errors import UserError
from fragmodel.evaluation.calibration import CALIBRATION_FILE
from fragmodel.files import make_shared, write_text
from fragmodel.model.answer_forms import read_forms, write_forms
from fragmodel.model.loading import is_merged, load_trained
from fragmodel.prediction.evidence import carry_relatives
from fragmodel.prediction.provenance import DATA_FILE, calibration_of, trained_on


def merge(model_dir: Path, output: Path) -> None:
    """Write the model of ``model_dir`` with encoder, adapters and merged decoder as one transformers folder.

    It needs neither peft nor the encoder's and decoder's own folders; ``AutoModelForCausalLM`` loads it after
    ``import fragmodel``. Weights are safetensors. The folder appears whole or not at
    all.

    ``training_data.json`` and ``calibration.json`` go with it. Raises :class:`UserError` when ``output`` exists or
    ``model_dir`` holds no trained model with adapters.
    """
    if output.exists():
        raise UserError(f"--output {output}: exists already; name a new folder")
    if is_merged(model_dir):
        raise UserError(f"--model {model_dir}: is merged already")
    model, tokenizer = load_trained(model_dir, include_encoder=True, quantised=False)
    merged = model.merge_and_unload()
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        whole = Path(folder) / output.name
        merged.save_pretrained(whole)
        tokenizer.save_pretrained(whole)
        if data := trained_on(model_dir):
            write_text(whole / DATA_FILE, json.dumps(data, indent=2) + "\n")
        if forms := read_forms(model_dir):
            write_forms(whole, forms)
        carry_relatives(model_dir, whole)
        if calibration := calibration_of(model_dir):
            write_text(whole / CALIBRATION_FILE, calibration.as_json())
        make_shared(whole)
        note_digests(whole)
        whole.replace(output)
