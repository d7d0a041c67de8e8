"""Which checkpoints can be resumed, and whether they belong to this run.

Both entry points write the same folder: the model (:mod:`fragmodel.model.trained`), ``optimizer.pt``,
``scheduler.pt``, the random states of each rank, ``run.json`` (what the run is made of) and
``trainer_state.json``, whose presence says that the checkpoint is whole; last, the digests of all that.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

from fragmodel.digests import drop_digests, faults, is_checked, read_json
from fragmodel.errors import UserError
from fragmodel.files import room_told, write_text

if TYPE_CHECKING:  # the launcher looks for checkpoints and needs no torch
    from torch.nn import Module
    from transformers import TrainingArguments

    from fragmodel.training.arguments import Arguments

RUN_FILE = "run.json"
OPTIMIZER_FILE = "optimizer.pt"
SCALER_FILE = "scaler.pt"  # of the losses in float16
MICRO_BATCH = "micro_batch_tokens"
STATE_FILE = "trainer_state.json"
# What a checkpoint has beyond the model: it is of no use but to go on.
FOR_RESUMPTION = re.compile(
    r"(optimizer|scheduler|scaler|training_args|rng_state.*)\.\w+|trainer_state\.json"
)


# Fields of transformers that decide about the weights of every later step.
_OF_THE_WEIGHTS = (
    *("optim", "optim_args", "optim_target_modules", "adam_beta1", "adam_beta2", "adam_epsilon"),
    *("learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps"),
    *("weight_decay", "max_grad_norm", "bf16", "fp16"),
    *("dataloader_drop_last", "average_tokens_across_devices"),
)
# What changes no weight, and may differ from one attempt to the next; named when a resumption is refused.
FREE = "how often to log, validate and save; workers, memory and the number of processes"


def run_identity(arguments: "Arguments", data_digest: str, world_size: int) -> dict[str, Any]:
    """What must be the same for a resumed run to continue the interrupted one, as JSON has it."""
    training = arguments.training
    per_process = training.per_device_train_batch_size * training.gradient_accumulation_steps
    steps = training.max_steps if training.max_steps > 0 else None
    identity = {
        "model": arguments.spec().model_dump(),
        "data_digest": data_digest,
        "max_text_tokens": arguments.data.max_text_tokens,
        "seed": arguments.order_seed,
        "loraplus_lr_ratio": arguments.lora.loraplus_lr_ratio,
        "records_per_step": per_process * world_size,
        "max_steps": steps,
        "num_train_epochs": None if steps else training.num_train_epochs,  # max_steps goes before it
        **{name: getattr(training, name) for name in _OF_THE_WEIGHTS},
        "selection": _selection(training),
    }
    return json.loads(json.dumps(identity))


def _selection(training: "TrainingArguments") -> dict[str, Any] | None:
    """What decides which checkpoint is the best, where that is asked for."""
    if not training.load_best_model_at_end:
        return None
    names = ("metric_for_best_model", "greater_is_better", "eval_strategy", "eval_steps")
    return {name: getattr(training, name) for name in names}


def write_identity(folder: Path, identity: dict[str, Any], micro_batch_tokens: int) -> None:
    """Store the identity in a checkpoint folder, with what a run that goes on keeps though it may change."""
    noted = identity | {MICRO_BATCH: micro_batch_tokens}
    write_text(folder / RUN_FILE, json.dumps(noted, indent=2, sort_keys=True))


def noted_micro_batch_tokens(training: "TrainingArguments") -> int | None:
    """Of the checkpoint that is to be resumed; None where there is none, or it does not say."""
    if not _is_resumed(training):
        return None
    wanted = training.resume_from_checkpoint
    if str(wanted).lower() == "true":
        folder = next((path for path in _newest_first(Path(training.output_dir)) if not _fault(path)), None)
    else:
        folder = Path(wanted)
    if folder is None or not (path := folder / RUN_FILE).is_file():
        return None  # refused when it is to be resumed
    noted = read_json(path).get(MICRO_BATCH)
    return noted if noted != sys.maxsize else None  # of a run by FSDP


def last_checkpoint(output_dir: Path) -> Path | None:
    """The newest whole checkpoint below ``output_dir``; one that was cut off while written is passed over."""
    return next(iter(_newest_first(output_dir)), None)


def _newest_first(output_dir: Path) -> list[Path]:
    whole = [path for path in _checkpoints(output_dir) if (path / STATE_FILE).is_file()]
    return sorted(whole, key=_step, reverse=True)


def undamaged_checkpoint(output_dir: Path) -> Path | None:
    """The newest whole checkpoint whose bytes are those that were written; says which ones it passes over.

    None where there is no checkpoint. Raises :class:`UserError` where all are damaged.
    """
    found = _newest_first(output_dir)
    for path in found:
        if not (fault := _fault(path)):
            return path
        print(f"{fault}: going back to the checkpoint before {path.name}")
    if found:
        raise UserError(f"{output_dir}: every checkpoint is damaged ({fault}); remove them to start anew")
    return None


def _fault(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint's files; of one without digests, with those that can be read at once."""
    if is_checked() and (found := faults(checkpoint)):
        return found[0]
    for path in checkpoint.iterdir():
        if path.suffix in (".pt", ".pth") and not is_zipfile(path):
            return f"{path}: damaged"
    for path in (checkpoint / RUN_FILE, checkpoint / STATE_FILE):
        try:
            if path.is_file() and not isinstance(json.loads(path.read_bytes()), dict):
                return f"{path}: damaged"
        except ValueError:  # also bytes that are no text
            return f"{path}: damaged"
    return None


def last_step(output_dir: Path) -> int:
    """The step of the newest whole checkpoint, 0 where there is none."""
    newest = last_checkpoint(output_dir)
    return _step(newest) if newest else 0


def remove_partial(output_dir: Path) -> None:
    """Remove checkpoints that a kill cut off, so that they never count among those to keep."""
    for path in Path(output_dir).glob("checkpoint-*"):
        if not (path / STATE_FILE).is_file():
            shutil.rmtree(path)


def resume_point(arguments: "Arguments", identity: dict[str, Any]) -> Path | None:
    """The checkpoint that ``--resume_from_checkpoint`` names: a path, or True for the newest whole one.

    A damaged one is passed over for the one before. Raises :class:`UserError` when it is not whole, was made by
    another run, or is damaged and was named.
    """
    if not _is_resumed(arguments.training):
        return None
    wanted = arguments.training.resume_from_checkpoint
    if str(wanted).lower() == "true":
        folder = undamaged_checkpoint(Path(arguments.training.output_dir))
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
        if fault := _fault(folder):
            raise UserError(f"--resume_from_checkpoint: {fault}; name the checkpoint before it, or True")
    path = folder / RUN_FILE
    if not path.is_file():
        raise UserError(f"{folder}: {RUN_FILE} is missing; it was not written by this program")
    found = _as_today(json.loads(path.read_text(encoding="utf-8")))
    for key, value in identity.items():
        if key not in found:
            print(
                f"note: {folder} does not say its {key}; it is taken to be {value}"
            )  # of an earlier version
        elif found[key] != value:
            detail = _first_difference(found[key], value)
            raise UserError(
                f"{folder} belongs to another run: {key} differs ({detail}); restore the setting, or start anew "
                f"with --load_adapter_checkpoint_dir. What may change: {FREE}"
            )
    if not (folder / OPTIMIZER_FILE).is_file():
        raise UserError(f"{folder}: {OPTIMIZER_FILE} is missing (--save_only_model?); it cannot be resumed")
    return folder


def _as_today(found: dict[str, Any]) -> dict[str, Any]:
    """The identity with what its model's later fields say of a model that came before them."""
    from fragmodel.model.trained import ModelSpec

    defaults = {
        name: field.default for name, field in ModelSpec.model_fields.items() if not field.is_required()
    }
    return {**found, "model": {**defaults, **found["model"]}} if "model" in found else found


def _first_difference(found: Any, expected: Any) -> str:
    if isinstance(found, dict) and isinstance(expected, dict):
        for name in expected:
            if found.get(name) != expected[name]:
                return f"{name}: {found.get(name)} there, {expected[name]} here"
    return f"{found} there, {expected} here"


def check_output(arguments: "Arguments") -> None:
    """Raise :class:`UserError` where a run from scratch would mix its checkpoints with those of an earlier one."""
    training = arguments.training
    if _is_resumed(training) or training.overwrite_output_dir:
        return
    if step := last_step(Path(training.output_dir)):
        raise UserError(
            f"--output_dir {training.output_dir} holds checkpoints of an earlier run, up to step {step}: go on with "
            "--resume_from_checkpoint True, choose another folder, or remove them with --overwrite_output_dir"
        )


def announce(training: "TrainingArguments", resumed: Path | None) -> None:
    """Say where a run starts. From scratch remove what is to be overwritten, and checkpoints that were cut off.

    The main process alone calls this, when all that can be refused has been.
    """
    if resumed:
        print(f"Resuming from step {_step(resumed)} ({resumed})")
        return
    print("Starting training from scratch...")
    for path in _checkpoints(Path(training.output_dir)):
        if training.overwrite_output_dir or not (path / STATE_FILE).is_file():
            shutil.rmtree(path)


@contextmanager
def written_whole(folder: Path, model: "Module", main: bool) -> Iterator[None]:
    """Around the writing of a checkpoint: a file system that is full or protected leaves nothing half-written.

    Raises :class:`UserError` then, with what a checkpoint of ``model`` needs; the ``main`` process tidies up.
    """
    trained = sum(weight.nbytes for weight in model.parameters() if weight.requires_grad)
    try:
        with room_told(folder.parent, 3 * trained):  # the weights, and two moments of each
            yield
    except UserError:
        if main:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def begin_checkpoint(folder: Path) -> None:
    """Make a folder that does not count as whole until its state file is there, also one that is written again."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STATE_FILE).unlink(missing_ok=True)
    drop_digests(folder)


def remove_old(newest: Path, keep: int | None, best: str | None = None) -> None:
    """Keep ``keep`` checkpoints (None: all) of the run that has just written ``newest``: the best, and the last ones.

    What lies beside it with a later step is another run's, or this one's before it went back: it is left alone.
    """
    found = [path for path in _checkpoints(newest.parent) if _step(path) <= _step(newest)]
    # As the Trainer: the newest and the best stay also where only one is to be kept.
    order = sorted(
        found, key=lambda path: (path == newest, best and path.name == Path(best).name, _step(path))
    )
    for old in order[: -max(keep, 2 if best else 1)] if keep else []:
        shutil.rmtree(old)


def _checkpoints(output_dir: Path) -> list[Path]:
    return [
        path for path in Path(output_dir).glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)
    ]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _is_resumed(training: "TrainingArguments") -> bool:
    return training.resume_from_checkpoint not in (None, "", "False", "false", False)
