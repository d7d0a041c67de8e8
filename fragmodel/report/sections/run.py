"""The last section: models, versions, time and settings of the run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fragmodel.report.benchmarks import Stage


def run_section(run: Mapping[str, Any], stages: Sequence[Stage] = ()) -> dict[str, Any]:
    """What was run, its stages with time and memory, and its configuration as a list of (key path, text)."""
    header = ["stage", "jobs", "seconds", "megabytes"]
    return {
        **run,
        "stages": list(stages),
        "settings": list(_flatten(run.get("config", {}))),
        "csv": {"stages": (header, [list(stage) for stage in stages])} if stages else {},
    }


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)
