"""The packages that made a run, beside those that are installed now."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fragmodel.digests import read_json
from fragmodel.errors import UserError
from fragmodel.tables import read_metadata
from fragmodel.versions import ENVIRONMENT_FILE, versions_of

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
        path = results / stage / "model" / ENVIRONMENT_FILE
        if path.is_file():
            for versions in read_json(path, list):
                yield stage, versions
