"""Training by our own explicit loop on accelerate, to read in one sitting and to change.

Same model, data order, optimizer, schedule, checkpoints and losses as the Trainer's.
"""

import math
import random
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, skip_first_batches
from accelerate.utils import set_seed
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import Trainer, TrainerState, get_scheduler
from transformers.trainer_pt_utils import safe_globals

from fragmodel.errors import UserError
from fragmodel.model.modeling import IGNORED
from fragmodel.model.trained import load_adapter_weights, save_trained
from fragmodel.training.arguments import Arguments
from fragmodel.training.checkpoints import STATE_FILE, resume_point, run_identity, write_identity
from fragmodel.training.interrupt import Interruption
from fragmodel.training.log import TrainingLog
from fragmodel.training.setup import TrainingSetup


class InstructLoop:
    """One training run. ``train()`` is the loop; the rest is what it calls."""

    def __init__(self, setup: TrainingSetup, arguments: Arguments) -> None:
        self.setup = setup
        self.args = args = arguments.training
        self.accelerator = Accelerator(
            mixed_precision="bf16" if args.bf16 else "fp16" if args.fp16 else "no", cpu=args.use_cpu
        )
        set_seed(args.seed)
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
            setup.model, self._optimizer(), loader
        )
        self.steps_per_epoch = math.ceil(len(self.loader) / args.gradient_accumulation_steps)
        if not self.steps_per_epoch:
            raise UserError("there is no training record")
        self.max_steps = (
            args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * self.steps_per_epoch)
        )
        self.scheduler = get_scheduler(
            args.lr_scheduler_type,
            self.optimizer.optimizer,
            args.get_warmup_steps(self.max_steps),
            self.max_steps,
            args.lr_scheduler_kwargs,
        )
        self.identity = run_identity(arguments, setup, self.accelerator.num_processes)
        self.resumed = resume_point(arguments, self.identity)
        self.state = TrainerState(
            max_steps=self.max_steps, num_train_epochs=math.ceil(self.max_steps / self.steps_per_epoch)
        )

    def train(self, interruption: Interruption) -> bool:
        """Run to the end or to an interruption; returns whether the end was reached."""
        if self.resumed:
            self._load_checkpoint(self.resumed)
        self.accelerator.print(
            f"Resuming from step {self.state.global_step} ({self.resumed})"
            if self.resumed
            else "Starting training from scratch..."
        )
        log = (
            TrainingLog(Path(self.args.output_dir) / "log.jsonl", self.state.global_step)
            if self.accelerator.is_main_process
            else None
        )
        bar = tqdm(
            total=self.max_steps,
            initial=self.state.global_step,
            desc="training",
            disable=not self.accelerator.is_local_main_process,
        )
        if not self.resumed:
            self._probe(log)
        losses: list[float] = []
        while self.state.global_step < self.max_steps:
            epoch, steps_done = divmod(self.state.global_step, self.steps_per_epoch)
            for batches in self._accumulated_batches(epoch, steps_done):
                losses.append(self._step(batches))
                self.state.global_step += 1
                self.state.epoch = self.state.global_step / self.steps_per_epoch
                bar.update()
                if self.state.global_step % max(int(self.args.logging_steps), 1) == 0 and log:
                    log.training(
                        step=self.state.global_step,
                        epoch=self.state.epoch,
                        loss=sum(losses) / len(losses),
                        learning_rate=self.learning_rate,
                        tokens=self.state.num_input_tokens_seen,
                    )
                    losses = []
                self.scheduler.step()
                at_epoch_end = self.state.global_step % self.steps_per_epoch == 0
                ended = self.state.global_step >= self.max_steps
                if self._due(self.args.eval_strategy, self.args.eval_steps, at_epoch_end or ended):
                    loss = self.evaluate()
                    if log:
                        log.validation(step=self.state.global_step, loss=loss)
                if interruption.agree() or self._due(
                    self.args.save_strategy, self.args.save_steps, at_epoch_end or ended
                ):
                    self._save_checkpoint()
                    self._probe(log)
                if interruption.requested or ended:
                    break
            if interruption.requested:
                break
        bar.close()
        return self.state.global_step >= self.max_steps

    @property
    def learning_rate(self) -> float:
        """Learning rate of the step that was just made."""
        return self.optimizer.param_groups[0]["lr"]

    def _accumulated_batches(self, epoch: int, steps_done: int):
        """Lists of batches, one list an optimizer step, from step ``steps_done`` of the epoch on."""
        self.loader.set_epoch(epoch)
        self.setup.sampler.set_epoch(epoch)
        accumulation = self.args.gradient_accumulation_steps
        resuming = self.resumed is not None and self.state.global_step == self._resumed_step
        if resuming and not steps_done:
            self._load_random_state(self.resumed)
        batches = iter(
            skip_first_batches(self.loader, steps_done * accumulation) if steps_done else self.loader
        )
        group: list[dict[str, torch.Tensor]] = []
        for batch in batches:
            group.append(batch)
            if len(group) == accumulation:
                if resuming and steps_done:
                    self._load_random_state(self.resumed)  # after the loader has drawn its own seeds
                    resuming = False
                yield group
                group = []
        if group:
            yield group

    def _step(self, batches: list[dict[str, torch.Tensor]]) -> float:
        """Forward and backward over the batches and one optimizer step; returns the loss over all ranks."""
        self.model.train()
        targets = sum((batch["labels"][:, 1:] != IGNORED).sum() for batch in batches)
        tokens = sum(batch["attention_mask"].sum() for batch in batches)
        targets, tokens = self.accelerator.reduce(torch.stack([targets, tokens]).to(self.accelerator.device))
        total = torch.zeros((), device=self.accelerator.device)
        for number, batch in enumerate(batches):
            last = number == len(batches) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                # DDP averages over ranks; the loss is a mean over the targets of all of them.
                loss = self.model(**batch, num_items_in_batch=targets).loss * self.accelerator.num_processes
                self.accelerator.backward(loss)
            total += loss.detach()
        if self.args.max_grad_norm > 0:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.args.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.state.num_input_tokens_seen += int(tokens)
        return self.accelerator.reduce(total, "mean").item()

    @torch.no_grad()
    def evaluate(self) -> float:
        """Mean loss a target token on the validation records."""
        if self.setup.eval_dataset is None:
            raise UserError("--eval_strategy needs validation records")
        self.model.eval()
        loader = DataLoader(
            self.setup.eval_dataset,
            batch_size=self.args.per_device_eval_batch_size,
            collate_fn=self.setup.collator,
        )
        total, count = 0.0, 0
        for batch in loader:
            batch = {name: value.to(self.accelerator.device) for name, value in batch.items()}
            total += self.model(**batch, num_items_in_batch=1).loss.item()
            count += int((batch["labels"][:, 1:] != IGNORED).sum())
        return total / max(count, 1)

    def _due(self, strategy: str, steps: float | None, at_end: bool) -> bool:
        if strategy == "steps":
            return self.state.global_step % max(int(steps or 1), 1) == 0
        return strategy == "epoch" and at_end

    def _optimizer(self) -> torch.optim.Optimizer:
        kind, options = Trainer.get_optimizer_cls_and_kwargs(self.args, self.setup.model)
        decayed = set(Trainer.get_decay_parameter_names(None, self.setup.model))
        trained = [(name, p) for name, p in self.setup.model.named_parameters() if p.requires_grad]
        groups = [
            {"params": [p for name, p in trained if name in decayed], "weight_decay": self.args.weight_decay},
            {"params": [p for name, p in trained if name not in decayed], "weight_decay": 0.0},
        ]
        return kind(groups, **options)

    def _probe(self, log: TrainingLog | None) -> None:
        if log and self.setup.probe:
            share = self.setup.probe(self.accelerator.unwrap_model(self.model))
            log.answers(step=self.state.global_step, well_formed=share)

    def _save_checkpoint(self) -> None:
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(_random_state(), folder / self._random_file())
        if self.accelerator.is_main_process:
            save_trained(
                self.accelerator.unwrap_model(self.model), self.setup.tokenizer, self.setup.spec, folder
            )
            write_identity(folder, self.identity)
            torch.save(self.optimizer.state_dict(), folder / "optimizer.pt")
            torch.save(self.scheduler.state_dict(), folder / "scheduler.pt")
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            self.state.save_to_json(str(folder / STATE_FILE))
            kept = sorted(
                folder.parent.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2])
            )
            for old in kept[: -self.args.save_total_limit] if self.args.save_total_limit else []:
                shutil.rmtree(old)
        self.accelerator.wait_for_everyone()  # the first to leave would have the others killed

    def _load_checkpoint(self, folder: Path) -> None:
        load_adapter_weights(self.accelerator.unwrap_model(self.model), folder)
        self.optimizer.load_state_dict(
            torch.load(folder / "optimizer.pt", weights_only=True, map_location=self.accelerator.device)
        )
        self.scheduler.load_state_dict(torch.load(folder / "scheduler.pt", weights_only=True))
        saved = TrainerState.load_from_json(str(folder / STATE_FILE))
        self.state.global_step = self._resumed_step = saved.global_step
        self.state.num_input_tokens_seen = saved.num_input_tokens_seen

    def _random_file(self) -> str:
        ranks = self.accelerator.num_processes
        return "rng_state.pth" if ranks == 1 else f"rng_state_{self.accelerator.process_index}.pth"

    def _load_random_state(self, folder: Path) -> None:
        with safe_globals():
            saved = torch.load(folder / self._random_file(), weights_only=True)
        random.setstate(saved["python"])
        np.random.set_state(saved["numpy"])
        torch.set_rng_state(saved["cpu"])
        if "cuda" in saved and torch.cuda.is_available():
            states = saved["cuda"] if isinstance(saved["cuda"], list) else [saved["cuda"]]
            torch.cuda.set_rng_state_all(states)


def _random_state() -> dict:
    state = {"python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state_all()} if torch.cuda.is_available() else {})


def train(setup: TrainingSetup, arguments: Arguments) -> bool:
    """Train to the end or to an interruption; returns whether the end was reached.

    The final model is written to ``output_dir`` itself, checkpoints below it.
    """
    with Interruption() as interruption:
        loop = InstructLoop(setup, arguments)
        if not loop.train(interruption):
            return False
    if loop.accelerator.is_main_process:
        save_trained(
            loop.accelerator.unwrap_model(loop.model),
            setup.tokenizer,
            setup.spec,
            Path(arguments.training.output_dir),
        )
    loop.accelerator.end_training()
    return True
