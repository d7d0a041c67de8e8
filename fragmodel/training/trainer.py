"""Training by the HuggingFace Trainer: its loop, our sampler, checkpoints and log."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import FullyShardedDataParallelPlugin
from torch import nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput

from fragmodel.batching.packing import micro_batches
from fragmodel.digests import note_digests
from fragmodel.model.trained import load_adapter_weights, save_trained
from fragmodel.training.arguments import Arguments
from fragmodel.training.callbacks import Log, StopInOrder
from fragmodel.training.checkpoints import (
    OPTIMIZER_FILE,
    announce,
    begin_checkpoint,
    resume_point,
    run_identity,
    write_identity,
    written_whole,
)
from fragmodel.training.interrupt import Interruption
from fragmodel.training.log import LOG_FILE, TrainingLog
from fragmodel.training.mixture import MixtureSampler
from fragmodel.training.optimizer import finished
from fragmodel.training.selection import (
    StopEarly,
    has_nothing_left,
    is_chosen,
    is_put_off,
    read_state,
    ship,
)
from fragmodel.training.setup import TrainingSetup
from fragmodel.training.sharding import load_optimizer, plan_shards, share_layers, trained_weights, whole
from fragmodel.training.validation import validate


class FragTrainer(Trainer):
    """The Trainer with the mixture's order of records and a checkpoint that holds every trained weight."""

    def __init__(self, setup: TrainingSetup, arguments: Arguments, **kwargs: Any) -> None:
        self.setup, self.lora_plus = setup, arguments.lora.loraplus_lr_ratio
        super().__init__(
            model=setup.model,
            args=arguments.training,
            train_dataset=setup.train_dataset,
            eval_dataset=setup.eval_dataset,
            data_collator=setup.collator,
            processing_class=setup.tokenizer,
            **kwargs,
        )
        self.identity = run_identity(arguments, setup.data_digest, arguments.training.world_size)

    def _get_train_sampler(self, train_dataset: Any = None) -> torch.utils.data.Sampler | None:
        return self.setup.sampler

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """As ``--optim`` says."""
        if self.optimizer is not None:
            return self.optimizer
        return finished(super().create_optimizer(*args, **kwargs), self.model, self.lora_plus)

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Forward and backward over the batch in parts; ranks wait for each other in the last alone."""
        parts = list(micro_batches(inputs, self.setup.micro_batch_tokens))
        total = torch.zeros((), device=self.args.device)
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            with nullcontext() if last else self.accelerator.no_sync(model):
                total += super().training_step(model, part, num_items_in_batch)
        return total

    def evaluation_loop(
        self, dataloader: Any, description: str, *_: Any, metric_key_prefix: str = "eval", **__: Any
    ) -> EvalLoopOutput:
        """Ours: the loss as the mean over target tokens; the Trainer's own is a mean of the batches' means."""
        found = validate(self.model_wrapped, self.setup, self.args, self.accelerator)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
        return EvalLoopOutput(None, None, metrics, len(self.eval_dataset))

    def _load_best_model(self) -> None:
        """Nothing: :func:`train` copies it."""

    def validate_first(self, checkpoint: Path) -> None:
        """Do the validation that the interrupted run has put off."""
        metrics = self.evaluate()
        if self._determine_best_metric(metrics, None):
            self.state.best_model_checkpoint = str(checkpoint)

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
        prepared = super()._prepare_for_training(*args, **kwargs)
        if self.args.fsdp:
            share_layers(self.model)
        return prepared

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the trained weights; all processes call it together."""
        folder = Path(output_dir or self.args.output_dir)
        model = self.accelerator.unwrap_model(self.model)
        weights = trained_weights(model)
        if self.args.should_save:
            save_trained(
                model, self.setup.tokenizer, self.setup.spec, folder, weights, forms=self.setup.forms
            )
            write_identity(folder, self.identity, self.setup.micro_batch_tokens)
        if self.args.push_to_hub and not _internal_call:
            self.push_to_hub(revision=self.args.hub_revision)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        with written_whole(folder, model, self.args.should_save):
            if self.args.should_save:
                begin_checkpoint(folder)
            super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # each process writes its random states
        if self.args.should_save and folder.is_dir():  # it may have been one too many
            note_digests(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Nothing: :func:`train` loads the weights before the model is wrapped."""

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        optimizer = whole(self.optimizer.state_dict())
        if self.args.should_save:
            torch.save(optimizer, Path(output_dir) / OPTIMIZER_FILE)
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / "scheduler.pt")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint:
            load_optimizer(self.optimizer, Path(checkpoint) / OPTIMIZER_FILE)
            self.lr_scheduler.load_state_dict(
                torch.load(Path(checkpoint) / "scheduler.pt", weights_only=True)
            )


class _ValidateFirst(TrainerCallback):
    """Called when a resumed model is ready to be trained."""

    def __init__(self, trainer: FragTrainer, checkpoint: Path) -> None:
        self.trainer, self.checkpoint = trainer, checkpoint

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if is_put_off(args, state):
            self.trainer.validate_first(self.checkpoint)


class _OrderOfEpoch(TrainerCallback):
    """Tells the sampler its epoch: over several processes a resumed epoch hides it two wrappers deep."""

    def __init__(self, sampler: MixtureSampler) -> None:
        self.sampler = sampler

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.sampler.set_epoch(int(state.epoch + 1e-6))


def train(setup: TrainingSetup, arguments: Arguments) -> bool:
    """Train to the end or to an interruption; returns whether the end was reached.

    The final model is written to ``output_dir`` itself, checkpoints below it.
    """
    with Interruption() as interruption:
        trainer = FragTrainer(setup, arguments)
        checkpoint = resume_point(arguments, trainer.identity)
        first_step = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
        if checkpoint:
            load_adapter_weights(setup.model, checkpoint)
        if arguments.training.fsdp:
            plugin = FullyShardedDataParallelPlugin(**arguments.training.fsdp_plugin_args)
            plan_shards(setup.model, trainer.accelerator, plugin)
            trainer.is_fsdp_enabled = True
        if trainer.is_world_process_zero():
            announce(arguments.training, checkpoint)
            log = TrainingLog(Path(arguments.training.output_dir) / LOG_FILE, first_step)
            trainer.add_callback(Log(log, setup.probe))
        trainer.add_callback(StopInOrder(interruption))
        trainer.add_callback(_OrderOfEpoch(setup.sampler))
        trainer.add_callback(StopEarly())
        if checkpoint and has_nothing_left(arguments.training, state := read_state(checkpoint)):
            trainer.state = state
        else:
            if checkpoint:
                trainer.add_callback(_ValidateFirst(trainer, checkpoint))
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if interruption.requested and trainer.state.global_step < trainer.state.max_steps:
            trainer.accelerator.wait_for_everyone()  # the first to leave would have the others killed
            return False
    if not is_chosen(arguments.training, trainer.state):
        trainer.save_model()
    elif trainer.is_world_process_zero():
        ship(arguments.training, trainer.state)
    return True
