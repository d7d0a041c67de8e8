"""The last section: models, versions and settings of the run."""

from collections.abc import Iterator, Mapping
from typing import Any


def run_section(run: Mapping[str, Any]) -> dict[str, Any]:
    """What was run, and its configuration as a list of (key path, text)."""
    return {**run, "settings": list(_flatten(run.get("config", {})))}


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)
