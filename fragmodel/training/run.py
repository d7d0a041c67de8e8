"""The training program behind `train_trainer.py` and `train_instruct.py`."""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout

import torch

from fragmodel.errors import UserError, cannot_write
from fragmodel.training.arguments import Arguments, parse_arguments
from fragmodel.training.interrupt import EXIT_STATUS
from fragmodel.training.setup import TrainingSetup, prepare

OUT_OF_MEMORY = (
    "out of memory: lower --per_device_train_batch_size and raise --gradient_accumulation_steps by as much, "
    "add --gradient_checkpointing, or hold the frozen weights in half (--torch_dtype bfloat16 --bf16)"
)


def main(program: str, train: Callable[[TrainingSetup, Arguments], bool], argv: Sequence[str]) -> int:
    """Parse the command line of ``program``, prepare, train; returns the exit status.

    0: trained to the end; 75: interrupted by a signal after writing a checkpoint (run again to go on);
    2: a mistake that the printed line explains.
    """
    warnings.filterwarnings("ignore", r"`\w*gradient_checkpointing\w*` is deprecated", FutureWarning)
    try:
        # Of several processes the first speaks; errors come from all.
        with redirect_stdout(sys.stdout if os.environ.get("RANK", "0") == "0" else None):
            arguments = parse_arguments(argv, program)
            finished = train(prepare(arguments), arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (torch.OutOfMemoryError, MemoryError):
        print(f"error: {OUT_OF_MEMORY}", file=sys.stderr)
        return 2
    except Exception as error:
        # The CPU allocator has no exception class of its own.
        message = OUT_OF_MEMORY if "can't allocate memory" in str(error) else cannot_write(error)
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
