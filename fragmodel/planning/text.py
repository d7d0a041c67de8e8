"""The plan in lines for a terminal."""

import json
from collections.abc import Iterator
from typing import Any

from fragmodel.config.run import RunConfig
from fragmodel.planning.memory import USABLE
from fragmodel.planning.plan import Plan
from fragmodel.planning.settings import GIB, Setting, WayOut


def as_text(plan: Plan, run: RunConfig) -> Iterator[str]:
    """The plan in lines of at most 100 columns."""
    data, weights = plan.data, plan.weights
    yield "Models"
    for part in ("encoder", "decoder"):
        model = getattr(plan, part)
        yield (
            f"  {part}  {model['source']}: {_count(model['weights'])} weights, {model['layers']} layers, "
            f"width {model['width']:,}"
        )
    yield (
        f"  trained  {_count(weights['trained'])} weights: LoRA {_count(weights['lora'])}, modality adapter "
        f"{_count(weights['modality_adapter'])}, fragment adapter {_count(weights['fragment_adapter'])}"
    )
    mean = data["residues"] / max(data["windows"], 1)
    yield ""
    yield f"Data ({'counted from the raw files' if data['counted'] else 'as you say'})"
    yield f"  {data['windows']:,} windows, {mean:,.0f} residues on average, {data['longest']:,} the longest"
    yield "  records: " + ", ".join(f"{number:,} {split}" for split, number in data["records"].items())
    training = run.training
    yield ""
    yield (
        f"GPU memory of a training step in GiB: {plan.at_once} of the longest records at once "
        f"({plan.longest_tokens:,} tokens each), {training.precision}"
    )
    configured = "with" if training.gradient_checkpointing else "without"
    yield f"  {'gradient checkpointing:':<26}{'without':>10}{'with':>10}     ({configured}: as configured)"
    for part in plan.memory["with"]:
        values = [plan.memory[name][part] for name in ("without", "with")]
        if any(values):
            yield f"  {_PARTS[part]:<26}" + "".join(f"{value / GIB:>10.3g}" for value in values)
    yield ""
    yield (
        f"Cheapest setting for each card, {USABLE:.0%} of it used; for snakemake --config, and as flags of training"
    )
    for card, setting in plan.cards.items():
        yield from _card(card, setting)
    host = plan.host
    yield (
        f"Host memory: {size_text(host['process'] * host['processes'])} on a node while models are read "
        f"({host['processes']} × {size_text(host['process'])}); without a GPU the step's sum too"
    )
    yield ""
    yield "Disk"
    if run.embeddings.mode == "store":
        yield f"  {size_text(plan.store_bytes):>8}  embedding store ({run.embeddings.dtype}), {run.embeddings.store}"
    if plan.text_bytes:
        yield f"  {size_text(plan.text_bytes):>8}  text vectors, at the most, {run.alignment.store}"
    yield f"  {size_text(plan.checkpoint_bytes):>8}  {training.keep_checkpoints} checkpoints and the model"
    yield ""
    yield f"Time at {plan.tflops:g} TFLOP/s sustained on each card (`--tflops`), in GPU hours"
    for stage, hours in plan.gpu_hours.items():
        if hours:
            across = plan.gpus if stage == "training" else 1
            more = f", {hours_text(hours / across)} hours on {across} GPUs" if across > 1 else ""
            steps = f" ({plan.steps:,} steps)" if stage == "training" else ""
            yield f"  {hours_text(hours):>8}  {stage}{steps}{more}"
    yield ""
    yield "What this rests on: docs/plan.md"


_PARTS = {
    "frozen": "frozen weights",
    "trained": "trained weights",
    "gradients": "gradients",
    "buckets": "buckets of DDP",
    "optimizer": "optimizer",
    "activations": "activations, at the most",
    "total": "sum",
}


def _card(card: int, setting: Setting | WayOut) -> Iterator[str]:
    """One card: what it takes and, where something must change, the two ways to say so."""
    name = f"  {f'{card} GB':<7}"
    if isinstance(setting, WayOut):
        shared = f"training.parallel: fsdp on {setting.gpus} such GPUs, or " if setting.gpus else ""
        yield f"{name}does not fit, {setting.least / GIB:.3g} GiB at the least"
        yield f"{'':<9}{shared}a smaller decoder, or shorter windows (ingest.max_sequence_length)"
        return
    checkpointing = "checkpointing on" if setting.checkpointing else "checkpointing can be off"
    numbers = f"{setting.memory / GIB:.3g} GiB for a record, up to {setting.tokens:,} tokens at once"
    yield f"{name}{numbers}; {checkpointing}{'' if setting.config else ', as configured'}"
    if setting.config:
        sections = (f"'{section}={_flow(values)}'" for section, values in setting.config.items())
        yield f"{'':<9}{' '.join(sections)}"
        yield f"{'':<9}{setting.flags}"


def _flow(values: dict[str, Any]) -> str:
    """A section in one line of YAML."""
    return (
        "{"
        + ", ".join(
            f"{key}: {value if isinstance(value, str) else json.dumps(value)}"
            for key, value in values.items()
        )
        + "}"
    )


def _count(number: int) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def size_text(count: float) -> str:
    """Bytes in decimal units."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def hours_text(hours: float) -> str:
    """Hours with as many digits as they are worth."""
    return "< 0.01" if hours < 0.01 else f"{hours:,.2f}" if hours < 10 else f"{hours:,.0f}"
