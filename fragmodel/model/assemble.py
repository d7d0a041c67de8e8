"""Join a pretrained encoder and decoder into one model, and make its LoRA version."""

import logging
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from fragmodel.digests import check_digests
from fragmodel.embeddings.encoders import load_encoder, read_config
from fragmodel.embeddings.kinds import check_joins
from fragmodel.errors import UserError
from fragmodel.model.chat import add_control_tokens
from fragmodel.model.configuration import Esm2LlamaInstructConfig
from fragmodel.model.decoders import check_decoder, token_scale
from fragmodel.model.fragment_adapter import FragmentAdapter
from fragmodel.model.modality_adapter import ModalityAdapter
from fragmodel.model.modeling import Esm2LlamaInstructForCausalLM
from fragmodel.model.residual_start import remember_start
from fragmodel.vocabulary import LINEAR_LAYERS, moves_base

ADAPTERS = ("modality_adapter", "fragment_adapter")


def load_decoder(
    source: str | Path, dtype: torch.dtype, bits: int | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A decoder and its tokenizer, from a local folder or a hub id.

    ``bits`` (8 or 4) holds the weights of its linear layers in so many, by bitsandbytes; they compute in ``dtype``.
    """
    quantised = _quantisation(bits, dtype) if bits else {}
    try:
        check_digests(source)
        check_decoder(AutoConfig.from_pretrained(source, trust_remote_code=False))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"decoder {source}: {str(error).splitlines()[0]}") from None
    try:
        decoder = AutoModelForCausalLM.from_pretrained(
            source, dtype=dtype, use_safetensors=True, trust_remote_code=False, **quantised
        )
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"decoder {source}: cannot be loaded: {str(error).splitlines()[0]}") from None
    for layer in decoder.modules():
        # On a CPU with bfloat16 arithmetic bitsandbytes would repack 4-bit weights at the first evaluation: it takes
        # no layer whose outputs are not a multiple of 32, and other machines would compute otherwise.
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
    return decoder, tokenizer


def _quantisation(bits: int, dtype: torch.dtype) -> dict[str, Any]:
    """Options of ``from_pretrained``: LLM.int8 (Dettmers et al. 2022) or NF4 with double quantisation (QLoRA, 2023)."""
    if find_spec("bitsandbytes") is None:
        raise UserError(
            f"a decoder in {bits} bits needs bitsandbytes, which is not installed: pip install 'fragmodel[quantised]'"
        )
    # It tells of each product that its input is rounded to float16.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    settings = BitsAndBytesConfig(
        load_in_8bit=bits == 8,
        load_in_4bit=bits == 4,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    # Weights are quantised on the device where they stay.
    device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    return {"quantization_config": settings, "device_map": {"": device}}


def assemble(
    encoder: str | Path,
    decoder: str | Path,
    *,
    intermediate_dim: int,
    perceiver_latent_size: int,
    num_perceiver_heads: int,
    num_perceiver_layers: int,
    perceiver_dim: int = 0,
    include_encoder: bool,
    dtype: torch.dtype = torch.float32,
    decoder_bits: int | None = None,
    seed: int = 1,
) -> tuple[Esm2LlamaInstructForCausalLM, PreTrainedTokenizerBase]:
    """A model with pretrained encoder and decoder and seeded adapters, and its tokenizer.

    The adapters are kept in float32, since they are trained in full; encoder and decoder, which are frozen,
    are held in ``dtype``, the decoder's linear layers in ``decoder_bits`` where that is given. Raises
    :class:`UserError` for parts that do not fit together.
    """
    if include_encoder:
        check_joins(read_config(encoder), encoder)
    esm_encoder = load_encoder(encoder, dtype=dtype) if include_encoder else None
    llama_decoder, tokenizer = load_decoder(decoder, dtype, decoder_bits)
    token_ids = add_control_tokens(tokenizer)
    if len(tokenizer) > llama_decoder.get_input_embeddings().num_embeddings:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            llama_decoder.resize_token_embeddings(len(tokenizer))
    config = Esm2LlamaInstructConfig(
        esm_config=esm_encoder.config if esm_encoder else read_config(encoder),
        llama_config=llama_decoder.config,
        intermediate_dim=intermediate_dim,
        perceiver_latent_size=perceiver_latent_size,
        num_perceiver_heads=num_perceiver_heads,
        num_perceiver_layers=num_perceiver_layers,
        perceiver_dim=perceiver_dim,
        control_token_ids=token_ids,
        include_encoder=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = _join(config, llama_decoder, seed)
    if esm_encoder:
        model.esm_encoder = esm_encoder
        model.config.include_encoder = True
    model.requires_grad_(False)
    return model, tokenizer


def _join(
    config: Esm2LlamaInstructConfig, decoder: PreTrainedModel, seed: int
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
    for name in ("is_loaded_in_8bit", "is_loaded_in_4bit"):  # where peft looks for them
        setattr(model, name, getattr(decoder, name, False))
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
    size = embeddings.float().square().mean().sqrt().item() * token_scale(config.llama_config)
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
    use_dora: bool = False,
    use_rslora: bool = False,
    init_lora_weights: str = "default",
    seed: int = 1,
) -> PeftModel:
    """LoRA on the decoder's named linear layers; both adapters and the span markers' rows are trained in full.

    The variants are peft's, by its names (see :data:`fragmodel.vocabulary.LORA_STARTS`).

    Raises :class:`UserError` for other names than those of :data:`fragmodel.vocabulary.LINEAR_LAYERS`.
    """
    if unknown := [name for name in target_modules if name not in LINEAR_LAYERS]:
        raise UserError(
            f"LoRA: {unknown[0]} is no linear layer of the decoder; choose from {', '.join(LINEAR_LAYERS)}"
        )
    span_ids = [model.config.control_token_ids[name] for name in ("span_open", "span_close")]
    token_layers = ["embed_tokens"] if model.config.tie_word_embeddings else ["embed_tokens", "lm_head"]
    settings: dict[str, Any] = {
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "use_dora": use_dora,
        "use_rslora": use_rslora,
        "init_lora_weights": True if init_lora_weights == "default" else init_lora_weights,
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
        adapted = get_peft_model(model, LoraConfig(**settings))
    for name in ADAPTERS:
        # peft keeps a frozen copy of the untrained adapter to switch back to; nobody does, and it fills memory.
        getattr(model, name).original_module = torch.nn.Identity()
    if moves_base(init_lora_weights):
        remember_start(adapted)
    return adapted
