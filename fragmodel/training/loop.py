"""Training by our own explicit loop on accelerate, to read in one sitting and to change.

Same model, data order, optimizer, schedule, checkpoints and losses as the Trainer's.
"""

import math
from contextlib import nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator, skip_first_batches
from accelerate.utils import FullyShardedDataParallelPlugin, set_seed
from torch.utils.data import DataLoader
from transformers import (
    DefaultFlowCallback,
    PrinterCallback,
    ProgressCallback,
    TrainerControl,
    TrainerState,
)
from transformers.integrations import get_reporting_integration_callbacks
from transformers.trainer_callback import CallbackHandler

from fragmodel.batching.packing import micro_batches
from fragmodel.digests import note_digests
from fragmodel.errors import UserError
from fragmodel.model.token_loss import IGNORED
from fragmodel.model.trained import load_adapter_weights, save_trained
from fragmodel.training.arguments import Arguments
from fragmodel.training.callbacks import Log, StopInOrder
from fragmodel.training.checkpoints import (
    OPTIMIZER_FILE,
    SCALER_FILE,
    STATE_FILE,
    announce,
    begin_checkpoint,
    remove_old,
    resume_point,
    run_identity,
    write_identity,
    written_whole,
)
from fragmodel.training.interrupt import Interruption
from fragmodel.training.log import LOG_FILE, TrainingLog
from fragmodel.training.optimizer import make_optimizer, make_scheduler
from fragmodel.training.random_state import load_random_state, save_random_state
from fragmodel.training.selection import (
    StopEarly,
    has_nothing_left,
    is_chosen,
    is_put_off,
    metric_name,
    note_checkpoint,
    note_validation,
    ship,
)
from fragmodel.training.setup import TrainingSetup
from fragmodel.training.sharding import load_optimizer, plan_shards, share_layers, trained_weights, whole
from fragmodel.training.validation import validate

# What a resumed run goes on from; the rest of the state follows from the arguments.
_OF_THE_RUN = (
    *("global_step", "epoch", "num_input_tokens_seen", "log_history"),
    *("best_metric", "best_global_step", "best_model_checkpoint"),
)


class InstructLoop:
    """One training run. ``train()`` is the loop; the rest is what it calls."""

    def __init__(self, setup: TrainingSetup, arguments: Arguments) -> None:
        self.setup = setup
        self.args = args = arguments.training
        plugin = FullyShardedDataParallelPlugin(**args.fsdp_plugin_args) if args.fsdp else None
        self.accelerator = Accelerator(
            mixed_precision="bf16" if args.bf16 else "fp16" if args.fp16 else "no",
            cpu=args.use_cpu,
            fsdp_plugin=plugin,
        )
        set_seed(args.seed)
        self.identity = run_identity(arguments, setup.data_digest, self.accelerator.num_processes)
        self.resumed = resume_point(arguments, self.identity)
        if self.resumed:
            load_adapter_weights(setup.model, self.resumed)
        if plugin:
            plan_shards(setup.model, self.accelerator, plugin)
        if args.gradient_checkpointing:
            setup.model.gradient_checkpointing_enable({"use_reentrant": False})
            setup.model.enable_input_require_grads()
        loader = DataLoader(
            setup.train_dataset,
            batch_size=args.per_device_train_batch_size,
            sampler=setup.sampler,
            collate_fn=setup.collator,
            num_workers=args.dataloader_num_workers,
            pin_memory=torch.cuda.is_available(),
        )
        self.model, self.optimizer, self.loader = self.accelerator.prepare(
            setup.model, make_optimizer(setup.model, args, arguments.lora.loraplus_lr_ratio), loader
        )
        if plugin:
            share_layers(self.model)
        self.steps_per_epoch = math.ceil(len(self.loader) / args.gradient_accumulation_steps)
        if not self.steps_per_epoch:
            raise UserError("there is no training record")
        self.max_steps = (
            args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * self.steps_per_epoch)
        )
        self.scheduler = make_scheduler(self.optimizer.optimizer, args, self.max_steps)
        self.state = TrainerState(
            max_steps=self.max_steps,
            num_train_epochs=math.ceil(self.max_steps / self.steps_per_epoch),
            is_local_process_zero=self.accelerator.is_local_main_process,
            is_world_process_zero=self.accelerator.is_main_process,
        )
        self.state.compute_steps(args, self.max_steps)
        self.losses: list[float] = []  # since the last log entry

    def train(self, interruption: Interruption) -> bool:
        """Run to the end or to an interruption; returns whether the end was reached."""
        if self.resumed:
            self._load_checkpoint(self.resumed)
        if self.accelerator.is_main_process:
            announce(self.args, self.resumed)
        self.callbacks = self._callbacks(interruption)
        if self.resumed and has_nothing_left(self.args, self.state):
            return True
        self._tell("on_train_begin")
        if self.resumed and is_put_off(self.args, self.state):
            self._validate()
            note_checkpoint(self.state, self.resumed)
        while self.state.global_step < self.max_steps and not self.control.should_training_stop:
            epoch, steps_done = divmod(self.state.global_step, self.steps_per_epoch)
            for batches in self._accumulated_batches(epoch, steps_done):
                self.losses.append(self._step(batches))
                self.state.global_step += 1
                self.state.epoch = self.state.global_step / self.steps_per_epoch
                self._tell("on_step_end")
                self._log_validate_save()
                if self.control.should_training_stop:
                    break
            self._tell("on_epoch_end")
            self._log_validate_save()
        self._tell("on_train_end")
        return self.state.global_step >= self.max_steps or not interruption.requested

    def _callbacks(self, interruption: Interruption) -> CallbackHandler:
        """What decides when to log, validate and save, and who is told: as in the Trainer, by the same flags."""
        chosen = [DefaultFlowCallback(), (PrinterCallback if self.args.disable_tqdm else ProgressCallback)()]
        chosen += [kind() for kind in get_reporting_integration_callbacks(self.args.report_to)]
        chosen += [StopInOrder(interruption), StopEarly()]
        if self.accelerator.is_main_process:
            log = TrainingLog(Path(self.args.output_dir) / LOG_FILE, self.state.global_step)
            chosen.append(Log(log, self.setup.probe))
        self.control = TrainerControl()
        model = self.accelerator.unwrap_model(self.model)
        return CallbackHandler(chosen, model, self.setup.tokenizer, self.optimizer, self.scheduler)

    def _tell(self, event: str, *more: dict[str, float]) -> None:
        """Tell the callbacks of an event; they answer with what is to be done."""
        self.control = getattr(self.callbacks, event)(self.args, self.state, self.control, *more)

    def _log_validate_save(self) -> None:
        """Do what the callbacks have asked for."""
        if self.control.should_log and self.losses:
            loss, self.losses = sum(self.losses) / len(self.losses), []
            logs = {"loss": loss, "grad_norm": self.gradient_norm, "learning_rate": self.learning_rate}
            self._tell("on_log", {**logs, "epoch": self.state.epoch})
        if self.control.should_evaluate:
            self._validate()
        if self.control.should_save:
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            with written_whole(folder, self.model, self.accelerator.is_main_process):
                self._save_checkpoint(folder)
            self._tell("on_save")

    def _validate(self) -> None:
        found = validate(self.model, self.setup, self.args, self.accelerator)
        metrics = {f"eval_{name}": value for name, value in found.items()} | {"epoch": self.state.epoch}
        self.state.log_history.append(metrics | {"step": self.state.global_step})
        self._tell("on_log", metrics)
        self._tell("on_evaluate", metrics)
        if self.args.load_best_model_at_end:
            note_validation(self.args, self.state, metrics[metric_name(self.args)])

    def _accumulated_batches(self, epoch: int, steps_done: int):
        """Lists of batches, one list an optimizer step, from step ``steps_done`` of the epoch on."""
        self.loader.set_epoch(epoch)
        self.setup.sampler.set_epoch(epoch)
        accumulation = self.args.gradient_accumulation_steps
        resuming = self.resumed is not None and self.state.global_step == self._resumed_step
        if resuming and not steps_done:
            load_random_state(self.resumed, self.accelerator)
        batches = iter(
            skip_first_batches(self.loader, steps_done * accumulation) if steps_done else self.loader
        )
        group: list[dict[str, torch.Tensor]] = []
        for batch in batches:
            group.append(batch)
            if len(group) == accumulation:
                if resuming and steps_done:
                    # Only now has the loader drawn its own seeds.
                    load_random_state(self.resumed, self.accelerator)
                    resuming = False
                yield group
                group = []
        if group:
            yield group

    def _step(self, batches: list[dict[str, torch.Tensor]]) -> float:
        """Forward and backward over the batches and one optimizer step; returns the loss over all ranks."""
        self.model.train()
        targets = sum((batch["labels"] != IGNORED).sum() for batch in batches)
        tokens = sum(batch["attention_mask"].sum() for batch in batches)
        targets, tokens = self.accelerator.reduce(torch.stack([targets, tokens]).to(self.accelerator.device))
        total = torch.zeros((), device=self.accelerator.device)
        parts = [part for batch in batches for part in micro_batches(batch, self.setup.micro_batch_tokens)]
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                # DDP averages over ranks; the loss is a mean over the targets of all of them.
                loss = self.model(**part, num_items_in_batch=targets).loss * self.accelerator.num_processes
                self.accelerator.backward(loss)
            total += loss.detach()
        norm = self.accelerator.clip_grad_norm_(
            self.model.parameters(), self.args.max_grad_norm if self.args.max_grad_norm > 0 else math.inf
        )
        self.gradient_norm, self.learning_rate = float(norm), self.optimizer.param_groups[0]["lr"]
        self.optimizer.step()
        if not self.accelerator.optimizer_step_was_skipped:  # in float16, after an overflow
            self.scheduler.step()
        self.optimizer.zero_grad()
        self.state.num_input_tokens_seen += int(tokens)
        return self.accelerator.reduce(total, "mean").item()

    def _save_checkpoint(self, folder: Path) -> None:
        if self.accelerator.is_main_process:
            begin_checkpoint(folder)
        self.accelerator.wait_for_everyone()
        save_random_state(folder, self.accelerator)
        self.save_model(folder)
        optimizer = whole(self.optimizer.state_dict())
        if self.accelerator.is_main_process:
            write_identity(folder, self.identity, self.setup.micro_batch_tokens)
            torch.save(optimizer, folder / OPTIMIZER_FILE)
            torch.save(self.scheduler.state_dict(), folder / "scheduler.pt")
            if self.accelerator.scaler is not None:
                torch.save(self.accelerator.scaler.state_dict(), folder / SCALER_FILE)
        self.accelerator.wait_for_everyone()
        note_checkpoint(self.state, folder)
        if self.accelerator.is_main_process:
            self.state.save_to_json(str(folder / STATE_FILE))
            note_digests(folder)
            remove_old(folder, self.args.save_total_limit, self.state.best_model_checkpoint)
        self.accelerator.wait_for_everyone()  # the first to leave would have the others killed

    def save_model(self, folder: Path) -> None:
        """Write the trained weights to ``folder``; all processes call it together."""
        model = self.accelerator.unwrap_model(self.model)
        weights = trained_weights(model)
        if self.accelerator.is_main_process:
            save_trained(
                model, self.setup.tokenizer, self.setup.spec, folder, weights, forms=self.setup.forms
            )

    def _load_checkpoint(self, folder: Path) -> None:
        load_optimizer(self.optimizer, folder / OPTIMIZER_FILE)
        self.scheduler.load_state_dict(torch.load(folder / "scheduler.pt", weights_only=True))
        if self.accelerator.scaler is not None and (folder / SCALER_FILE).is_file():
            self.accelerator.scaler.load_state_dict(torch.load(folder / SCALER_FILE, weights_only=True))
        saved = TrainerState.load_from_json(str(folder / STATE_FILE))
        self._resumed_step = saved.global_step
        for name in _OF_THE_RUN:
            setattr(self.state, name, getattr(saved, name))


def train(setup: TrainingSetup, arguments: Arguments) -> bool:
    """Train to the end or to an interruption; returns whether the end was reached.

    The final model is written to ``output_dir`` itself, checkpoints below it.
    """
    with Interruption() as interruption:
        loop = InstructLoop(setup, arguments)
        if not loop.train(interruption):
            return False
    if not is_chosen(arguments.training, loop.state):
        loop.save_model(Path(arguments.training.output_dir))
    elif loop.accelerator.is_main_process:
        ship(arguments.training, loop.state)
    # The wrapped model goes before its process group: as the group's last owner it would wait, holding Python's
    # lock, for a thread of the group that may need this lock.
    loop.model, loop.optimizer = loop.accelerator.free_memory(loop.model, loop.optimizer)
    loop.accelerator.end_training()
    return True
