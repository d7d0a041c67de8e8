"""One training job a checkpoint folder: a job that a killed Snakemake left behind ends before the next begins."""

import os
import subprocess
import time
from pathlib import Path

from fragmodel.errors import UserError
from fragmodel.files import write_text

OWNER = "slurm_job"
ENDED = {
    "",
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "TIMEOUT",
}


def claim(folder: Path, *, patience: float = 900, interval: float = 2) -> None:
    """Make this Slurm job the only one that trains in ``folder``; outside Slurm do nothing.

    Another job that still holds the folder is cancelled: on Slurm's SIGTERM it writes a checkpoint, from which
    this job goes on. Waits for its end ``patience`` seconds, asking each ``interval`` seconds. Raises
    :class:`UserError` when it does not end. A job that Slurm requeued keeps its id and its folder.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return
    owner = folder / OWNER
    other = owner.read_text(encoding="utf-8").strip() if owner.exists() else job
    if other != job and _state(other) not in ENDED:
        print(f"Slurm job {other} still trains in {folder}: ending it", flush=True)
        subprocess.run(["scancel", other], check=False)
        end = time.monotonic() + patience
        while _state(other) not in ENDED:
            if time.monotonic() > end:
                raise UserError(
                    f"Slurm job {other} trains in {folder} and does not end; cancel it: scancel {other}"
                )
            time.sleep(interval)
    write_text(owner, job)


def _state(job: str) -> str:
    """The job's state, or nothing where Slurm no longer knows it."""
    command = ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()
