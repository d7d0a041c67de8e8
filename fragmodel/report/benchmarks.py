"""Time and memory of a run by stage, from the benchmarks that Snakemake writes for each job."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_OWN = "report"  # that of the page, which is being made, is of an earlier time


class Stage(NamedTuple):
    """All jobs of a stage."""

    name: str
    jobs: int
    seconds: float  # of all jobs together; jobs that ran side by side count each
    megabytes: float | None  # the most that a job held at once; None where all were too short to be measured


def read_benchmarks(folder: Path | None) -> list[Stage]:
    """Stages by time, the longest first; none where there is no such folder.

    A file ``STAGE.tsv`` or ``STAGE/….tsv`` is a job as it was run last.
    """
    found: dict[str, list[tuple[float, float | None]]] = {}
    for path in sorted(folder.rglob("*.tsv")) if folder else ():
        name = path.relative_to(folder).parts[0].removesuffix(".tsv")
        if name != _OWN:
            found.setdefault(name, []).extend(_jobs(path))
    stages = [
        Stage(
            name,
            len(jobs),
            sum(seconds for seconds, _ in jobs),
            max((memory for _, memory in jobs if memory is not None), default=None),
        )
        for name, jobs in found.items()
        if jobs
    ]
    return sorted(stages, key=lambda stage: (-stage.seconds, stage.name))


def _jobs(path: Path) -> Iterator[tuple[float, float | None]]:
    """Seconds and megabytes of each line; Snakemake writes a word for what it could not measure."""
    with path.open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            seconds, memory = (_number(row.get(key)) for key in ("s", "max_rss"))
            if seconds is not None:
                yield seconds, memory


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
