"""Which of transformers' ``TrainingArguments`` each program reads.

What is not named here has no effect on a program, and is refused where it differs from its default: a list of what to
refuse would miss what the next release of transformers adds.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Container, Mapping
from typing import Any

from fragmodel.errors import UserError

TRAINER, INSTRUCT = "train_trainer.py", "train_instruct.py"

_BOTH = frozenset(
    [
        # how long, in which batches, from where
        *("num_train_epochs", "max_steps", "per_device_train_batch_size", "per_device_eval_batch_size"),
        *("gradient_accumulation_steps", "seed", "data_seed", "resume_from_checkpoint", "output_dir"),
        *("do_train", "do_eval", "dataloader_num_workers"),
        # optimiser and learning rate
        *("learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "optim", "optim_args"),
        *("weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm"),
        # precision, memory, devices
        *("bf16", "fp16", "tf32", "use_cpu", "fsdp", "ddp_backend", "ddp_timeout"),
        *("activation_checkpointing", "activation_checkpointing_kwargs"),
        *("gradient_checkpointing", "gradient_checkpointing_kwargs"),
        # when to log, validate and save, and where to
        *("logging_strategy", "logging_steps", "logging_first_step", "disable_tqdm", "report_to", "run_name"),
        *("project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"),
        *("eval_strategy", "eval_steps", "eval_delay", "save_strategy", "save_steps", "save_total_limit"),
        *("load_best_model_at_end", "metric_for_best_model", "greater_is_better"),
    ]
)
_TRAINER_ALONE = frozenset(
    [
        *("average_tokens_across_devices", "optim_target_modules", "torch_empty_cache_steps"),
        *("full_determinism", "ignore_data_skip", "eval_on_start", "skip_memory_metrics"),
        *("log_level", "log_level_replica", "log_on_each_node", "logging_nan_inf_filter"),
        *("save_only_model", "save_on_each_node", "restore_callback_states_from_checkpoint"),
        *("push_to_hub", "hub_token", "hub_private_repo", "hub_model_id", "hub_strategy", "hub_always_push"),
        "hub_revision",
        *("dataloader_drop_last", "dataloader_pin_memory", "dataloader_persistent_workers"),
        *("dataloader_prefetch_factor", "dataloader_multiprocessing_context", "dataloader_in_order"),
        *("ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_broadcast_buffers", "ddp_static_graph"),
    ]
)
READ: Mapping[str, frozenset[str]] = {TRAINER: _BOTH | _TRAINER_ALONE, INSTRUCT: _BOTH}

# Values that only the Trainer's loop knows what to do with.
_INSTRUCT_LACKS: Mapping[str, tuple[str, ...]] = {
    "lr_scheduler_type": ("reduce_lr_on_plateau", "greedy"),
    "save_strategy": ("best",),
}


def refuse_unread(program: str, parser: ArgumentParser, parsed: Namespace, fields: Container[str]) -> None:
    """Raise :class:`UserError` for an option that is set and that ``program`` would pass over, or take half.

    Checked are the ``fields`` of transformers, against the defaults of the ``parser``.
    """
    for name, value in vars(parsed).items():
        if name not in fields or value == parser.get_default(name):
            continue
        elsewhere = name in READ[TRAINER] and program != TRAINER
        value = getattr(value, "value", value)  # of an enum
        if name not in READ[program]:
            remedy = f"{TRAINER} does, or leave it out" if elsewhere else "leave it out"
            raise UserError(f"--{name}: {program} does not read this option; {remedy}")
        if elsewhere and value in _INSTRUCT_LACKS.get(name, ()):
            raise UserError(f"--{name} {value}: {program} cannot do this; {TRAINER} can")
        if name.endswith("checkpointing_kwargs") and not _is_default_checkpointing(value):
            raise UserError(
                f"--{name} {value}: must be {{'use_reentrant': false}}, the default; leave it out"
            )


def _is_default_checkpointing(value: Any) -> bool:
    try:
        settings = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return False
    return settings == {"use_reentrant": False}
