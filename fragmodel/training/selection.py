"""Which checkpoint becomes the model: the last, or the one that validated best; and when to end early.

The state of it is the Trainer's own (``best_metric``, ``best_global_step`` and ``best_model_checkpoint`` in
``trainer_state.json``, validations in its ``log_history``), so that a resumed run chooses as an uninterrupted one.
"""

import shutil
from pathlib import Path

from transformers import IntervalStrategy, TrainerCallback, TrainerControl, TrainerState

from fragmodel.digests import SUMS, drop_digests, note_digests
from fragmodel.errors import UserError
from fragmodel.files import write_text
from fragmodel.model.trained import SPEC_FILE
from fragmodel.training.arguments import FragTrainingArguments
from fragmodel.training.checkpoints import FOR_RESUMPTION, STATE_FILE
from fragmodel.training.log import LOG_FILE, TrainingLog


def metric_name(args: FragTrainingArguments) -> str:
    """The metric by which the best is told, as it is logged."""
    return "eval_" + str(args.metric_for_best_model).removeprefix("eval_")


def note_validation(args: FragTrainingArguments, state: TrainerState, value: float) -> None:
    """Take the current step for the best where ``value`` beats the best so far."""
    if _is_better(args, state, value):
        state.best_metric, state.best_global_step = value, state.global_step


def note_checkpoint(state: TrainerState, folder: Path) -> None:
    """Remember the checkpoint of the best step, once its weights are written."""
    if state.best_global_step == state.global_step:
        state.best_model_checkpoint = str(folder)


def is_put_off(args: FragTrainingArguments, state: TrainerState) -> bool:
    """Whether the validation of the current step is still to be done: an interrupted run has no time for it."""
    due = {
        IntervalStrategy.STEPS: state.global_step % max(state.eval_steps, 1) == 0,
        IntervalStrategy.EPOCH: float(state.epoch or 0.5).is_integer(),
    }
    if not due.get(args.eval_strategy) or args.eval_delay > state.global_step:
        return False
    return not any(entry["step"] == state.global_step and "eval_loss" in entry for entry in state.log_history)


def has_nothing_left(args: FragTrainingArguments, state: TrainerState) -> bool:
    """Whether a checkpoint is the end of its run: all steps are done, or it was ended early."""
    if state.global_step >= state.max_steps:
        print(f"No step is left: this run has done all of its {state.max_steps}")
        return True
    if is_over(args, state):
        print(f"No step is left: this run ended early, at step {state.global_step}")
        return True
    return False


def is_over(args: FragTrainingArguments, state: TrainerState) -> bool:
    """Whether the last ``--early_stopping_patience`` validations have all been no better than the best before."""
    patience = args.early_stopping_patience
    if not patience or state.best_global_step is None:
        return False
    later = [e for e in state.log_history if "eval_loss" in e and e["step"] > state.best_global_step]
    return len({entry["step"] for entry in later}) >= patience


class StopEarly(TrainerCallback):
    """Ends a run whose validations have stopped getting better."""

    def on_evaluate(
        self,
        args: FragTrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Called after the validation is logged and before it is compared with the best."""
        if is_over(args, state) and not _is_better(args, state, (metrics or {})[metric_name(args)]):
            control.should_training_stop = True
            control.should_save = True


def is_chosen(args: FragTrainingArguments, state: TrainerState) -> bool:
    """Whether the model is that of the checkpoint that validated best."""
    return bool(args.load_best_model_at_end and state.best_global_step)


def ship(args: FragTrainingArguments, state: TrainerState) -> None:
    """Copy the best checkpoint's model to ``output_dir`` and log which it was. The main process alone calls it.

    The spec comes last: it marks a whole folder. Raises :class:`UserError` when the checkpoint is gone.
    """
    folder = Path(args.output_dir)
    # The path that was noted, or, where the run's folder was moved since, its place in it.
    places = [Path(state.best_model_checkpoint or ""), folder / f"checkpoint-{state.best_global_step}"]
    best = next((place for place in places if (place / SPEC_FILE).is_file()), None)
    if best is None:
        raise UserError(
            f"{places[1]}: the checkpoint that validated best is gone; restore it, or train without "
            "--load_best_model_at_end (select: last)"
        )
    drop_digests(folder)
    (folder / SPEC_FILE).unlink(missing_ok=True)
    files = (path.name for path in best.iterdir() if path.is_file() and path.name not in (SPEC_FILE, SUMS))
    names = [name for name in files if not FOR_RESUMPTION.fullmatch(name)]
    for name in names:
        shutil.copyfile(best / name, folder / name)
    write_text(folder / SPEC_FILE, (best / SPEC_FILE).read_text(encoding="utf-8"))
    note_digests(folder, [*names, SPEC_FILE])
    metric = metric_name(args)
    TrainingLog.chosen(folder / LOG_FILE, step=state.best_global_step, metric=metric, value=state.best_metric)
    print(
        f"The model is that of step {state.best_global_step}, with the best {metric} ({state.best_metric:.4g})"
    )


def read_state(checkpoint: Path) -> TrainerState:
    """The state that a checkpoint was written with."""
    return TrainerState.load_from_json(str(checkpoint / STATE_FILE))


def _is_better(args: FragTrainingArguments, state: TrainerState, value: float) -> bool:
    if state.best_metric is None:
        return value == value  # not nan
    return value > state.best_metric if args.greater_is_better else value < state.best_metric
