"""Train by our own explicit loop on accelerate; `--help` lists the arguments, docs/training.md explains them."""

import sys

from fragmodel.training.program import program

if __name__ == "__main__":
    sys.exit(program("instruct", sys.argv[1:]))
