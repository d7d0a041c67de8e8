"""What an interrupted prediction has done: a line for each finished protein, beside the output."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fragmodel.errors import UserError


class Journal:
    """Rows on disk as JSON Lines; the first line says what makes them. Use as a context manager.

    A journal of other settings is begun anew; a line that a crash cut off is dropped. Raises :class:`UserError` while
    another process writes the same output.
    """

    def __init__(self, output: Path, settings: Mapping[str, Any]) -> None:
        self.path = output.with_name(f".{output.name}.journal")
        self.finished: set[str] = set()  # ids of the proteins that have a row
        output.parent.mkdir(parents=True, exist_ok=True)
        self._handle = self.path.open("a+b")
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._handle.close()
            raise UserError(
                f"{output}: another process is writing it; wait for it, or name another file"
            ) from None
        self._open(json.dumps(settings, sort_keys=True).encode() + b"\n")

    def _open(self, header: bytes) -> None:
        self._header_size = len(header)
        self._handle.seek(0)
        if self._handle.readline() != header:
            self._handle.truncate(0)
            self._handle.write(header)
            return
        whole = len(header)
        for line in self._handle:
            if not line.endswith(b"\n"):
                break
            self.finished.add(json.loads(line)["id"])
            whole += len(line)
        self._handle.truncate(whole)

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Add rows; they are on disk when this returns."""
        self._handle.write(b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows))
        self._handle.flush()
        os.fsync(self._handle.fileno())

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every row, those of earlier attempts first."""
        self._handle.flush()
        with self.path.open("rb") as lines:
            next(lines)
            for line in lines:
                yield json.loads(line)

    def remove(self) -> None:
        """The output is whole: the journal has served."""
        self.path.unlink()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *error: object) -> None:
        self._handle.flush()
        state = os.fstat(self._handle.fileno())
        if state.st_nlink and state.st_size <= self._header_size:
            self.path.unlink()  # nothing was done yet: nothing is left behind
        self._handle.close()
