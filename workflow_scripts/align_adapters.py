"""Align the adapters in a folder that holds a settings.json; docs/alignment.md explains it."""

import sys

from fragmodel.alignment.program import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
