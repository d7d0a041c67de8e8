"""Train by our own explicit loop on accelerate; `--help` lists the arguments, docs/training.md explains them."""

import sys
from typing import Any

from fragmodel.training.flags import INSTRUCT
from fragmodel.training.run import main


def loop() -> Any:
    """The function that trains; its import takes seconds."""
    from fragmodel.training.loop import train

    return train


if __name__ == "__main__":
    sys.exit(main(INSTRUCT, loop, sys.argv[1:]))
