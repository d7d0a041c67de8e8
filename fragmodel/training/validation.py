"""What a model is worth on the validation records, the same from both programs."""

from collections.abc import Sized
from typing import TYPE_CHECKING, cast

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import nn
from torch.utils.data import DataLoader, Dataset
from transformers import TrainingArguments

from fragmodel.batching.packing import PackedCollator
from fragmodel.model.token_loss import IGNORED

if TYPE_CHECKING:
    from fragmodel.training.setup import TrainingSetup


def validate(
    model: nn.Module, setup: "TrainingSetup", args: TrainingArguments, accelerator: Accelerator
) -> dict[str, float]:
    """The loss on the validation records, and what the probe finds in answers; all processes call it together.

    Returns ``loss`` and what the probe returns, the same on every process.
    """
    loss = validation_loss(
        model,
        cast(Dataset, setup.eval_dataset),
        setup.collator,
        batch_size=args.per_device_eval_batch_size,
        workers=args.dataloader_num_workers,
        accelerator=accelerator,
    )
    if setup.probe is None:
        return {"loss": loss}
    found = [setup.probe(accelerator.unwrap_model(model)) if accelerator.is_main_process else None]
    if accelerator.num_processes > 1:
        broadcast_object_list(found)
    return {"loss": loss, **cast(dict[str, float], found[0])}


@torch.no_grad()
def validation_loss(
    model: nn.Module,
    dataset: Dataset,
    collator: PackedCollator,
    *,
    batch_size: int,
    workers: int,
    accelerator: Accelerator,
) -> float:
    """Mean loss of a target token over all records, whatever the batches and the number of processes.

    Each process takes its share of the batches. All make the same number of passes, since a sharded model
    needs every process in each: one that has none left repeats the first without counting it. The model is
    left in the mode in which it came.
    """
    size = len(cast(Sized, dataset))
    batches = [list(range(first, min(first + batch_size, size))) for first in range(0, size, batch_size)]
    mine = batches[accelerator.process_index :: accelerator.num_processes]
    short = len(mine) < -(-len(batches) // accelerator.num_processes)
    loader = DataLoader(
        dataset,
        batch_sampler=mine + batches[:1] * short,
        collate_fn=collator,
        num_workers=workers,
        generator=torch.Generator(),  # the training's own random numbers go on as if this had not been
    )
    was_training = model.training
    model.eval()
    sums = torch.zeros(2, dtype=torch.float64, device=accelerator.device)
    for number, batch in enumerate(loader):
        batch = {name: value.to(accelerator.device) for name, value in batch.items()}
        loss = model(**batch, num_items_in_batch=1).loss  # a sum
        if number < len(mine):
            sums += torch.stack([loss.double(), (batch["labels"] != IGNORED).sum().double()])
    model.train(was_training)
    total, targets = accelerator.reduce(sums)
    return (total / targets.clamp(min=1)).item()
