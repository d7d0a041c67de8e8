"""Standard input as a file that can be read twice."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fragmodel.files import temporary_folder


@contextmanager
def seekable(path: Path) -> Iterator[Path]:
    """``path``, or a temporary copy of standard input for `-`: inputs are read twice, first to check them."""
    if str(path) != "-":
        yield path
        return
    with temporary_folder() as folder:
        with (folder / "stdin").open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        yield folder / "stdin"
