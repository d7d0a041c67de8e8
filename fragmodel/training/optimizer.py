"""The Trainer's choice of optimizer and learning rate, for our own loop."""

import torch
from transformers import PreTrainedModel, Trainer, TrainingArguments, get_scheduler

from fragmodel.errors import UserError
from fragmodel.planning.optimizers import states_of


def check_optimizer(arguments: TrainingArguments) -> None:
    """Raise :class:`UserError` for an optimizer or a learning rate that cannot be made; this takes no model."""
    optim = f"--optim {arguments.optim.value}"
    try:
        kind, _ = Trainer.get_optimizer_cls_and_kwargs(arguments)
    except (ImportError, ValueError) as error:
        if "bitsandbytes" in str(error):
            remedy = "needs bitsandbytes, which is not installed: pip install 'fragmodel[quantised]'"
            raise UserError(f"{optim}: {remedy}") from None
        raise UserError(f"{optim}: {str(error).splitlines()[0]}") from None
    if arguments.fsdp and kind.__module__.startswith("bitsandbytes"):
        raise UserError(f"{optim}: its states cannot be sharded; leave --fsdp out, or --optim")
    if states_of(arguments.optim.value).paged and arguments.device.type != "cuda":
        # bitsandbytes would only warn, and keep all states where they are.
        raise UserError(
            f"{optim}: pages its states out of a GPU's memory, and none is used; --optim adamw_bnb_8bit runs anywhere"
        )
    try:
        make_scheduler(torch.optim.SGD([torch.zeros(1)], lr=1.0), arguments, steps=10)
    except (TypeError, ValueError) as error:
        name = arguments.lr_scheduler_type.value
        raise UserError(f"--lr_scheduler_type {name}: {str(error).splitlines()[0]}") from None


def make_optimizer(
    model: PreTrainedModel, arguments: TrainingArguments, lora_plus: float | None = None
) -> torch.optim.Optimizer:
    """The optimizer that ``--optim`` names over the trained weights; biases and norms are not decayed."""
    kind, options = Trainer.get_optimizer_cls_and_kwargs(arguments, model)
    decayed = set(Trainer.get_decay_parameter_names(None, model))
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    groups = [
        {"params": [w for name, w in trained if name in decayed], "weight_decay": arguments.weight_decay},
        {"params": [w for name, w in trained if name not in decayed], "weight_decay": 0.0},
    ]
    return finished(kind(groups, **options), model, lora_plus)


def finished(
    optimizer: torch.optim.Optimizer, model: torch.nn.Module, lora_plus: float | None
) -> torch.optim.Optimizer:
    """The optimizer as both loops want it.

    With ``lora_plus``, LoRA's second factors learn so many times faster (LoRA+, Hayou et al. 2024); peft's own
    optimizer would hurry the adapters' biases and norms too. float16's overflows are seen by who calls it: a fused one
    would skip such a step by itself, and the schedule go on without it.
    """
    optimizer._step_supports_amp_scaling = False
    if lora_plus is not None:
        fast = {id(weight) for name, weight in model.named_parameters() if ".lora_B." in name}
        for group in list(optimizer.param_groups):
            chosen = [weight for weight in group["params"] if id(weight) in fast]
            if chosen:
                group["params"] = [weight for weight in group["params"] if id(weight) not in fast]
                optimizer.add_param_group({**group, "params": chosen, "lr": lora_plus * group["lr"]})
    return optimizer


def make_scheduler(
    optimizer: torch.optim.Optimizer, arguments: TrainingArguments, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rate that ``--lr_scheduler_type`` names, over ``steps`` optimizer steps."""
    warmup = arguments.get_warmup_steps(steps)
    return get_scheduler(arguments.lr_scheduler_type, optimizer, warmup, steps, arguments.lr_scheduler_kwargs)
