"""The alignment program: trains the adapters, in one process or several, resumable after any step."""

import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file
from torch import distributed
from tqdm import tqdm
from transformers import get_scheduler

from fragmodel.alignment.adapters import AlignedAdapters
from fragmodel.alignment.batches import epoch_batches
from fragmodel.alignment.gradients import accumulate_gradients, sum_over_processes
from fragmodel.alignment.loss import contrastive_loss
from fragmodel.alignment.pairs import Pairs, read_pairs
from fragmodel.alignment.texts import TextStore
from fragmodel.alignment.vectors import Vectors
from fragmodel.config.alignment import AlignmentConfig
from fragmodel.config.training import AdapterConfig
from fragmodel.digests import note_digests
from fragmodel.embeddings.store import EmbeddingStore
from fragmodel.errors import UserError
from fragmodel.files import write_text
from fragmodel.training.checkpoints import (
    STATE_FILE,
    begin_checkpoint,
    remove_old,
    undamaged_checkpoint,
    written_whole,
)
from fragmodel.training.interrupt import Interruption
from fragmodel.training.log import TrainingLog

SUMMARY_FILE = "alignment.json"


class AlignmentRun(BaseModel):
    """Everything that an alignment depends on; ``settings.json`` in its folder."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    encoder: Path
    decoder: Path
    train: list[Path]
    valid: list[Path]
    store: Path
    fingerprint: str
    texts: Path
    texts_fingerprint: str
    adapter: AdapterConfig
    alignment: AlignmentConfig
    seed: int


class Aligner:
    """One run in ``folder``. :meth:`train` is the loop; the rest is what it calls."""

    def __init__(self, run: AlignmentRun, folder: Path) -> None:
        self.folder, self.args, self.seed = folder, run.alignment, run.seed
        self.rank, self.processes = _process()
        self.device = _device()
        self.model = AlignedAdapters(
            run.encoder,
            run.decoder,
            run.adapter,
            pooling=run.alignment.pooling,
            segments=run.alignment.segments,
            temperature=run.alignment.temperature,
            seed=run.seed,
        ).to(self.device)
        self.vectors = Vectors(
            EmbeddingStore(run.store, run.fingerprint),
            TextStore(run.texts, run.texts_fingerprint),
            self.args,
            self.device,
        )
        self.pairs, self.valid = read_pairs(run.train), read_pairs(run.valid)
        if not self.pairs:
            raise UserError("alignment: no training record of the tasks function or referring_desc")
        self.kinds = [pairs.kind for pairs in self.pairs]
        if "fragment" not in self.kinds:
            self.model.fragment_adapter.requires_grad_(False)
        self.steps_per_epoch = len(self._batches(0))
        steps = self.args.max_steps
        self.max_steps = steps if steps > 0 else math.ceil(self.args.epochs * self.steps_per_epoch)
        self.optimizer = _optimizer(self.model, self.args)
        warmup = math.ceil(self.args.warmup_fraction * self.max_steps)
        self.scheduler = get_scheduler(self.args.lr_scheduler, self.optimizer, warmup, self.max_steps)
        self.step = 0

    def train(self, interruption: Interruption) -> bool:
        """Run to the end or to an interruption; returns whether the end was reached."""
        checkpoint = undamaged_checkpoint(self.folder)
        if checkpoint:
            self._load(checkpoint)
        log = TrainingLog(self.folder / "log.jsonl", self.step) if self.rank == 0 else None
        if log:
            counts = ", ".join(f"{len(pairs)} {pairs.kind} pairs" for pairs in self.pairs)
            print(
                f"{counts}; {self.max_steps} steps" + (f", going on after {self.step}" if self.step else "")
            )
        bar = tqdm(total=self.max_steps, initial=self.step, desc="alignment", disable=self.rank != 0)
        if not checkpoint:
            self._validate(log)
        while self.step < self.max_steps and not interruption.requested:
            epoch, done = divmod(self.step, self.steps_per_epoch)
            for number, indices in self._batches(epoch)[done:]:
                rate = self.scheduler.get_last_lr()[0]
                loss = self._step(self.pairs[number], indices)
                self.step += 1
                bar.update()
                if log:
                    log.write(
                        step=self.step,
                        kind=self.kinds[number],
                        epoch=self.step / self.steps_per_epoch,
                        loss=loss,
                        temperature=math.exp(-self.model.log_scale.item()),
                        learning_rate=rate,
                    )
                ended = self.step >= self.max_steps
                regular = ended or self.step % self.args.checkpoint_steps == 0
                if regular:
                    self._validate(log)
                if interruption.agree() or regular:
                    self._save()
                if interruption.requested or ended:
                    break
        bar.close()
        if self.step < self.max_steps:
            return False
        if self.rank == 0:
            self.model.save(self.folder, self.kinds)
            write_text(self.folder / SUMMARY_FILE, json.dumps(self._summary(), indent=2))
        return True

    def _batches(self, epoch: int) -> list[tuple[int, torch.Tensor]]:
        return epoch_batches(list(map(len, self.pairs)), self.args.batch_size, self.seed, epoch)

    def _step(self, pairs: Pairs, indices: torch.Tensor) -> float:
        """One optimizer step on a batch of all processes; returns its loss."""
        texts = self.vectors.texts([pairs.texts[i] for i in indices])
        excluded = self.vectors.excluded(pairs, indices)
        mine = torch.arange(len(indices)).tensor_split(self.processes)[self.rank]
        # Items of like length run together, which saves padding.
        mine = mine[
            torch.tensor([pairs.rows(i) for i in indices[mine]], dtype=torch.long).argsort(stable=True)
        ]
        self.optimizer.zero_grad()
        loss = accumulate_gradients(
            mine.split(self.args.chunk_size) if len(mine) else [],
            lambda rows: self.vectors.items(self.model, pairs, indices[rows]),
            lambda vectors: contrastive_loss(vectors, texts, self.model.log_scale, excluded),
            len(indices),
            self.model.width,
            self.device,
        )
        used = list(self.model.modality_adapter.parameters())
        if pairs.kind == "fragment":
            used += self.model.fragment_adapter.parameters()
        sum_over_processes(used, [self.model.log_scale])
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.args.max_grad_norm)
        self.optimizer.step()
        self.scheduler.step()
        return loss.item()

    def _validate(self, log: TrainingLog | None) -> None:
        """Loss and retrieval on the validation pairs by all processes; the first one logs them."""
        for pairs in self.valid:
            found = self.vectors.validate(self.model, pairs)
            if log:
                log.write(step=self.step, kind=pairs.kind, **found)

    def _save(self) -> None:
        if self.rank == 0:
            folder = self.folder / f"checkpoint-{self.step}"
            with written_whole(folder, self.model, main=True):
                begin_checkpoint(folder)
                save_file(self.model.state_dict(), folder / "weights.safetensors")
                torch.save(self.optimizer.state_dict(), folder / "optimizer.pt")
                torch.save(self.scheduler.state_dict(), folder / "scheduler.pt")
                write_text(folder / STATE_FILE, json.dumps({"global_step": self.step}))
                note_digests(folder)
            remove_old(folder, keep=self.args.keep_checkpoints)
        if self.processes > 1:
            distributed.barrier()  # the first to leave would have the others killed

    def _load(self, folder: Path) -> None:
        self.model.load_state_dict(load_file(folder / "weights.safetensors", device=str(self.device)))
        options = {"weights_only": True, "map_location": self.device}
        self.optimizer.load_state_dict(torch.load(folder / "optimizer.pt", **options))
        self.scheduler.load_state_dict(torch.load(folder / "scheduler.pt", weights_only=True))
        self.step = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))["global_step"]

    def _summary(self) -> dict[str, Any]:
        return {
            "kinds": self.kinds,
            "pairs": {pairs.kind: len(pairs) for pairs in self.pairs},
            "steps": self.step,
            "temperature": math.exp(-self.model.log_scale.item()),
            "pooling": self.args.pooling,
            "segments": self.args.segments,
        }


def _optimizer(model: AlignedAdapters, args: AlignmentConfig) -> torch.optim.Optimizer:
    """AdamW; biases, norms and the temperature are not decayed."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in trained if w.ndim > 1], "weight_decay": args.weight_decay},
        {"params": [w for w in trained if w.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=args.learning_rate)


def _process() -> tuple[int, int]:
    """This process's rank and the number of processes; torchrun tells them."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return int(os.environ.get("RANK", "0")), processes


def _device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device
