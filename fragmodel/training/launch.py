"""Start a training program for one stage of a run: one process, or one for each GPU by torchrun."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fragmodel.config import AdapterConfig, LoraConfig, TrainingConfig
from fragmodel.errors import UserError
from fragmodel.files import file_digest, text_digest, write_text

FINISHED = "finished"
PROGRAMS = {"trainer": "train_trainer.py", "instruct": "train_instruct.py"}


def launch(
    *,
    programs: Path,
    encoder: Path,
    decoder: Path,
    train: Sequence[Path],
    valid: Sequence[Path],
    weights: Sequence[float],
    store: Path | None,
    fingerprint: str | None,
    checkpoints: Path,
    model: Path,
    log: Path,
    adapter: AdapterConfig,
    lora: LoraConfig,
    training: TrainingConfig,
    seed: int,
) -> None:
    """Train, or go on where an earlier attempt at the very same run stopped.

    ``programs`` is the folder of the two training scripts. Checkpoints lie in a folder named after the digest
    of everything that the run depends on, so that a changed setting never resumes old weights. The finished
    model and its log are copied to ``model`` and ``log``. Raises :class:`UserError` when training fails.
    """
    settings = {
        "encoder": str(encoder),
        "decoder": str(decoder),
        "adapter": adapter.model_dump(),
        "lora": lora.model_dump(),
        "training": training.model_dump(),
        "weights": list(weights),
        "fingerprint": fingerprint,
        "seed": seed,
        "inputs": [
            file_digest(path) for path in [*train, *valid, *_weights_of(encoder), *_weights_of(decoder)]
        ],
    }
    folder = checkpoints / text_digest(json.dumps(settings, sort_keys=True), size=8)
    if (folder / FINISHED).exists():  # a forced rerun trains again
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "settings.json", json.dumps(settings, indent=2, sort_keys=True))
    resume = any((path / "trainer_state.json").exists() for path in folder.glob("checkpoint-*"))
    filled = [path for path in valid if _rows(path)]
    arguments = _arguments(adapter, lora, training, seed, bool(filled))
    arguments |= {
        "esm_path": encoder,
        "llama_path": decoder,
        "output_dir": folder,
        "train_files": list(train),
        "sampling_weights": list(weights),
        "eval_files": filled,
        "store": store,
        "store_fingerprint": fingerprint,
        "resume_from_checkpoint": True if resume else None,
    }
    _run(programs / PROGRAMS[training.loop], training.processes, _as_flags(arguments))
    _copy_model(folder, model)
    shutil.copyfile(folder / "log.jsonl", log)
    write_text(folder / FINISHED, "")


def _arguments(
    adapter: AdapterConfig, lora: LoraConfig, training: TrainingConfig, seed: int, evaluate: bool
) -> dict[str, Any]:
    return {
        **adapter.model_dump(),
        "lora_rank": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": lora.target_modules,
        "torch_dtype": training.precision,
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
        "gradient_checkpointing": training.gradient_checkpointing or None,
        "dataloader_num_workers": training.workers,
        "save_strategy": "steps",
        "save_steps": training.checkpoint_steps,
        "save_total_limit": training.keep_checkpoints,
        "eval_strategy": "epoch" if evaluate else "no",
        "logging_steps": training.log_steps,
        "max_text_tokens": training.max_text_tokens,
        "seed": seed,
    }


def _as_flags(arguments: dict[str, Any]) -> list[str]:
    flags = []
    for name, value in arguments.items():
        if value is None or value == []:
            continue
        flags += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return flags


def _run(program: Path, processes: int, flags: Sequence[str]) -> None:
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [*launcher, str(program), *flags]
    print(" ".join(command), flush=True)
    # The child inherits this process's real descriptors, not a redirected sys.stdout: pass the log on.
    child = subprocess.Popen(command, stdout=sys.stdout, stderr=sys.stderr)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda got, _: child.send_signal(got))
    if status := child.wait():
        raise UserError(f"training ended with status {status}; what it said is in the stage's log")


def _copy_model(folder: Path, model: Path) -> None:
    if model.exists():
        shutil.rmtree(model)
    unwanted = shutil.ignore_patterns(
        "checkpoint-*", "runs", "log.jsonl", "settings.json", FINISHED, "training_args.bin"
    )
    shutil.copytree(folder, model, ignore=unwanted)


def _weights_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return pq.read_metadata(path).num_rows
