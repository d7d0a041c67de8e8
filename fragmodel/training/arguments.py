"""The documented command line of both training entry points."""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from transformers import HfArgumentParser, TrainingArguments

from fragmodel.errors import UserError
from fragmodel.model.assemble import LINEAR_LAYERS
from fragmodel.model.trained import ModelSpec
from fragmodel.training.flags import TRAINER, refuse_unread
from fragmodel.vocabulary import LONGEST_WINDOW, TASK_TYPES


@dataclass(kw_only=True)
class ModelArguments:
    """The two pretrained models and the adapters between them."""

    esm_path: str = field(
        metadata={"help": "ESM encoder: transformers folder, fair-esm .pt file or name, hub id"}
    )
    llama_path: str = field(metadata={"help": "LLaMA decoder: transformers folder or hub id"})
    load_model_checkpoint_path: str | None = field(
        default=None,
        metadata={
            "help": "initialise modality and fragment adapter from these safetensors; LoRA and span markers start anew"
        },
    )
    load_adapter_checkpoint_dir: str | None = field(
        default=None, metadata={"help": "start from the trained weights of this checkpoint (fresh optimizer)"}
    )
    intermediate_dim: int = field(default=2048, metadata={"help": "hidden width of the modality adapter"})
    perceiver_latent_size: int = field(default=1, metadata={"help": "soft tokens that stand for a fragment"})
    num_perceiver_heads: int = field(default=16, metadata={"help": "attention heads of the fragment adapter"})
    num_perceiver_layers: int = field(default=2, metadata={"help": "layers of the fragment adapter"})
    torch_dtype: str = field(
        default="float32",
        metadata={
            "help": "number format of the frozen weights",
            "choices": ["float32", "bfloat16", "float16"],
        },
    )
    decoder_bits: int | None = field(
        default=None,
        metadata={
            "help": "hold the frozen linear layers of the decoder in 8 or 4 bits (bitsandbytes)",
            "choices": [8, 4],
        },
    )


@dataclass(kw_only=True)
class LoraArguments:
    """Low-rank adaptation of the decoder."""

    lora_rank: int = field(default=32, metadata={"help": "rank of the update"})
    lora_alpha: int = field(default=64, metadata={"help": "the update is scaled by alpha / rank"})
    lora_dropout: float = field(default=0.1, metadata={"help": "dropout on the input of the update"})
    target_modules: list[str] = field(
        default_factory=lambda: list(LINEAR_LAYERS),
        metadata={"help": "linear layers of the decoder that get an update", "choices": LINEAR_LAYERS},
    )


@dataclass(kw_only=True)
class DataArguments:
    """What to train on: a data folder with names and tasks, or the pipeline's Parquet files."""

    root_dir: str | None = field(default=None, metadata={"help": "folder that holds the data sets"})
    data_name: list[str] = field(default_factory=list, metadata={"help": "data set names, e.g. VenusX_Dom"})
    task_type: list[str] = field(
        default_factory=list, metadata={"help": f"tasks to train on: {', '.join(TASK_TYPES)}"}
    )
    train_files: list[str] = field(
        default_factory=list, metadata={"help": "records Parquet files, instead of --root_dir"}
    )
    eval_files: list[str] = field(
        default_factory=list, metadata={"help": "records Parquet files for validation"}
    )
    sampling_weights: list[float] = field(
        default_factory=list, metadata={"help": "a weight for each data name or train file (default 1)"}
    )
    max_sequence_length: int = field(
        default=LONGEST_WINDOW, metadata={"help": "residues of the longest window"}
    )
    max_text_tokens: int = field(default=512, metadata={"help": "longer answers are cut to this"})
    probe_records: int = field(
        default=0,
        metadata={
            "help": "validation records that are answered at each checkpoint, to log the well-formed part"
        },
    )
    store: str | None = field(
        default=None,
        metadata={"help": "embedding store to read encoder states from; default: encoder in the loop"},
    )
    store_fingerprint: str | None = field(
        default=None, metadata={"help": "which encoder's states in the store"}
    )


@dataclass
class FragTrainingArguments(TrainingArguments):
    """HuggingFace's arguments with the defaults of this project."""

    report_to: None | str | list[str] = field(default="tensorboard")  # noqa: RUF036 (the parser wants None first)
    remove_unused_columns: bool = field(default=False)
    prediction_loss_only: bool = field(default=True)
    logging_nan_inf_filter: bool = field(default=False)
    include_num_input_tokens_seen: str = field(default="non_padding")
    overwrite_output_dir: bool = field(
        default=False, metadata={"help": "remove the checkpoints of an earlier run from --output_dir first"}
    )
    micro_batch_tokens: int = field(
        default=0,
        metadata={
            "help": "tokens that go through the model at once; a batch of more is done in parts, which changes its "
            "memory and not its loss. 0: 1024 on a CPU, 16384 on a GPU"
        },
    )

    def __post_init__(self) -> None:
        if self.micro_batch_tokens < 0:
            raise UserError(f"--micro_batch_tokens {self.micro_batch_tokens}: must not be negative")
        super().__post_init__()
        if self.n_gpu > 1:
            # The Trainer would cut each batch for them along its first dimension, where packed records lie.
            print(
                f"note: of {self.n_gpu} visible GPUs the first is used; for all of them: "
                f"torchrun --nproc-per-node {self.n_gpu} {sys.argv[0]} …"
            )
            self._n_gpu = 1
        # On a CPU the activations of one long record fill the caches; a GPU needs many rows to be busy.
        self.micro_batch_tokens = self.micro_batch_tokens or (1024 if self.device.type == "cpu" else 16_384)
        if self.fsdp:
            # Processes that share their layers must make the same number of passes.
            self.micro_batch_tokens = sys.maxsize


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
            dtype=self.model.torch_dtype,
            decoder_bits=self.model.decoder_bits,
            lora_rank=self.lora.lora_rank,
            lora_alpha=self.lora.lora_alpha,
            lora_dropout=self.lora.lora_dropout,
            target_modules=self.lora.target_modules,
            seed=self.training.seed,
        )


def parse_arguments(argv: Sequence[str], program: str = TRAINER) -> Arguments:
    """Parse a documented command line of ``program``.

    Raises :class:`UserError` with the remedy for what cannot work or would have no effect.
    """
    argv = modernise(argv)
    if _switched_on(argv, "--fp16") and not torch.cuda.is_available():
        raise UserError("--fp16 needs a GPU and none is visible; on a CPU use --bf16 or neither")
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if (several or _switched_on(argv, "--bf16")) and not torch.cuda.is_available():
        # Without it transformers refuses bfloat16 where there is no GPU, and lets each process train alone.
        argv += ["--use_cpu"]
    try:
        model, lora, data, training = argument_parser(program).parse_args_into_dataclasses(argv)
    except ValueError as error:
        raise UserError(str(error)) from None
    if not data.train_files and not (data.root_dir and data.data_name and data.task_type):
        raise UserError("say what to train on: --root_dir, --data_name and --task_type, or --train_files")
    if unknown := set(data.task_type) - set(TASK_TYPES):
        raise UserError(f"--task_type {sorted(unknown)[0]}: must be one of {', '.join(TASK_TYPES)}")
    sources = data.train_files or data.data_name
    if data.sampling_weights and len(data.sampling_weights) != len(sources):
        raise UserError(
            f"--sampling_weights: {len(data.sampling_weights)} weights for {len(sources)} data sets; give one for each"
        )
    if faulty := [weight for weight in data.sampling_weights if not weight > 0]:
        raise UserError(f"--sampling_weights: {faulty[0]} is not positive")
    if training.fsdp and not several:
        raise UserError("--fsdp shards the model among processes: start several with torchrun")
    if training.fsdp and model.decoder_bits:
        raise UserError("--decoder_bits: quantised weights cannot be sharded; leave --fsdp out, or the bits")
    if training.fsdp and data.probe_records:
        raise UserError("--probe_records asks a whole model: leave it out with --fsdp")
    if training.eval_strategy != "no" and data.train_files and not data.eval_files:
        raise UserError("--eval_strategy needs --eval_files beside --train_files")
    return Arguments(model=model, lora=lora, data=data, training=training)


def argument_parser(program: str) -> HfArgumentParser:
    """Parser of all options; it raises :class:`UserError` for those that ``program`` does not read."""
    return _Parser(program, (ModelArguments, LoraArguments, DataArguments, FragTrainingArguments))


class _Parser(HfArgumentParser):
    """Refuses by name what its program does not read, before transformers acts on it."""

    def __init__(self, program: str, *args: Any) -> None:
        super().__init__(*args)
        self._program = program

    def parse_known_args(self, *args: Any, **kwargs: Any) -> tuple[Namespace, list[str]]:
        """As argparse's."""
        parsed, rest = super().parse_known_args(*args, **kwargs)
        refuse_unread(self._program, self, parsed, {option.name for option in fields(TrainingArguments)})
        return parsed, rest

    def error(self, message: str) -> None:
        """One line; argparse would print the usage of 200 options before it."""
        raise UserError(f"{message} (--help lists all options)")


_RENAMED = {
    "--evaluation_strategy": "--eval_strategy",
    "--no_cuda": "--use_cpu",
    "--per_gpu_train_batch_size": "--per_device_train_batch_size",
    "--per_gpu_eval_batch_size": "--per_device_eval_batch_size",
}


def modernise(argv: Sequence[str]) -> list[str]:
    """Map the documented spellings that transformers 5 dropped to today's, with a one-line note for each."""
    modern: list[str] = []
    for flag, values, glued in _flags(argv):
        name = flag.replace("-", "_").replace("__", "--", 1)
        new, taken = [flag, *values], ""
        if name in _RENAMED:
            new = [_RENAMED[name], *values]
        elif name == "--warmup_ratio":
            new = ["--warmup_steps", _fraction(flag, values)]  # a number below 1 means a part of all steps
        elif name == "--logging_dir":
            os.environ["TENSORBOARD_LOGGING_DIR"] = _only(flag, values)
            new, taken = [], "TENSORBOARD_LOGGING_DIR"
        elif name == "--group_by_length":
            new, taken = [], "nothing, since packed batches have no padding to save"
        else:
            modern += [f"{flag}={values[0]}"] if glued else [flag, *values]
            continue
        if int(os.environ.get("RANK", "0")) == 0:
            print(f"note: {flag} is no option of transformers 5; taken as: {taken or ' '.join(new)}")
        modern += new
    return modern


def _flags(argv: Sequence[str]) -> list[tuple[str, list[str], bool]]:
    """Each flag with its values, and whether they were glued by '='."""
    groups: list[tuple[str, list[str], bool]] = []
    for word in argv:
        if word.startswith("--") or word == "-h":
            flag, glued, value = word.partition("=")
            groups.append((flag, [value] if glued else [], bool(glued)))
        elif groups:
            groups[-1][1].append(word)
        else:
            raise UserError(f"unexpected argument '{word}'")
    return groups


def _only(flag: str, values: Sequence[str]) -> str:
    if len(values) != 1:
        raise UserError(f"{flag} needs a value" if not values else f"{flag} takes one value")
    return values[0]


def _fraction(flag: str, values: Sequence[str]) -> str:
    value = _only(flag, values)
    try:
        valid = 0 <= float(value) < 1
    except ValueError:
        valid = False
    if not valid:
        raise UserError(f"{flag} {value}: must be from 0 to below 1")
    return value


def _is_false(values: Sequence[str]) -> bool:
    return bool(values) and values[0].lower() in ("false", "0", "no")


def _switched_on(argv: Sequence[str], flag: str) -> bool:
    return any(name == flag and not _is_false(values) for name, values, _ in _flags(argv))
