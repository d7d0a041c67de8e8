"""What a model folder tells of its training: data sets, families, windows, and the calibration of its confidences."""

import logging
from pathlib import Path
from typing import Any

from fragmodel.digests import read_json
from fragmodel.evaluation.calibration import CALIBRATION_FILE, Calibration, read_calibration
from fragmodel.model.loading import folder_digest
from fragmodel.tables import read_metadata
from fragmodel.vocabulary import LONGEST_WINDOW, family_of

DATA_FILE = "training_data.json"  # in an exported folder: what the model was trained on
DATA_NAMES = {family_of(name): name for name in ("Dom", "Act", "BindI", "Evo", "Motif", "Epi")}
"""A data name for each family of fragments, as the questions know them."""

logger = logging.getLogger(__name__)


def trained_on(folder: Path) -> list[dict[str, Any]]:
    """An entry for each training table: data_name, task_type, records, inputs (name and sha256 of the raw files) and
    max_sequence_length. Empty when neither the folder (exported) nor a run around it (`training/model`) says so.
    """
    folder = Path(folder).resolve()
    stated = folder / DATA_FILE
    if stated.is_file():
        return read_json(stated, list)
    entries = []
    for path in sorted(folder.parents[1].glob("data/*/*/train.parquet")):
        made = read_metadata(path)
        entries.append(
            {
                "data_name": path.parents[1].name,
                "task_type": path.parent.name,
                "family": made["arguments"].get("family"),
                "records": made["rows"],
                "inputs": [{"name": raw["name"], "sha256": raw["sha256"]} for raw in made["inputs"]],
                "max_sequence_length": made["arguments"]["max_sequence_length"],
            }
        )
    return entries


def families(folder: Path) -> list[str]:
    """Kinds of fragments to ask for: those that the model was trained on, else all."""
    return list(
        dict.fromkeys(entry.get("family") or family_of(entry["data_name"]) for entry in trained_on(folder))
    ) or list(DATA_NAMES)


def data_names(folder: Path) -> dict[str, list[str]]:
    """The data sets that the model was trained on, by the kind of their fragments."""
    found: dict[str, list[str]] = {}
    for entry in trained_on(folder):
        names = found.setdefault(entry.get("family") or family_of(entry["data_name"]), [])
        if entry["data_name"] not in names:
            names.append(entry["data_name"])
    return found


def window_length(folder: Path) -> int:
    """Residues of the longest window that the model was trained on; the usual one where nothing says so."""
    return max((entry["max_sequence_length"] for entry in trained_on(folder)), default=LONGEST_WINDOW)


def calibration_of(model: Path) -> Calibration | None:
    """That of a model folder: in it (exported, merged), or beside it in its run (`training/model`), else ``None``.

    A run's is used only where it was made of these very weights.
    """
    model = Path(model).resolve()
    if (inside := model / CALIBRATION_FILE).is_file():
        return read_calibration(inside)
    beside = model.parent.parent / CALIBRATION_FILE
    if not beside.is_file():
        return None
    found = read_calibration(beside)
    if found.model_sha256 == folder_digest(model):
        return found
    logger.warning("%s: made of another model; confidences are not calibrated", beside)
    return None
