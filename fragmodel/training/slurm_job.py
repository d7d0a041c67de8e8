"""The Slurm job that training runs in: it has its checkpoint folder to itself, and starts again when interrupted."""

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


def requeue() -> bool:
    """Have Slurm start this very job again; returns whether it will.

    It will not outside Slurm, where Slurm refuses, and when the job is no longer running in Slurm's eyes: then its
    user cancelled it, or its time is over. Snakemake goes on waiting for a job that starts again, and counts no
    attempt: a long run may be interrupted any number of times.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or _state(job) != "RUNNING":
        return False
    try:
        return subprocess.run(["scontrol", "requeue", job], capture_output=True).returncode == 0
    except OSError:
        return False


def _state(job: str) -> str:
    """The job's state, or nothing where Slurm no longer knows it."""
    command = ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()
