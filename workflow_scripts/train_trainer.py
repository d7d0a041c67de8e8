"""Train by the HuggingFace Trainer; `--help` lists the arguments, docs/training.md explains them."""

import sys

from fragmodel.training.program import program

if __name__ == "__main__":
    sys.exit(program("trainer", sys.argv[1:]))
