"""The training runs of a results folder: which there are, and the removal of one."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fragmodel.digests import read_json
from fragmodel.errors import UserError
from fragmodel.training.checkpoints import last_step
from fragmodel.training.launch import FINISHED, SETTINGS

STAGES = ("training", "alignment")


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A run's folder and what it holds."""

    stage: str
    folder: Path
    finished: str | None  # when, in UTC; None where the run was interrupted or still goes on
    step: int  # of the last whole checkpoint; 0 without one
    size: int  # bytes
    settings: dict[str, str]  # key path → value

    @property
    def name(self) -> str:
        """The folder's name, by which the run is removed."""
        return self.folder.name


def list_runs(results: Path) -> list[TrainingRun]:
    """The runs of both stages that train, the newest last."""
    folders = [
        (stage, folder)
        for stage in STAGES
        for folder in (results / stage / "checkpoints").glob("*")
        if (folder / SETTINGS).is_file()
    ]
    return [_read(stage, folder) for stage, folder in sorted(folders, key=lambda found: _started(found[1]))]


def differing(runs: list[TrainingRun]) -> dict[str, dict[str, str]]:
    """For each run the settings in which the runs of its stage differ."""
    told: dict[str, dict[str, str]] = {}
    for run in runs:
        others = [other.settings for other in runs if other.stage == run.stage]
        told[run.name] = {
            key: value for key, value in run.settings.items() if len({other.get(key) for other in others}) > 1
        }
    return told


def remove_run(results: Path, name: str) -> TrainingRun:
    """Remove the run ``name``. Raises :class:`UserError` where there is none."""
    runs = list_runs(results)
    for run in runs:
        if run.name == name:
            shutil.rmtree(run.folder)
            return run
    known = ", ".join(run.name for run in runs) or "none"
    raise UserError(f"{results}: no training run '{name}'; there are: {known}")


def _read(stage: str, folder: Path) -> TrainingRun:
    finished = folder / FINISHED
    files = (path for path in folder.rglob("*") if path.is_file())
    return TrainingRun(
        stage=stage,
        folder=folder,
        finished=finished.read_text(encoding="utf-8").strip() if finished.is_file() else None,
        step=last_step(folder),
        size=sum(path.stat().st_size for path in files),
        settings=dict(_flat(read_json(folder / SETTINGS))),
    )


def _started(folder: Path) -> datetime:
    return datetime.fromtimestamp((folder / SETTINGS).stat().st_mtime)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", f"{len(value)} files" if key == "inputs" else ", ".join(map(str, value))
        else:
            yield f"{prefix}{key}", str(value)
