"""Train by the HuggingFace Trainer; `--help` lists the arguments, docs/training.md explains them."""

import sys

from fragmodel.training.flags import TRAINER
from fragmodel.training.run import main

if __name__ == "__main__":
    sys.exit(main(TRAINER, sys.argv[1:]))
