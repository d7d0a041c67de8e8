"""The arguments of a training program, from the sections of the config."""

from typing import Any

from fragmodel.config.training import AdapterConfig, LoraConfig, TrainingConfig


def program_arguments(
    adapter: AdapterConfig, lora: LoraConfig, training: TrainingConfig, seed: int, evaluate: bool
) -> dict[str, Any]:
    """Values of the program's arguments by name; None leaves one at its default. Validation runs if ``evaluate``."""
    return {
        **adapter.model_dump(),
        "lora_rank": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": lora.target_modules,
        "use_dora": lora.use_dora or None,
        "use_rslora": lora.use_rslora or None,
        "init_lora_weights": lora.init_lora_weights if lora.init_lora_weights != "default" else None,
        "loraplus_lr_ratio": lora.loraplus_lr_ratio,
        "torch_dtype": training.precision,
        "decoder_bits": training.decoder_bits,
        "optim": training.optimizer,
        "bf16": training.precision == "bfloat16" or None,
        "fp16": training.precision == "float16" or None,
        "max_steps": training.max_steps,
        "num_train_epochs": training.epochs,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": training.lr_scheduler,
        "warmup_steps": training.warmup_fraction,
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "per_device_train_batch_size": training.batch_size,
        "per_device_eval_batch_size": training.batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation,
        "micro_batch_tokens": training.micro_batch_tokens,
        "fsdp": "full_shard" if training.parallel == "fsdp" and training.all_processes > 1 else None,
        "gradient_checkpointing": training.gradient_checkpointing or None,
        "dataloader_num_workers": training.workers,
        "save_strategy": "steps",
        "save_steps": training.checkpoint_steps,
        "save_total_limit": training.keep_checkpoints,
        **(_validation(training) if evaluate else {"eval_strategy": "no"}),
        "logging_steps": training.log_steps,
        "report_to": training.report_to or "none",
        "max_text_tokens": training.max_text_tokens,
        "seed": seed,
    }


def _validation(training: TrainingConfig) -> dict[str, Any]:
    """A validation at each checkpoint, and what follows from it."""
    chosen = training.select != "last"
    return {
        "eval_strategy": "steps",
        "eval_steps": training.checkpoint_steps,
        "max_eval_samples": training.validation_records,
        "probe_records": training.probe_records if training.parallel != "fsdp" else 0,
        "load_best_model_at_end": chosen or None,
        "metric_for_best_model": training.select if chosen else None,
        "early_stopping_patience": training.patience if chosen else 0,
    }


def as_flags(arguments: dict[str, Any]) -> list[str]:
    """Words of a command line, without the arguments that are None or empty."""
    flags = []
    for name, value in arguments.items():
        if value is None or value == []:
            continue
        flags += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return flags
