"""The packages that made a run, beside those that are installed now."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from fragmodel.digests import read_json
from fragmodel.errors import UserError
from fragmodel.tables import read_metadata
from fragmodel.versions import ENVIRONMENT_FILE, HARDWARE, versions_of

_TABLES = {
    "splits": "splits/*.parquet",
    "embedding": "embeddings/*.parquet",
    "answers": "predictions/*/*.parquet",
    "baselines": "baselines/*.parquet",
    "audit": "audit/*.parquet",
    "scores": "scores/*.parquet",
}


class Package(NamedTuple):
    """A package of a stage: the versions that made its files, and the one that would make them now."""

    stage: str
    name: str
    recorded: tuple[str, ...]
    installed: str

    @property
    def changed(self) -> bool:
        """Whether the stage would run with another version than all its files were made with."""
        return self.recorded != (self.installed,)


def recorded_packages(results: Path) -> list[Package]:
    """Each stage's packages as the files of the run in ``results`` state them; stages without files are left out."""
    found: dict[tuple[str, str], set[str]] = {}
    for stage, versions in _recorded(results):
        for name, version in versions.items():
            found.setdefault((stage, name), set()).add(version)
    installed = versions_of({name for _, name in found})
    return [
        Package(stage, name, tuple(sorted(versions)), installed[name])
        for (stage, name), versions in found.items()
    ]


def _recorded(results: Path) -> Iterator[tuple[str, dict[str, str]]]:
    for stage, pattern in _TABLES.items():
        for path in sorted(results.glob(pattern)):
            try:
                yield stage, read_metadata(path).get("environment", {})
            except (OSError, UserError):
                continue  # who needs the table tells what is wrong with it
    for stage in ("alignment", "training"):
        for entry in _entries(results, stage):
            yield stage, {name: version for name, version in entry.items() if name != HARDWARE}


def _entries(results: Path, stage: str) -> list[dict[str, str]]:
    """The environments that took part in a training; none where there was no such stage."""
    path = results / stage / "model" / ENVIRONMENT_FILE
    return read_json(path, list) if path.is_file() else []


def describe_making(results: Path) -> dict[str, Any]:
    """When and where a run was made: ``date`` of its metrics (UTC), ``hardware`` of the training, ``commit`` of the
    code that makes the page, each where it is known.
    """
    made: dict[str, Any] = {}
    if (metrics := results / "metrics.json").is_file():
        made["date"] = datetime.fromtimestamp(metrics.stat().st_mtime, UTC).date().isoformat()
    if machines := dict.fromkeys(
        entry[HARDWARE] for entry in _entries(results, "training") if HARDWARE in entry
    ):
        made["hardware"] = list(machines)
    if commit := _commit(Path(__file__).parents[2]):
        made["commit"] = commit
    return made


def _commit(repository: Path) -> str:
    """The commit of a clone, with a sign where files differ from it; "" for code that is no clone."""
    if not (repository / ".git").exists():
        return ""
    command = ["git", "-C", str(repository), "describe", "--always", "--dirty=, changed", "--abbrev=12"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return asked.stdout.strip()
