"""Which checkpoints can be resumed, and whether they belong to this run.

Both entry points write the same folder: the model (:mod:`fragmodel.model.trained`), ``optimizer.pt``,
``scheduler.pt``, the random states of each rank, ``run.json`` (what the run is made of) and, last,
``trainer_state.json``, whose presence says that the checkpoint is whole.
"""

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fragmodel.errors import UserError
from fragmodel.files import write_text

if TYPE_CHECKING:  # the launcher looks for checkpoints and needs no torch
    from fragmodel.training.arguments import Arguments
    from fragmodel.training.setup import TrainingSetup

RUN_FILE = "run.json"
STATE_FILE = "trainer_state.json"


def run_identity(arguments: "Arguments", setup: "TrainingSetup", world_size: int) -> dict[str, Any]:
    """What must be the same for a resumed run to continue the interrupted one."""
    training = arguments.training
    return {
        "model": setup.spec.model_dump(),
        "data_digest": setup.data_digest,
        "seed": training.data_seed if training.data_seed is not None else training.seed,
        "records_per_step": training.per_device_train_batch_size
        * training.gradient_accumulation_steps
        * world_size,
    }


def write_identity(folder: Path, identity: dict[str, Any]) -> None:
    """Store the identity in a checkpoint folder."""
    write_text(folder / RUN_FILE, json.dumps(identity, indent=2, sort_keys=True))


def last_checkpoint(output_dir: Path) -> Path | None:
    """The newest whole checkpoint below ``output_dir``; one that was cut off while written is passed over."""
    whole = [
        path
        for path in Path(output_dir).glob("checkpoint-*")
        if re.fullmatch(r"checkpoint-\d+", path.name) and (path / STATE_FILE).is_file()
    ]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def last_step(output_dir: Path) -> int:
    """The step of the newest whole checkpoint, 0 where there is none."""
    newest = last_checkpoint(output_dir)
    return int(newest.name.rpartition("-")[2]) if newest else 0


def remove_partial(output_dir: Path) -> None:
    """Remove checkpoints that a kill cut off, so that they never count among those to keep."""
    for path in Path(output_dir).glob("checkpoint-*"):
        if not (path / STATE_FILE).is_file():
            shutil.rmtree(path)


def resume_point(arguments: "Arguments", identity: dict[str, Any]) -> Path | None:
    """The checkpoint that ``--resume_from_checkpoint`` names: a path, or True for the newest whole one.

    Raises :class:`UserError` when it is not whole or was made by another run.
    """
    wanted = arguments.training.resume_from_checkpoint
    if wanted in (None, "", "False", "false", False):
        return None
    if str(wanted).lower() == "true":
        folder = last_checkpoint(Path(arguments.training.output_dir))
        if folder is None:
            raise UserError(
                f"--resume_from_checkpoint: no whole checkpoint in {arguments.training.output_dir}"
            )
    else:
        folder = Path(wanted)
        if not folder.is_dir():
            raise UserError(f"--resume_from_checkpoint {folder}: no such folder")
        if not (folder / STATE_FILE).is_file():
            raise UserError(
                f"--resume_from_checkpoint {folder}: not a whole checkpoint ({STATE_FILE} is missing)"
            )
    path = folder / RUN_FILE
    if not path.is_file():
        raise UserError(f"{folder}: {RUN_FILE} is missing; it was not written by this program")
    found = json.loads(path.read_text(encoding="utf-8"))
    for key, value in identity.items():
        if found.get(key) != value:
            detail = _first_difference(found.get(key), value)
            raise UserError(
                f"{folder} belongs to another run: {key} differs ({detail}); "
                "restore the setting, or start anew with --load_adapter_checkpoint_dir"
            )
    return folder


def _first_difference(found: Any, expected: Any) -> str:
    if isinstance(found, dict) and isinstance(expected, dict):
        for name in expected:
            if found.get(name) != expected[name]:
                return f"{name}: {found.get(name)} there, {expected[name]} here"
    return f"{found} there, {expected} here"


def remove_old(folder: Path, keep: int | None) -> None:
    """Remove all but the ``keep`` newest checkpoints of a run; ``None`` keeps all."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for old in found[:-keep] if keep else []:
        shutil.rmtree(old)
