"""Standard input as a file that can be read twice."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def seekable(path: Path) -> Iterator[Path]:
    """``path``, or a temporary copy of standard input for `-`: inputs are read twice, first to check them."""
    if str(path) != "-":
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="fragmodel-stdin-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield Path(copy.name)
