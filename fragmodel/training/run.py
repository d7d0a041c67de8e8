"""The training program behind `train_trainer.py` and `train_instruct.py`."""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from fragmodel.errors import UserError, cannot_write
from fragmodel.training.command_line import check_command_line
from fragmodel.training.interrupt import EXIT_STATUS
from fragmodel.training.spellings import flags_of, modernise

if TYPE_CHECKING:
    from fragmodel.training.arguments import Arguments
    from fragmodel.training.setup import TrainingSetup

Train = Callable[["TrainingSetup", "Arguments"], bool]

# What to do when memory runs out, what helps most for the least first; the options that have done it already.
REMEDIES = (
    ("a lower --per_device_train_batch_size and more --gradient_accumulation_steps", {"--no_fsdp"}),
    ("lower --micro_batch_tokens, which changes no result (1: a record at a time)", {"--fsdp"}),
    (
        "--gradient_checkpointing, which changes none either and takes more time",
        {"--gradient_checkpointing", "--activation_checkpointing"},
    ),
    ("--torch_dtype bfloat16 --bf16", {"--bf16", "--fp16"}),
    ("encoder states from a --store", {"--store"}),
    ("--optim adamw_bnb_8bit", {"--optim", "--fsdp"}),
    ("--decoder_bits 4", {"--decoder_bits"}),
    ("in validation: --per_device_eval_batch_size 1", {"--per_device_eval_batch_size"}),
)


def main(program: str, loop: Callable[[], Train], argv: Sequence[str]) -> int:
    """Parse the command line of ``program``, prepare, train; returns the exit status.

    ``loop`` imports the function that trains, which is not done for a command line that is refused.

    0: trained to the end; 75: interrupted by a signal after writing a checkpoint (run again to go on);
    2: a mistake that the printed line explains; 130: ended by Ctrl-C before the first step, or by a second one.
    """
    warnings.filterwarnings("ignore", r"`\w*gradient_checkpointing\w*` is deprecated", FutureWarning)
    try:
        # Of several processes the first speaks; errors come from all.
        with redirect_stdout(sys.stdout if os.environ.get("RANK", "0") == "0" else None):
            argv = modernise(argv)
            check_command_line(program, argv)
            finished = _train(program, loop, argv)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ended by Ctrl-C; checkpoints that are there can be resumed", file=sys.stderr)
        return 130
    except Exception as error:
        message = out_of_memory(argv) if _is_out_of_memory(error) else cannot_write(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        return 2
    if os.environ.get("RANK", "0") == "0":
        print(
            "Training completed!"
            if finished
            else "Interrupted: a checkpoint was written; run again to go on."
        )
    return 0 if finished else EXIT_STATUS


def _train(program: str, loop: Callable[[], Train], argv: Sequence[str]) -> bool:
    from fragmodel.training.arguments import parse_arguments
    from fragmodel.training.setup import prepare

    train = loop()
    arguments = parse_arguments(argv, program)
    return train(prepare(arguments), arguments)


def out_of_memory(argv: Sequence[str]) -> str:
    """The line for a run of these arguments that ran out of memory: what they have not asked for yet."""
    given = {flag.replace("-", "_").replace("__", "--", 1) for flag, _, _ in flags_of(argv)}
    if "--fsdp" not in given:
        given.add("--no_fsdp")  # then parts of a batch go through the model, of whatever size it is
    left = [remedy for remedy, done in REMEDIES if not done & given]
    return f"out of memory: {'; or '.join(left)}. What fits which card: fragmodel plan"


def _is_out_of_memory(error: Exception) -> bool:
    import torch

    # The CPU allocator has no exception class of its own.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
