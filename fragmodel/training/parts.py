"""What of a batch fits a GPU: tokens that go through the model at once (``--micro_batch_tokens``), checkpointing."""

import sys
from collections.abc import Sequence

import pyarrow.compute as pc
import torch
from accelerate.utils import gather_object
from peft import PeftModel

from fragmodel.batching.dataset import FragRefDataset
from fragmodel.config.training import AdapterConfig, LoraConfig
from fragmodel.planning.data import PROMPT_TOKENS, Lengths
from fragmodel.planning.memory import MOST_TOKENS, USABLE, Planner, StepSettings
from fragmodel.training.arguments import Arguments
from fragmodel.training.checkpoints import noted_micro_batch_tokens

ON_A_CPU = 1024  # there the activations of one long record fill the caches


def micro_batch_tokens(arguments: Arguments, model: PeftModel, datasets: Sequence[FragRefDataset]) -> int:
    """As the command line says; else as the checkpoint that is resumed has it; else by the memory of the device.

    On GPUs the plan's model of a step's memory tells how many fit, the same number on all of them. It changes which
    numbers are added up first, so that a run that goes on keeps it. All processes call this together.
    """
    training = arguments.training
    if training.fsdp:
        return sys.maxsize  # processes that share their layers must make the same number of passes
    if training.micro_batch_tokens:
        return training.micro_batch_tokens
    if noted := noted_micro_batch_tokens(training):
        return noted
    if training.device.type != "cuda":
        return ON_A_CPU if training.device.type == "cpu" else MOST_TOKENS
    return min(gather_object([_fitting(arguments, model, datasets)]))


def recompute_if_needed(
    arguments: Arguments, model: PeftModel, datasets: Sequence[FragRefDataset]
) -> str | None:
    """Turn ``--gradient_checkpointing`` on where the longest record would not fit a GPU without; it changes no result.

    Returns what there is to tell, ``None`` where all stays as it was. All processes call this together.
    """
    training = arguments.training
    if training.gradient_checkpointing or training.fsdp or training.device.type != "cuda":
        return None
    planner, lengths, usable = _room(arguments, model, datasets)
    needed = planner.step(lengths, 1, checkpointing=False).total
    if not any(gather_object([needed > usable])):
        return None
    training.gradient_checkpointing = True
    return (
        f"Gradient checkpointing is on (--gradient_checkpointing): a record takes up to {needed / 2**30:.1f} GiB "
        f"without, and {usable / 2**30:.1f} GiB of the GPU may be used"
    )


def _fitting(arguments: Arguments, model: PeftModel, datasets: Sequence[FragRefDataset]) -> int:
    planner, lengths, usable = _room(arguments, model, datasets)
    return planner.tokens_at_once(lengths, usable, checkpointing=arguments.training.gradient_checkpointing)


def _room(
    arguments: Arguments, model: PeftModel, datasets: Sequence[FragRefDataset]
) -> tuple[Planner, Lengths, int]:
    """The plan of a step, the longest record, and the bytes of the GPU that may be used."""
    device, config = arguments.training.device, model.base_model.model.config
    free, total = torch.cuda.mem_get_info(device)
    # What this process holds already is part of the plan.
    usable = min(free + torch.cuda.memory_reserved(device), USABLE * total)
    lengths = Lengths(
        residues=max(longest_window(dataset) for dataset in datasets),
        prompt=PROMPT_TOKENS,
        answer=arguments.data.max_text_tokens,
    )
    return Planner(step_settings(arguments), config.esm_config, config.llama_config), lengths, int(usable)


def longest_window(dataset: FragRefDataset) -> int:
    """Residues of the longest sequence of a data set; 1 where it is empty."""
    return pc.max(pc.utf8_length(dataset.records.column("sequence"))).as_py() or 1


def step_settings(arguments: Arguments) -> StepSettings:
    """What the plan asks about a run, from its command line."""
    model, lora, training = arguments.model, arguments.lora, arguments.training
    half = "bfloat16" if training.bf16 else "float16" if training.fp16 else None
    return StepSettings(
        adapter=AdapterConfig(**{name: getattr(model, name) for name in AdapterConfig.model_fields}),
        lora=LoraConfig(
            rank=lora.lora_rank,
            alpha=lora.lora_alpha,
            dropout=lora.lora_dropout,
            target_modules=lora.target_modules,
            use_dora=lora.use_dora,
        ),
        frozen=model.torch_dtype,
        computed=half or model.torch_dtype,
        # Those of a store come as they are, at most in float32.
        states="float32" if arguments.data.store else None,
        decoder_bits=model.decoder_bits,
        optimizer=training.optim.value,
        processes=training.world_size,
    )
