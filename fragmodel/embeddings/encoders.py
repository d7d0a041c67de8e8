"""Encoders from every usual place, as models of transformers, and what identifies them."""

import argparse
import hashlib
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    EsmModel,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from fragmodel.config.models import FAIR_ESM_NAME, HUB_ID
from fragmodel.digests import check_digests
from fragmodel.embeddings.fair_esm import read_checkpoint
from fragmodel.embeddings.kinds import (
    check_encoder,
    decisive_settings,
    encoder_class,
    has_esm_alphabet,
    residue_tokens,
)
from fragmodel.errors import UserError
from fragmodel.files import atomic_path, text_digest

_NOT_USED = ("contact_head.", "pooler.", "embeddings.position_ids")


def is_hub_id(source: str) -> bool:
    """Whether ``source`` can only be the name of a model at a hub."""
    local = Path(source).suffix == ".pt" or Path(source).expanduser().exists()
    return not local and not FAIR_ESM_NAME.fullmatch(source) and bool(HUB_ID.fullmatch(source))


def load_encoder(
    source: str | Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> PreTrainedModel:
    """Load a frozen encoder: no pooling layer, eval mode, no gradients, SDPA attention.

    ``source`` is a fair-esm ``.pt`` file, a fair-esm model name whose file lies in the torch hub cache, a
    transformers folder, or a hub id. No code from any of them is executed. The contact-regression file of
    fair-esm is not needed. Raises :class:`UserError` that names the source and the remedy.
    """
    return prepare_encoder(open_encoder(source), dtype=dtype, device=device)


def open_encoder(source: str | Path) -> PreTrainedModel:
    """The encoder as it is stored, which is what its digest is made of; see :func:`load_encoder`."""
    path = _fair_esm_file(source)
    return _from_fair_esm(path) if path else _from_transformers(source)


def read_config(source: str | Path) -> PretrainedConfig:
    """The encoder's configuration without its weights; see :func:`load_encoder`."""
    path = _fair_esm_file(source)
    config = read_checkpoint(path)[0] if path else _transformers_config(source)
    config._attn_implementation = "sdpa"
    return config


def _fair_esm_file(source: str | Path) -> Path | None:
    """The fair-esm file that ``source`` names; None for a transformers folder or hub id."""
    path = Path(source)
    if path.is_dir():
        return None
    if path.suffix == ".pt" or path.is_file():
        return path
    if FAIR_ESM_NAME.fullmatch(str(source)):
        cached = Path(torch.hub.get_dir()) / "checkpoints" / f"{source}.pt"
        if not cached.is_file():
            raise UserError(
                f"encoder '{source}' is not in the torch hub cache: download "
                f"https://dl.fbaipublicfiles.com/fair-esm/models/{source}.pt to {cached}"
            )
        return cached
    if not HUB_ID.fullmatch(str(source)):  # said at once: the hub's client would first try for half a minute
        raise UserError(
            f"encoder '{source}': no such file or folder, and neither the name of a fair-esm model (as "
            "esm2_t33_650M_UR50D) nor a hub id (as facebook/esm2_t33_650M_UR50D)"
        )
    return None


def prepare_encoder(
    model: PreTrainedModel, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> PreTrainedModel:
    """An opened encoder, ready to run: on its device, in its dtype, eval mode, no gradients."""
    # Rotary angles need float32: in bfloat16 the positions of a long protein would blur.
    exact = [(part, part.inv_freq.float()) for part in model.modules() if hasattr(part, "inv_freq")]
    model = model.to(device=device, dtype=dtype)
    for rotary, inverse_frequencies in exact:
        rotary.inv_freq = inverse_frequencies.to(device)
    return model.eval().requires_grad_(False)


def save_encoder(model: PreTrainedModel, folder: str | Path) -> None:
    """Write ``model`` as a transformers folder with safetensors weights."""
    model.save_pretrained(folder)


def resolve_layer(layers: int, layer: int) -> int:
    """Layer as a number from 0 (token embeddings) to ``layers`` (the last, after its layer norm).

    Negative numbers count from the end, so -1 is the last. Raises :class:`UserError` outside that range.
    """
    resolved = layer + layers + 1 if layer < 0 else layer
    if not 0 <= resolved <= layers:
        raise UserError(
            f"layer {layer} does not exist: the model has layers 0 to {layers} (or -1 to -{layers + 1})"
        )
    return resolved


def encoder_fingerprint(source: str | Path, layer: int, dtype: str) -> str:
    """32 hex digits that name the states of ``layer``, stored as ``dtype``, of the encoder ``source``.

    Made from the weights' values, so that a fair-esm file and its conversion to a transformers folder share
    their stored states, while any change of a weight makes a new fingerprint.
    """
    model = open_encoder(source)
    return fingerprint(weights_digest(model), resolve_layer(model.config.num_hidden_layers, layer), dtype)


def fingerprint(digest: str, layer: int, dtype: str) -> str:
    """Fingerprint from a weights digest, a layer counted from 0 and the stored dtype."""
    return text_digest(digest, str(layer), dtype)


def weights_digest(model: PreTrainedModel) -> str:
    """SHA-256 of all parameters (as float32, by name) and of the settings that change the forward pass."""
    digest = hashlib.sha256(repr(decisive_settings(model.config)).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if name.startswith(_NOT_USED):
            continue
        digest.update(f"{name}{list(tensor.shape)}".encode())
        digest.update(tensor.detach().float().contiguous().numpy())
    return digest.hexdigest()


def build_stand_in(
    path: Path, *, layers: int, dim: int, heads: int, seed: int, sharpness: float = 2.0
) -> None:
    """Write an ESM-2 of the given shape with seeded random weights, as a fair-esm ``.pt`` file.

    The module is fair-esm's own; the ``*-contact-regression.pt`` that its loader insists on is written beside
    it. The weights are drawn wide enough that the states of a residue depend clearly on its letter and on its
    neighbours; ``sharpness`` multiplies query and key weights (the sharper a random network's attention, the
    more it tells equal letters apart, and the more it magnifies rounding). Same arguments, same bytes.
    fair-esm's loader takes a file for an ESM-2 only when its name begins with ``esm2``.
    """
    from esm.model.esm2 import ESM2

    if dim % (2 * heads):
        raise UserError(f"encoder width {dim} must be an even multiple of its {heads} heads")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ESM2(num_layers=layers, embed_dim=dim, attention_heads=heads)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith(("q_proj.weight", "k_proj.weight")):
                    parameter.mul_(sharpness)  # sharp attention: a residue sees few others, not their average
                elif name.endswith(("v_proj.weight", "out_proj.weight", "fc1.weight", "fc2.weight")):
                    parameter.normal_(0, 1.4 * parameter.shape[1] ** -0.5)
                elif name.endswith("bias"):
                    parameter.normal_(0, 0.1)
                elif name.endswith("layer_norm.weight"):
                    parameter.normal_(1, 0.1)
    state = {_fair_esm_name(name): tensor for name, tensor in model.state_dict().items()}
    contacts = {name: state.pop(name) for name in list(state) if name.startswith("contact_head.")}
    settings = argparse.Namespace(
        encoder_layers=layers, encoder_embed_dim=dim, encoder_attention_heads=heads, token_dropout=True
    )
    _save({"cfg": {"model": settings}, "model": state}, path)
    _save({"model": contacts}, path.with_name(f"{path.stem}-contact-regression.pt"))


def _fair_esm_name(name: str) -> str:
    """Name of an ESM2 parameter in fair-esm's published files."""
    if name.startswith("contact_head."):
        return name
    return f"encoder.{name}" if name.startswith("lm_head.") else f"encoder.sentence_encoder.{name}"


def _save(checkpoint: dict, path: Path) -> None:
    # Through a handle: given a path, torch.save would put the temporary file's name into the file.
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        torch.save(checkpoint, handle)


def _from_fair_esm(path: Path) -> EsmModel:
    config, state = read_checkpoint(path)
    config._attn_implementation = "sdpa"
    with torch.device("meta"):  # no memory and no initialisation for weights that are replaced at once
        model = EsmModel(config, add_pooling_layer=False)
    head = model.contact_head.regression
    for name, parameter in head.named_parameters(prefix="contact_head.regression"):
        state[name] = torch.zeros(parameter.shape)  # not used; zeros keep saved copies deterministic
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        detail = " ".join(str(error).split("\n\t")[1:])[:300]
        raise UserError(f"{path}: the parameters do not fit the stated architecture: {detail}") from None
    model.embeddings.position_ids = torch.arange(config.max_position_embeddings).expand((1, -1))
    return model


def _from_transformers(source: str | Path) -> PreTrainedModel:
    check_digests(source)
    config = _transformers_config(source)
    options = {"add_pooling_layer": False} if config.model_type == "esm" else {}
    try:
        model, report = encoder_class(config).from_pretrained(
            source,
            config=config,
            dtype="auto",
            attn_implementation="sdpa",
            output_loading_info=True,
            use_safetensors=True,
            trust_remote_code=False,
            **options,
        )
    except (OSError, ValueError) as error:
        raise _not_loaded(source, error) from None
    if missing := sorted(name for name in report["missing_keys"] if not name.startswith(_NOT_USED)):
        raise UserError(f"{source}: weights are missing, among them {missing[0]}")
    return model


def _transformers_config(source: str | Path) -> PretrainedConfig:
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _not_loaded(source, error) from None
    try:
        check_encoder(config)
        if not has_esm_alphabet(config) and not hasattr(config, "residue_tokens"):
            config.residue_tokens = residue_tokens(config, _tokenizer(source))
    except ValueError as error:
        raise UserError(f"{source}: {error}") from None
    return config


def _tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(
            f"{source}: its tokenizer cannot be read ({str(error).strip().splitlines()[0]}); one of sentencepiece "
            "needs: pip install 'fragmodel[t5]'"
        ) from None


def _not_loaded(source: str | Path, error: Exception) -> UserError:
    folder = Path(source)
    if any(folder.glob("*.bin")) and not any(folder.glob("*.safetensors")):
        return UserError(
            f"encoder '{source}': pickled weights (.bin) are not loaded, since they may hold code; "
            "save the model as safetensors, as save_pretrained of transformers does"
        )
    return UserError(
        f"encoder '{source}' is neither a fair-esm .pt file, nor a transformers folder, nor a hub id "
        f"that can be fetched ({str(error).splitlines()[0]})"
    )
