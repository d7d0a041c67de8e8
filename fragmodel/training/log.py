"""The training log: one JSON object a line, the same from both entry points."""

import json
import os
import time
from pathlib import Path
from typing import Any

from fragmodel.files import write_text

LOG_FILE = "log.jsonl"


class TrainingLog:
    """Appends entries to ``log.jsonl``; a resumed run first drops what was logged after its checkpoint.

    An entry is on the disk when :meth:`write` returns: no checkpoint that is announced later can be without it.
    """

    def __init__(self, path: Path, first_step: int = 0) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [entry for entry in read_log(path) if entry["step"] <= first_step] if first_step else []
        write_text(path, "".join(json.dumps(entry) + "\n" for entry in kept))
        self._written = {_what(entry) for entry in kept}
        self._tokens = 0
        self._time = time.perf_counter()

    def training(self, *, step: int, epoch: float, loss: float, learning_rate: float, tokens: int) -> None:
        """Mean loss since the last entry; ``tokens`` counts the run's useful (not padded) tokens so far."""
        now = time.perf_counter()
        speed = max(tokens - self._tokens, 0) / max(now - self._time, 1e-9)
        self._tokens, self._time = tokens, now
        self.write(
            step=step, epoch=epoch, loss=loss, learning_rate=learning_rate, tokens_per_second=round(speed, 1)
        )

    def validation(self, *, step: int, loss: float) -> None:
        """Loss on the validation records."""
        self.write(step=step, eval_loss=loss)
        self._time = time.perf_counter()

    def answers(self, *, step: int, **found: float) -> None:
        """What a :class:`fragmodel.training.probe.Probe` found."""
        self.write(step=step, **found)
        self._time = time.perf_counter()

    @staticmethod
    def chosen(path: Path, *, step: int, metric: str, value: float) -> None:
        """Add to the log at ``path`` which step's weights became the model, and for which value of ``metric``."""
        entries = [entry for entry in read_log(path) if "chosen" not in entry]
        entries.append({"step": step, "chosen": metric, "value": value})
        write_text(path, "".join(json.dumps(entry) + "\n" for entry in entries))

    def write(self, **entry: Any) -> None:
        """Append an entry; it must have a ``step``. One that is there already is not written again."""
        if _what(entry) in self._written:
            return
        self._written.add(_what(entry))
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(entry) + "\n")
            handle.flush()
            os.fsync(handle.fileno())


def _what(entry: dict[str, Any]) -> tuple[int, frozenset[str], Any]:
    return entry["step"], frozenset(entry), entry.get("kind")


def read_log(path: Path) -> list[dict[str, Any]]:
    """All entries; a last line that a kill cut off is left out."""
    entries = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:  # also a number of thousands of digits
            break
        if not isinstance(entry, dict) or "step" not in entry:
            break
        entries.append(entry)
    return entries
