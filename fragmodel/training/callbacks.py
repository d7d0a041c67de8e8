"""What both programs hang on their loops: the training log, and stopping in order."""

from typing import Any

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
        """Ask the untrained model."""
        if self.probe and not state.global_step:
            self.log.answers(step=0, **self.probe(kwargs["model"]))

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
            names = ("well_formed", "score")
            if found := {name: logs[f"eval_{name}"] for name in names if f"eval_{name}" in logs}:
                self.log.answers(step=state.global_step, **found)


class StopInOrder(TrainerCallback):
    """After a signal: a checkpoint after the step, and the end; a validation waits for the resumed run."""

    def __init__(self, interruption: Interruption) -> None:
        self.interruption = interruption

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask all processes whether one was told to end."""
        if self.interruption.agree():
            control.should_save = control.should_training_stop = True
            control.should_evaluate &= state.global_step >= state.max_steps

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The epoch was cut off: what is due at its end is not."""
        if self.interruption.requested and state.global_step < state.max_steps:
            control.should_save = control.should_evaluate = control.should_log = False
