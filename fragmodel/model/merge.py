"""LoRA folded into the decoder: a standalone model folder."""

import tempfile
from pathlib import Path

from fragmodel.errors import UserError
from fragmodel.model.loading import load_trained


def merge(model_dir: Path, output: Path) -> None:
    """Write the model of ``model_dir`` with encoder, adapters and merged decoder as one transformers folder.

    It needs neither peft nor the encoder's and decoder's own folders; ``AutoModelForCausalLM`` loads it after
    ``import fragmodel``. Weights are safetensors. The folder appears whole or not at all.

    Raises :class:`UserError` when ``output`` exists or ``model_dir`` holds no trained model.
    """
    if output.exists():
        raise UserError(f"--output {output}: exists already; name a new folder")
    model, tokenizer = load_trained(model_dir, include_encoder=True)
    merged = model.merge_and_unload()
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        whole = Path(folder) / output.name
        merged.save_pretrained(whole)
        tokenizer.save_pretrained(whole)
        whole.replace(output)
