"""Train by the HuggingFace Trainer; `--help` lists the arguments, docs/training.md explains them."""

import sys
from typing import Any

from fragmodel.training.flags import TRAINER
from fragmodel.training.run import main


def loop() -> Any:
    """The function that trains; its import takes seconds."""
    from fragmodel.training.trainer import train

    return train


if __name__ == "__main__":
    sys.exit(main(TRAINER, loop, sys.argv[1:]))
