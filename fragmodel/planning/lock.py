"""The lock of a folder in which Snakemake runs, or was killed."""

import os
from collections.abc import Iterator
from pathlib import Path

from fragmodel.planning.finding import Finding

LOCKS = ".snakemake/locks"


def lock_finding(folder: Path) -> Iterator[Finding]:
    """What a lock in ``folder`` means: a Snakemake at work there, or one that was killed; nothing without a lock."""
    locks = folder / LOCKS
    if not (locks.is_dir() and any(locks.iterdir())):
        return
    if process := _snakemake_in(folder):
        yield Finding("lock", "note", f"Snakemake is at work in this folder (process {process})")
        return
    yield Finding(
        "lock",
        "missing",
        f"left by a Snakemake that was killed; if none runs in {folder} on another machine: snakemake --unlock",
    )


def _snakemake_in(folder: Path) -> int | None:
    """A Snakemake on this machine that works in ``folder``."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            works_there = (process / "cwd").readlink() == folder.resolve()
        except OSError:  # it has ended, or is another user's
            continue
        # The program, or Python with it as a script or module.
        if works_there and any(Path(os.fsdecode(word)).name == "snakemake" for word in words[:4]):
            return int(process.name)
    return None
