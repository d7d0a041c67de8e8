"""What the jobs of one training took, all together: a training that was interrupted has had several."""

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from fragmodel.digests import read_json, write_noted

JOBS_FILE = "jobs.json"


class Meter:
    """Measures the job that trains in ``folder``, and notes it beside the jobs before.

    Of a job that is killed what it noted last is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOBS_FILE
        self._before = read_jobs(folder)
        self._started = time.monotonic()
        self._memory = 0

    def measure(self) -> None:
        """Look at the memory of this process and of all below it."""
        import psutil

        memory = 0
        for process in (here := psutil.Process(), *here.children(recursive=True)):
            with suppress(psutil.Error):  # one that has just ended
                memory += process.memory_info().rss
        self._memory = max(self._memory, memory)

    def note(self) -> None:
        """Write time and memory so far."""
        own = {
            "seconds": round(time.monotonic() - self._started, 1),
            "peak_memory_mb": round(self._memory / 1e6, 1),
        }
        with suppress(OSError):  # a training goes on without its bill
            write_noted(self._path, json.dumps([*self._before, own], indent=2))


def read_jobs(folder: Path) -> list[dict[str, float]]:
    """``seconds`` and ``peak_memory_mb`` (of the host, at once) of each job that trained in ``folder``."""
    path = folder / JOBS_FILE
    return read_json(path, list) if path.is_file() else []


def spent(folder: Path) -> dict[str, Any]:
    """Number of jobs that trained in ``folder``, their seconds together, and the highest peak; empty without any."""
    jobs = read_jobs(folder)
    if not jobs:
        return {}
    seconds = round(sum(job["seconds"] for job in jobs), 1)
    return {
        "jobs": len(jobs),
        "seconds": seconds,
        "peak_memory_mb": max(job["peak_memory_mb"] for job in jobs),
    }
