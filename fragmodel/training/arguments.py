"""The documented command line of both training entry points."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from transformers import HfArgumentParser, TrainingArguments
from transformers.integrations import get_reporting_integration_callbacks

from fragmodel.errors import UserError
from fragmodel.model.trained import ModelSpec
from fragmodel.training.command_line import CheckedParser
from fragmodel.training.flags import TRAINER
from fragmodel.training.options import DataArguments, LoopArguments, LoraArguments, ModelArguments
from fragmodel.training.spellings import modernise, switched_on

_TRACKERS = ("tensorboard", "wandb", "mlflow", "neptune", "dagshub")  # packages of the same names


@dataclass
class FragTrainingArguments(LoopArguments, TrainingArguments):
    """HuggingFace's arguments with the defaults of this project."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (
            self.load_best_model_at_end
            and self.save_strategy == "steps"
            and self.save_steps != self.eval_steps
        ):
            raise UserError(
                f"--load_best_model_at_end needs a checkpoint at each validation: --save_steps {self.save_steps:g} and "
                f"--eval_steps {self.eval_steps:g} must be the same"
            )
        check_trackers(self.report_to)
        if self.n_gpu > 1:
            # The Trainer would cut each batch for them along its first dimension, where packed records lie.
            print(
                f"note: of {self.n_gpu} visible GPUs the first is used; for all of them: "
                f"torchrun --nproc-per-node {self.n_gpu} {sys.argv[0]} …"
            )
            self._n_gpu = 1


def check_trackers(names: Sequence[str]) -> None:
    """Raise :class:`UserError` for a tracker that transformers does not know, or whose package is not installed."""
    for name in names:
        # Asked here: transformers' objects for some, made in vain, end with a traceback of their own.
        if name in _TRACKERS and find_spec(name) is None:
            raise UserError(f"--report_to {name} needs a package that is not installed: pip install {name}")
        try:
            for kind in get_reporting_integration_callbacks([name]):
                kind()
        except (ValueError, RuntimeError, ImportError) as error:
            raise UserError(f"--report_to {name}: {' '.join(str(error).split())}") from None


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """All parsed arguments of a training run."""

    model: ModelArguments
    lora: LoraArguments
    data: DataArguments
    training: FragTrainingArguments

    @property
    def order_seed(self) -> int:
        """Seed of the order of the records."""
        return self.training.seed if self.training.data_seed is None else self.training.data_seed

    def spec(self) -> ModelSpec:
        """What the model is made of."""
        return ModelSpec(
            esm_path=self.model.esm_path,
            llama_path=self.model.llama_path,
            intermediate_dim=self.model.intermediate_dim,
            perceiver_latent_size=self.model.perceiver_latent_size,
            num_perceiver_heads=self.model.num_perceiver_heads,
            num_perceiver_layers=self.model.num_perceiver_layers,
            perceiver_dim=self.model.perceiver_dim,
            dtype=self.model.torch_dtype,
            decoder_bits=self.model.decoder_bits,
            lora_rank=self.lora.lora_rank,
            lora_alpha=self.lora.lora_alpha,
            lora_dropout=self.lora.lora_dropout,
            target_modules=self.lora.target_modules,
            use_dora=self.lora.use_dora,
            use_rslora=self.lora.use_rslora,
            init_lora_weights=self.lora.init_lora_weights,
            seed=self.training.seed,
        )


def parse_arguments(argv: Sequence[str], program: str = TRAINER) -> Arguments:
    """Parse a documented command line of ``program``.

    Raises :class:`UserError` with the remedy for what cannot work or would have no effect.
    """
    argv = modernise(argv)
    if switched_on(argv, "--fp16") and not torch.cuda.is_available():
        raise UserError("--fp16 needs a GPU and none is visible; on a CPU use --bf16 or neither")
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if (several or switched_on(argv, "--bf16")) and not torch.cuda.is_available():
        # Without it transformers refuses bfloat16 where there is no GPU, and lets each process train alone.
        argv += ["--use_cpu"]
    try:
        model, lora, data, training = argument_parser(program).parse_args_into_dataclasses(
            argv, look_for_args_file=False
        )
    except ValueError as error:
        raise UserError(str(error)) from None
    return Arguments(model=model, lora=lora, data=data, training=training)


def argument_parser(program: str) -> HfArgumentParser:
    """Parser of all options; it raises :class:`UserError` for those that ``program`` does not read."""
    return _Parser(program, (ModelArguments, LoraArguments, DataArguments, FragTrainingArguments))


class _Parser(CheckedParser, HfArgumentParser):
    """transformers' parser, whose outcome is checked before transformers acts on it."""
