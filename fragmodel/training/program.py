"""`python -m fragmodel.training.program LOOP …`: the training programs, wherever the package is installed.

The same as `train_trainer.py` (LOOP `trainer`) and `train_instruct.py` (LOOP `instruct`).
"""

import sys

from fragmodel.training.run import main


def program(loop: str, argv: list[str]) -> int:
    """Run one of the two loops with the arguments of its program; returns the exit status."""
    if loop == "trainer":
        from fragmodel.training.trainer import train
    else:
        from fragmodel.training.loop import train
    return main(train, argv)


if __name__ == "__main__":
    sys.exit(program(sys.argv[1], sys.argv[2:]))
