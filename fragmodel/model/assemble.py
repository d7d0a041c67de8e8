"""Join a pretrained encoder and decoder into one model, and make its LoRA version."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase

from fragmodel.embeddings.encoders import load_encoder
from fragmodel.errors import UserError
from fragmodel.model.chat import add_control_tokens
from fragmodel.model.configuration import Esm2LlamaInstructConfig
from fragmodel.model.fragment_adapter import FragmentAdapter
from fragmodel.model.modality_adapter import ModalityAdapter
from fragmodel.model.modeling import Esm2LlamaInstructForCausalLM

ADAPTERS = ("modality_adapter", "fragment_adapter")


def load_decoder(source: str | Path, dtype: torch.dtype) -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase]:
    """A LLaMA-architecture decoder and its tokenizer, from a local folder or a hub id."""
    try:
        decoder = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"decoder {source}: cannot be loaded: {str(error).splitlines()[0]}") from None
    if not isinstance(decoder, LlamaForCausalLM):
        raise UserError(
            f"decoder {source}: is a {type(decoder).__name__}; expected a LLaMA-architecture causal model"
        )
    return decoder, tokenizer


def assemble(
    encoder: str | Path,
    decoder: str | Path,
    *,
    intermediate_dim: int,
    perceiver_latent_size: int,
    num_perceiver_heads: int,
    num_perceiver_layers: int,
    include_encoder: bool,
    dtype: torch.dtype = torch.float32,
    seed: int = 1,
) -> tuple[Esm2LlamaInstructForCausalLM, PreTrainedTokenizerBase]:
    """A model with pretrained encoder and decoder and seeded adapters, and its tokenizer.

    The adapters are kept in float32, since they are trained in full; encoder and decoder, which are frozen,
    are held in ``dtype``. Raises :class:`UserError` for parts that do not fit together.
    """
    esm_encoder = load_encoder(encoder, dtype=dtype)
    llama_decoder, tokenizer = load_decoder(decoder, dtype)
    token_ids = add_control_tokens(tokenizer)
    if len(tokenizer) > llama_decoder.get_input_embeddings().num_embeddings:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            llama_decoder.resize_token_embeddings(len(tokenizer))
    config = Esm2LlamaInstructConfig(
        esm_config=esm_encoder.config,
        llama_config=llama_decoder.config,
        intermediate_dim=intermediate_dim,
        perceiver_latent_size=perceiver_latent_size,
        num_perceiver_heads=num_perceiver_heads,
        num_perceiver_layers=num_perceiver_layers,
        control_token_ids=token_ids,
        include_encoder=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = _join(config, llama_decoder, seed)
    if include_encoder:
        model.esm_encoder = esm_encoder
        model.config.include_encoder = True
    model.requires_grad_(False)
    return model, tokenizer


def _join(
    config: Esm2LlamaInstructConfig, decoder: LlamaForCausalLM, seed: int
) -> Esm2LlamaInstructForCausalLM:
    """Build the joined model around ``decoder`` without ever holding a second decoder in memory."""
    with torch.device("meta"):
        try:
            model = Esm2LlamaInstructForCausalLM(config)
        except ValueError as error:
            raise UserError(str(error)) from None
    embeddings = decoder.get_input_embeddings().weight
    model.modality_adapter, model.fragment_adapter = initial_adapters(config, embeddings, seed)
    model.llama_decoder = decoder
    model.generation_config.eos_token_id = config.eos_token_id
    model.generation_config.pad_token_id = config.pad_token_id
    return model


def initial_adapters(
    config: Esm2LlamaInstructConfig, embeddings: torch.Tensor, seed: int
) -> tuple[ModalityAdapter, FragmentAdapter]:
    """Both adapters as training starts from them: seeded, with outputs of the size of the token ``embeddings``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        adapters = Esm2LlamaInstructForCausalLM.adapters(config)
    size = embeddings.float().square().mean().sqrt().item()
    for adapter in adapters:
        adapter.scale_output(size)
    return adapters


def add_lora(
    model: Esm2LlamaInstructForCausalLM,
    *,
    rank: int,
    alpha: int,
    dropout: float,
    target_modules: list[str],
    seed: int = 1,
) -> PeftModel:
    """LoRA on the decoder's named linear layers; both adapters and the span markers' rows are trained in full."""
    span_ids = [model.config.control_token_ids[name] for name in ("span_open", "span_close")]
    token_layers = ["embed_tokens"] if model.config.tie_word_embeddings else ["embed_tokens", "lm_head"]
    settings: dict[str, Any] = {
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        # A pattern over whole names: the encoder has layers of the same names.
        "target_modules": rf".*llama_decoder\..*\.({'|'.join(target_modules)})",
        "modules_to_save": list(ADAPTERS),
        "trainable_token_indices": {
            f"llama_decoder.model.{name}" if name == "embed_tokens" else f"llama_decoder.{name}": span_ids
            for name in token_layers
        },
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            adapted = get_peft_model(model, LoraConfig(**settings))
        except ValueError as error:
            raise UserError(f"LoRA: {error} (see --target_modules)") from None
    for name in ADAPTERS:
        # peft keeps a frozen copy of the untrained adapter to switch back to; nobody does, and it fills memory.
        getattr(model, name).original_module = torch.nn.Identity()
    return adapted
