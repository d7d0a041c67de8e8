"""A command line checked, and ``--help`` printed, before torch is imported, which takes many seconds.

The names of transformers' options are read from its source, since importing them would import torch.
"""

import ast
import os
from argparse import SUPPRESS, ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, get_args

from fragmodel.errors import UserError
from fragmodel.training.flags import refuse_unread
from fragmodel.training.options import DataArguments, LoopArguments, LoraArguments, ModelArguments
from fragmodel.vocabulary import TASK_TYPES, lora_fault


class Option(NamedTuple):
    """An option: its type as an annotation spells it, and what argparse is told of it (help, choices, …)."""

    name: str
    kind: str
    default: Any
    words: dict[str, Any]


class CheckedParser(ArgumentParser):
    """Raises :class:`UserError`, in one line, for what cannot work or what its program would pass over."""

    def __init__(self, program: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.program = program

    def parse_known_args(self, *args: Any, **kwargs: Any) -> tuple[Namespace, list[str]]:
        """As argparse's."""
        parsed, rest = super().parse_known_args(*args, **kwargs)
        refuse_unread(self.program, self, parsed, {option.name for option in transformers_options()})
        _check_together(parsed)
        return parsed, rest

    def error(self, message: str) -> None:
        """One line; argparse would print the usage of 200 options before it."""
        raise UserError(f"{message} (--help lists all options)")


def check_command_line(program: str, argv: Sequence[str]) -> None:
    """Raise :class:`UserError` for mistakes that can be told at once; end the program after ``--help``.

    Names of optimizers and the like are told when transformers, which knows them, has been imported.
    """
    parser = quick_parser(program)
    _, rest = parser.parse_known_args(argv)
    if rest:
        parser.error(f"unknown option {rest[0]}")


def quick_parser(program: str) -> CheckedParser:
    """Takes the options that the real parser takes, and values of the same form."""
    parser = CheckedParser(program, prog=program, formatter_class=ArgumentDefaultsHelpFormatter)
    ours = [field for kind in (ModelArguments, LoraArguments, DataArguments) for field in fields(kind)]
    loop = {option.name: option for option in [*transformers_options(), *map(_ours, fields(LoopArguments))]}
    for option in [*map(_ours, ours), *loop.values()]:
        _add(parser, option)
    return parser


@cache
def transformers_options() -> tuple[Option, ...]:
    """All fields of ``TrainingArguments``, from the source of the installed transformers."""
    (folder,) = find_spec("transformers").submodule_search_locations
    module = ast.parse((Path(folder) / "training_args.py").read_text(encoding="utf-8"))
    (found,) = (part for part in module.body if getattr(part, "name", "") == "TrainingArguments")
    lines = (line for line in found.body if isinstance(line, ast.AnnAssign) and line.value is not None)
    return tuple(_theirs(line) for line in lines)


def _theirs(line: ast.AnnAssign) -> Option:
    name, kind = ast.unparse(line.target), ast.unparse(line.annotation)
    if not isinstance(line.value, ast.Call):
        return Option(name, kind, _literal(line.value), {})
    given = {word.arg: word.value for word in line.value.keywords}
    metadata = given.get("metadata", ast.Dict([], []))
    words = {
        _literal(key): _literal(value) for key, value in zip(metadata.keys, metadata.values, strict=True)
    }
    return Option(name, kind, _literal(given.get("default")), words)


def _literal(node: ast.AST | None) -> Any:
    """The value of a literal; None for what is computed."""
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


def _ours(field: Field) -> Option:
    kind = str(field.type) if get_args(field.type) else field.type.__name__
    words = dict(field.metadata)
    if field.default is field.default_factory is MISSING:
        return Option(field.name, kind, None, words | {"required": True})
    default = field.default if field.default_factory is MISSING else field.default_factory()
    return Option(field.name, kind, default, words)


def _add(parser: ArgumentParser, option: Option) -> None:
    words: dict[str, Any] = {"default": option.default}
    if "bool" in option.kind and "str" not in option.kind:
        words |= {"type": _truth, "nargs": "?", "const": True}
    elif "list" in option.kind:
        words |= {"type": float if "float" in option.kind else str, "nargs": "+"}
    else:
        words["type"] = next((kind for kind in (int, float) if kind.__name__ in option.kind), str)
    words |= {name: word for name, word in option.words.items() if word is not None}
    words["help"] = (
        words.get("help", "").replace("%", "%%") or " "
    )  # a help is needed for a default to be shown
    parser.add_argument(*_spelt(option.name), **words)
    if option.default is True:
        parser.add_argument(
            *_spelt(f"no_{option.name}"), action="store_false", dest=option.name, help=SUPPRESS
        )


def _spelt(name: str) -> dict[str, None]:
    return dict.fromkeys([f"--{name}", f"--{name.replace('_', '-')}"])


def _truth(word: str) -> bool:
    if word.lower() not in ("true", "false", "yes", "no", "1", "0", "t", "f", "y", "n"):
        raise ValueError(word)
    return word.lower() in ("true", "yes", "1", "t", "y")


def _check_together(parsed: Namespace) -> None:
    if not parsed.train_files and not (parsed.root_dir and parsed.data_name and parsed.task_type):
        raise UserError("say what to train on: --root_dir, --data_name and --task_type, or --train_files")
    if unknown := set(parsed.task_type) - set(TASK_TYPES):
        raise UserError(f"--task_type {sorted(unknown)[0]}: must be one of {', '.join(TASK_TYPES)}")
    sources = parsed.train_files or parsed.data_name
    if parsed.sampling_weights and len(parsed.sampling_weights) != len(sources):
        raise UserError(
            f"--sampling_weights: {len(parsed.sampling_weights)} weights for {len(sources)} data sets; "
            "give one for each"
        )
    if faulty := [weight for weight in parsed.sampling_weights if not weight > 0]:
        raise UserError(f"--sampling_weights: {faulty[0]} is not positive")
    if fault := lora_fault(
        parsed.init_lora_weights,
        rank=parsed.lora_rank,
        use_dora=parsed.use_dora,
        decoder_bits=parsed.decoder_bits,
    ):
        raise UserError(f"--{fault}")
    if parsed.loraplus_lr_ratio is not None and parsed.loraplus_lr_ratio < 1:
        raise UserError(f"--loraplus_lr_ratio {parsed.loraplus_lr_ratio}: must be 1 or more")
    for name in ("micro_batch_tokens", "perceiver_dim"):
        if (number := getattr(parsed, name)) < 0:
            raise UserError(f"--{name} {number}: must not be negative")
    if parsed.fsdp and "WORLD_SIZE" not in os.environ:  # as torchrun sets it, also for one process
        raise UserError("--fsdp shards the model among processes: start several with torchrun")
    if parsed.decoder_bits and find_spec("bitsandbytes") is None:
        raise UserError(
            f"--decoder_bits {parsed.decoder_bits}: needs bitsandbytes, which is not installed: "
            "pip install 'fragmodel[quantised]'"
        )
    if parsed.fsdp and parsed.decoder_bits == 8:
        raise UserError("--decoder_bits 8: cannot be sharded; --decoder_bits 4 can, or leave --fsdp out")
    if parsed.fsdp and parsed.probe_records:
        raise UserError("--probe_records asks a whole model: leave it out with --fsdp")
    metric = str(parsed.metric_for_best_model or "loss").removeprefix("eval_")
    if metric not in ("loss", "score"):
        raise UserError(f"--metric_for_best_model {metric}: must be loss or score")
    if metric == "score" and not parsed.probe_records:
        raise UserError(
            "--metric_for_best_model score needs --probe_records, the validation records to answer"
        )
    if parsed.early_stopping_patience and not parsed.load_best_model_at_end:
        raise UserError("--early_stopping_patience needs --load_best_model_at_end")
    if parsed.eval_strategy != "no" and parsed.train_files and not parsed.eval_files:
        raise UserError("--eval_strategy needs --eval_files beside --train_files")
