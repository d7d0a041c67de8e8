"""Train by our own explicit loop on accelerate; `--help` lists the arguments, docs/training.md explains them."""

import sys

from fragmodel.training.flags import INSTRUCT
from fragmodel.training.run import main

if __name__ == "__main__":
    sys.exit(main(INSTRUCT, sys.argv[1:]))
