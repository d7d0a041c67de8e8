"""A trained model on disk: adapters as safetensors, and what they must be put on.

One folder format for checkpoints and final models: ``adapter_model.safetensors`` and ``adapter_config.json`` as
peft writes them (LoRA, both adapters, trained token rows), the tokenizer, and ``fragmodel.json``.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedTokenizerBase

from fragmodel.digests import check_digests, drop_digests, note_digests
from fragmodel.errors import UserError
from fragmodel.files import make_shared, write_text
from fragmodel.model.answer_forms import FORMS_FILE, Forms, write_forms
from fragmodel.model.assemble import ADAPTERS, add_lora, assemble
from fragmodel.model.folder_card import write_card
from fragmodel.model.modeling import Esm2LlamaInstructForCausalLM
from fragmodel.model.residual_start import START, as_plain, described_as_plain, from_plain
from fragmodel.vocabulary import SPEC_FILE, moves_base

WEIGHTS_FILE = "adapter_model.safetensors"
ADAPTER_FILE = "adapter_config.json"


class ModelSpec(BaseModel):
    """Everything but the weights that a trained model is made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    esm_path: str
    llama_path: str
    intermediate_dim: int
    perceiver_latent_size: int
    num_perceiver_heads: int
    num_perceiver_layers: int
    perceiver_dim: int = 0  # of the fragment adapter; 0: the decoder's width, as before there was a choice
    dtype: str = "float32"
    decoder_bits: Literal[8, 4] | None = None  # of the frozen linear layers; None: those of dtype
    lora_rank: int
    lora_alpha: int
    lora_dropout: float
    target_modules: list[str]
    use_dora: bool = False
    use_rslora: bool = False
    init_lora_weights: str = "default"  # as vocabulary.LORA_STARTS
    seed: int
    encoder_layer: int | None = None  # whose states the adapters read; None: the last, after its layer norm

    def build(self, *, include_encoder: bool) -> tuple[PeftModel, PreTrainedTokenizerBase]:
        """The untrained model with LoRA, and its tokenizer."""
        model, tokenizer = assemble(
            self.esm_path,
            self.llama_path,
            intermediate_dim=self.intermediate_dim,
            perceiver_latent_size=self.perceiver_latent_size,
            num_perceiver_heads=self.num_perceiver_heads,
            num_perceiver_layers=self.num_perceiver_layers,
            perceiver_dim=self.perceiver_dim,
            include_encoder=include_encoder,
            dtype=getattr(torch, self.dtype),
            decoder_bits=self.decoder_bits,
            seed=self.seed,
        )
        model.config.encoder_layer = self.encoder_layer
        return self.add_lora(model), tokenizer

    def add_lora(self, model: Esm2LlamaInstructForCausalLM) -> PeftModel:
        """The joined model with LoRA as this spec has it."""
        return add_lora(
            model,
            rank=self.lora_rank,
            alpha=self.lora_alpha,
            dropout=self.lora_dropout,
            target_modules=self.target_modules,
            use_dora=self.use_dora,
            use_rslora=self.use_rslora,
            init_lora_weights=self.init_lora_weights,
            seed=self.seed,
        )

    def plain(self) -> "ModelSpec":
        """The spec of plain LoRA in which one is written that began as a part of the base weights."""
        twice = {"lora_rank": 2 * self.lora_rank, "lora_alpha": 2 * self.lora_alpha}
        return self.model_copy(update={**twice, "use_rslora": False, "init_lora_weights": "default"})


def save_trained(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    spec: ModelSpec,
    folder: Path,
    weights: dict[str, torch.Tensor] | None = None,
    *,
    forms: Forms | None = None,
) -> None:
    """Write the trained weights, the tokenizer, the spec and their digests. The spec marks a whole folder.

    ``weights`` stand in for those of a model that is sharded: its trained weights in whole, by their names. ``forms``
    say what the model has learnt to answer.
    LoRA that began as a part of the base weights is written as plain LoRA of twice the rank on what they were.
    """
    described: AbstractContextManager = nullcontext()
    if moves_base(spec.init_lora_weights):
        weights, spec, described = as_plain(model, weights), spec.plain(), described_as_plain(model)
    folder.mkdir(parents=True, exist_ok=True)
    drop_digests(folder)
    (folder / SPEC_FILE).unlink(missing_ok=True)
    with described:
        model.save_pretrained(folder, state_dict=weights, save_embedding_layers=False)
    write_card(
        folder,
        encoder=spec.esm_path,
        decoder=spec.llama_path,
        rank=spec.lora_rank,
        alpha=spec.lora_alpha,
        forms=forms,
    )
    words = [path.name for path in map(Path, tokenizer.save_pretrained(folder)) if path.is_file()]
    if forms:
        write_forms(folder, forms)
        words.append(FORMS_FILE)
    make_shared(folder)
    write_text(folder / SPEC_FILE, spec.model_dump_json(indent=2))
    note_digests(folder, [WEIGHTS_FILE, ADAPTER_FILE, SPEC_FILE, *words])


def read_spec(folder: Path) -> ModelSpec:
    """The spec of a model folder. Raises :class:`UserError` where there is none or it is not valid."""
    path = Path(folder) / SPEC_FILE
    try:
        return ModelSpec.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{folder}: no fragmodel model or checkpoint ({SPEC_FILE} is missing)") from None
    except ValidationError as error:
        fault = error.errors()[0]
        raise UserError(": ".join([str(path), *map(str, fault["loc"]), fault["msg"]])) from None


def load_adapter_weights(model: PeftModel, folder: Path) -> None:
    """Load every trained weight of a checkpoint into ``model``.

    Raises :class:`UserError` when the folder is damaged, or a weight is missing, unknown or of another shape: nothing
    stays silently at its initial value.
    """
    check_digests(folder)
    path = Path(folder) / WEIGHTS_FILE
    if not path.is_file():
        raise UserError(f"{folder}: no trained weights ({WEIGHTS_FILE} is missing)")
    with _open(path) as tensors:
        found = {key: tensors.get_tensor(key) for key in tensors.keys()}  # noqa: SIM118 (not a dict)
    if hasattr(model, START):
        found = from_plain(model, found)
    expected = get_peft_model_state_dict(model, save_embedding_layers=False)
    _check_same(path, {k: v.shape for k, v in found.items()}, {k: v.shape for k, v in expected.items()})
    set_peft_model_state_dict(model, found)


def load_projectors(model: PeftModel, source: Path) -> list[str]:
    """Initialise the modality adapter (and the fragment adapter where given) from saved weights.

    ``source`` is a safetensors file or a folder with some: a whole model, a checkpoint, or an alignment stage's
    output. Returns the names of the adapters that were loaded; raises :class:`UserError` when there is none or
    a weight is missing or of another shape.
    """
    source = Path(source)
    check_digests(source if source.is_dir() else source.parent)
    files = sorted(source.glob("*.safetensors")) if source.is_dir() else [source]
    weights: dict[str, dict[str, torch.Tensor]] = {}
    for path in files:
        if not path.is_file() or path.suffix != ".safetensors":
            raise UserError(f"{source}: expected a .safetensors file or a folder with some")
        with _open(path) as tensors:
            for key in tensors.keys():  # noqa: SIM118 (not a dict)
                for adapter in ADAPTERS:
                    if f"{adapter}." in key:
                        name = key.rpartition(f"{adapter}.")[2].removeprefix("modules_to_save.default.")
                        weights.setdefault(adapter, {})[name] = tensors.get_tensor(key)
    if not weights:
        raise UserError(f"{source}: holds no weights of {' or '.join(ADAPTERS)}")
    base = model.base_model.model
    for adapter, state in weights.items():
        module = getattr(base, adapter).modules_to_save["default"]
        _check_same(
            source,
            {k: v.shape for k, v in state.items()},
            {k: v.shape for k, v in module.state_dict().items()},
        )
        module.load_state_dict(state)
    return list(weights)


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """The tensors of a safetensors file. Raises :class:`UserError` when it is damaged."""
    try:
        with safe_open(path, framework="pt") as tensors:
            yield tensors
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); restore it from a copy or another checkpoint") from None


def _check_same(source: Path, found: dict[str, Any], expected: dict[str, Any]) -> None:
    faults = [f"{name} is missing" for name in expected if name not in found]
    faults += [f"{name} is unknown" for name in found if name not in expected]
    faults += [
        f"{name} has shape {list(found[name])}, the model has {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if faults:
        more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
        raise UserError(f"{source} does not fit this model: {'; '.join(faults[:3])}{more}")
