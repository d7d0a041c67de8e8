"""A training that runs as a child: what it takes, and what is told on the terminal while its output goes to a log."""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from fragmodel.config.training import LearningConfig
from fragmodel.training.log import LOG_FILE, read_log
from fragmodel.training.spent import Meter

INTERVAL = 10.0  # seconds between two lines, and two notes of what the job took


class Watch:
    """Follows the training log in a run's ``folder``; :meth:`line` says how far the training is."""

    def __init__(self, folder: Path, training: LearningConfig) -> None:
        self._path, self._training = folder / LOG_FILE, training
        self._size = self._path.stat().st_size if self._path.exists() else 0
        self._first: tuple[float, int] | None = None  # time and step of the first entry of this attempt

    def line(self, now: float) -> str | None:
        """Step, loss, rate and the time that is left; None where nothing was logged since the last call."""
        size = self._path.stat().st_size if self._path.exists() else 0
        if size == self._size:
            return None
        self._size = size
        entries = [entry for entry in read_log(self._path) if "loss" in entry]
        if not entries:
            return None
        step, loss = entries[-1]["step"], entries[-1]["loss"]
        total = total_steps(self._training.max_steps, getattr(self._training, "epochs", 0), entries[-1])
        said = f"training: step {step:,} of {total:,}, loss {loss:.4g}"
        if self._first is None:
            self._first = now, step
        if step > self._first[1] and now > self._first[0]:
            rate = (step - self._first[1]) / (now - self._first[0])
            left = round(max(total - step, 0) / rate)
            said += f", {rate:.3g} steps/s, {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"
        return said


def total_steps(max_steps: int, epochs: float, entry: dict[str, float]) -> int:
    """Steps of a whole training, of which ``entry`` is from the log."""
    if max_steps > 0:
        return max_steps
    done = entry.get("epoch") or 0
    return round(entry["step"] * epochs / done) if done else int(entry["step"])


def watched(child: "subprocess.Popen[bytes]", folder: Path, training: LearningConfig) -> int:
    """Wait for the training in ``child``, and note what it takes in ``folder``; returns its exit status.

    Where this process's output goes to a log, the terminal gets a line every :data:`INTERVAL` seconds at most.
    """
    terminal = None if sys.stderr is sys.__stderr__ else sys.__stderr__
    watch, meter, last = Watch(folder, training), Meter(folder), -INTERVAL
    while True:
        meter.measure()
        try:
            status = child.wait(timeout=1)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            if now - last >= INTERVAL:
                last = now
                meter.note()
                if terminal and (line := watch.line(now)):
                    with suppress(OSError):  # training goes on where nobody listens any more
                        print(line, file=terminal, flush=True)
        else:
            meter.note()
            return status
