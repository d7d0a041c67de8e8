"""The two training programs: `python -m fragmodel.training.program trainer …` or `instruct …`.

The workflow starts them so; for people there are `train_trainer.py` and `train_instruct.py`.
"""

import sys
from collections.abc import Sequence
from typing import Any

from fragmodel.training.flags import INSTRUCT, TRAINER
from fragmodel.training.run import main


def program(loop: str, argv: Sequence[str]) -> int:
    """Run the program of one of the loops, `trainer` or `instruct`, with its arguments; returns the exit status."""
    return main(*{"trainer": (TRAINER, _trainer), "instruct": (INSTRUCT, _instruct)}[loop], argv)


# Their imports take seconds.


def _trainer() -> Any:
    from fragmodel.training.trainer import train

    return train


def _instruct() -> Any:
    from fragmodel.training.loop import train

    return train


if __name__ == "__main__":
    sys.exit(program(sys.argv[1], sys.argv[2:]))
