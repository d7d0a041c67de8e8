"""What both programs hang on their loops: the training log, and stopping in order."""

from typing import Any

from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from fragmodel.training.interrupt import Interruption
from fragmodel.training.log import TrainingLog
from fragmodel.training.probe import Probe


class Log(TrainerCallback):
    """Writes the training log and asks the probe's records, on the main process."""

    def __init__(self, log: TrainingLog, probe: Probe | None) -> None:
        self.log = log
        self.probe = probe

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask the untrained model, or that of the checkpoint; say so where a resumed run has nothing left to do."""
        if self.log.lacks(state.global_step, "well_formed"):
            self.on_save(args, state, control, **kwargs)
        if state.global_step and state.global_step >= state.max_steps:
            print(f"No step is left: this run has done all of its {state.max_steps}")

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask the model of the checkpoint."""
        if self.probe:
            self.log.answers(step=state.global_step, well_formed=self.probe(kwargs["model"]))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep the losses."""
        if logs and "loss" in logs:
            self.log.training(
                step=state.global_step,
                epoch=state.epoch,
                loss=logs["loss"],
                learning_rate=logs["learning_rate"],
                tokens=int(state.num_input_tokens_seen),
            )
        if logs and "eval_loss" in logs:
            self.log.validation(step=state.global_step, loss=logs["eval_loss"])


def owes_validation(
    log: TrainingLog | None, args: TrainingArguments, step: int, steps_per_epoch: int
) -> bool:
    """Whether a resumed run begins with the validation that was due at the checkpoint's step and that a kill or a
    signal prevented. All processes call this together; the first, which has the log, decides.
    """
    every = {"epoch": steps_per_epoch, "steps": args.eval_steps}.get(str(args.eval_strategy.value))
    owed = bool(log and step and every and step % int(every) == 0 and log.lacks(step, "eval_loss"))
    return bool(broadcast_object_list([owed])[0])


class StopInOrder(TrainerCallback):
    """After SIGTERM or SIGUSR1: a checkpoint after the step, and the end; no validation, which may take long."""

    def __init__(self, interruption: Interruption) -> None:
        self.interruption = interruption

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask all processes whether one was told to end."""
        if self.interruption.agree():
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The epoch was cut off: what is due at its end is not."""
        if self.interruption.requested and state.global_step < state.max_steps:
            control.should_save = control.should_evaluate = control.should_log = False
