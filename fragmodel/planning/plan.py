"""The plan of a run: memory, batch sizes for usual cards, disk and time."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from transformers import PretrainedConfig

from fragmodel.config.run import RunConfig
from fragmodel.embeddings.shards import bytes_per_row
from fragmodel.planning.data import DataSize, Lengths
from fragmodel.planning.memory import Planner, StepMemory

CARDS = (16, 24, 48, 80)  # GiB
# Of a card's memory; the rest is the CUDA context, kernels' workspaces and what the allocator cannot use.
USABLE = 0.9
GIB = 2**30
BANDWIDTH = 1.5e12  # bytes that a card reads in a second while it generates: what an A100 of 40 GB states


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch size for one process and the accumulation that keeps the records of a step."""

    batch_size: int
    gradient_accumulation: int
    memory: int  # bytes


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that is printed. Sizes in bytes, times in hours of one GPU."""

    encoder: dict[str, Any]
    decoder: dict[str, Any]
    weights: dict[str, int]  # numbers of them by part, and bytes
    data: dict[str, Any]
    longest_tokens: int
    memory: dict[str, dict[str, int]]  # with and without checkpointing, by part
    least_memory: int  # for batches of one record, with checkpointing
    cards: dict[int, dict[str, Batch | None]]
    store_bytes: int
    checkpoint_bytes: int  # of all that are kept
    text_bytes: int  # vectors of the texts that alignment reads
    steps: int
    gpu_hours: dict[str, float]
    gpus: int
    tflops: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def make_plan(
    run: RunConfig, encoder: PretrainedConfig, decoder: PretrainedConfig, data: DataSize, *, tflops: float
) -> Plan:
    """Plan ``run`` on data of this size, for cards that sustain ``tflops`` (10¹² operations a second)."""
    planner = Planner(run, encoder, decoder)
    longest, mean = Lengths.longest(run, data), Lengths.mean(data)
    # Straight lines through batches of one and two records.
    lines = {
        name: [planner.step(longest, size, checkpointing=on) for size in (1, 2)]
        for name, on in (("without", False), ("with", True))
    }
    training = run.training
    steps_per_epoch = math.ceil(
        data.records["train"]
        / (training.batch_size * training.gradient_accumulation * training.all_processes)
    )
    steps = training.max_steps if training.max_steps > 0 else math.ceil(training.epochs * steps_per_epoch)
    weights = planner.weights
    return Plan(
        encoder=_describe(run.models.encoder, encoder, weights.encoder),
        decoder=_describe(run.models.decoder, decoder, weights.decoder),
        weights={**asdict(weights), "trained": weights.trained},
        data=asdict(data),
        longest_tokens=longest.tokens,
        memory={name: _parts(_at(line, training.batch_size)) for name, line in lines.items()},
        least_memory=lines["with"][0].total,
        cards={card: {name: _fit(line, card, run) for name, line in lines.items()} for card in CARDS},
        store_bytes=store_bytes(run, data, encoder.hidden_size),
        # Weights and AdamW's two moments; the final model holds the weights once more.
        checkpoint_bytes=weights.trained_bytes * (3 * training.keep_checkpoints + 2),
        text_bytes=text_bytes(run, data, decoder.hidden_size),
        steps=steps,
        gpu_hours=_hours(run, planner, data, mean, steps, steps_per_epoch, tflops),
        gpus=max(training.gpus * training.nodes, 1),
        tflops=tflops,
    )


def store_bytes(run: RunConfig, data: DataSize, dim: int) -> int:
    """Size of the embedding store: a row for each residue, BOS and EOS of each window; 0 without a store."""
    if run.embeddings.mode != "store":
        return 0
    return (data.residues + 2 * data.windows) * bytes_per_row(dim, run.embeddings.dtype)


def text_bytes(run: RunConfig, data: DataSize, dim: int) -> int:
    """Size of the text vectors of alignment, in float32, were all texts different; 0 without it."""
    width = {"mean": dim, "mean_std": 2 * dim, "segment_means": run.alignment.segments * dim}
    return 4 * width[run.alignment.pooling] * data.pairs if run.alignment.enabled else 0


def _at(line: list[StepMemory], batch: int) -> StepMemory:
    one, two = line
    parts = {name: value + (batch - 1) * (vars(two)[name] - value) for name, value in vars(one).items()}
    return StepMemory(**parts)


def _fit(line: list[StepMemory], card: int, run: RunConfig) -> Batch | None:
    """The largest power of two that fits, at most the records that one process has of a step."""
    records = run.training.batch_size * run.training.gradient_accumulation
    fitting = [
        size
        for size in (2**power for power in range(records.bit_length()))
        if _at(line, size).total <= USABLE * card * GIB
    ]
    if not fitting:
        return None
    size = fitting[-1]
    return Batch(
        batch_size=size,
        gradient_accumulation=math.ceil(records / size),
        memory=_at(line, size).total,
    )


def _parts(memory: StepMemory) -> dict[str, int]:
    return {**vars(memory), "total": memory.total}


def _describe(source: str, config: PretrainedConfig, weights: int) -> dict[str, Any]:
    return {
        "source": source,
        "layers": config.num_hidden_layers,
        "width": config.hidden_size,
        "weights": weights,
    }


def _hours(
    run: RunConfig,
    planner: Planner,
    data: DataSize,
    mean: Lengths,
    steps: int,
    steps_per_epoch: int,
    tflops: float,
) -> dict[str, float]:
    """Hours of one GPU for each stage, from operations (and, when tokens are generated, bytes read)."""
    training, weights = run.training, planner.weights
    in_loop = run.embeddings.mode == "in_loop"
    records = steps / max(steps_per_epoch, 1) * data.records["train"]
    validations = math.ceil(steps / max(steps_per_epoch, 1)) * data.records["valid"]
    step = planner.training_operations(mean, checkpointing=training.gradient_checkpointing)
    forward = 2 * weights.decoder * mean.tokens
    read = planner.encoder_operations(data.record_residues) if in_loop else 0
    embedded = (
        0 if in_loop else data.windows * planner.encoder_operations(data.residues / max(data.windows, 1))
    )
    answered = data.records[run.evaluation.split]
    prompts = answered * (2 * weights.decoder * (mean.tokens - mean.answer) + read)
    batches = math.ceil(answered / run.evaluation.batch_size)
    tokens_read = batches * min(mean.answer, run.evaluation.max_new_tokens) * weights.frozen_bytes
    per_hour = tflops * 1e12 * 3600
    return {
        "embedding": embedded / per_hour,
        "alignment": _alignment_operations(run, planner, data) / per_hour,
        "training": (records * (step + read) + validations * (forward + read)) / per_hour,
        "generation": prompts / per_hour + tokens_read / BANDWIDTH / 3600,
    }


def _alignment_operations(run: RunConfig, planner: Planner, data: DataSize) -> float:
    """Of both adapters on every row of every pair, and of the decoder on every text once; 0 without alignment."""
    stage, weights = run.alignment, planner.weights
    if not stage.enabled:
        return 0
    steps = stage.max_steps if stage.max_steps > 0 else stage.epochs * data.pairs / stage.batch_size
    # Forward, and backward for two; chunks run forward once more.
    passes = 3 + (stage.batch_size / stage.all_processes > stage.chunk_size)
    adapters = 2 * (weights.modality_adapter + weights.fragment_adapter) * data.pair_rows
    texts = data.pairs * 2 * weights.decoder * data.answer_tokens
    return steps * stage.batch_size * passes * adapters + texts


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
        f"GPU memory of a training step in GiB: {training.batch_size} of the longest records in a batch "
        f"({plan.longest_tokens:,} tokens each), {training.precision}"
    )
    configured = "with" if training.gradient_checkpointing else "without"
    yield f"  {'gradient checkpointing:':<26}{'without':>10}{'with':>10}     ({configured}: as configured)"
    for part in plan.memory["with"]:
        values = [plan.memory[name][part] for name in ("without", "with")]
        if any(values):
            yield f"  {_PARTS[part]:<26}" + "".join(f"{value / GIB:>10.3g}" for value in values)
    yield ""
    records = training.batch_size * training.gradient_accumulation
    yield f"Batch size × gradient accumulation for {records} records a step and process, {USABLE:.0%} of a card used"
    yield f"  {'gradient checkpointing:':<26}{'without':>10}{'with':>10}     suggested"
    for card, fits in plan.cards.items():
        shown = [f"{fit.batch_size} × {fit.gradient_accumulation}" if fit else "–" for fit in fits.values()]
        yield f"  {f'{card} GB':<26}{shown[0]:>10}{shown[1]:>10}     {_advice(fits, plan.least_memory)}"
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
            more = f", {_hours_text(hours / across)} hours on {across} GPUs" if across > 1 else ""
            steps = f" ({plan.steps:,} steps)" if stage == "training" else ""
            yield f"  {_hours_text(hours):>8}  {stage}{steps}{more}"
    yield ""
    yield "What this rests on: docs/plan.md"


_PARTS = {
    "frozen": "frozen weights",
    "trained": "trained weights",
    "gradients": "gradients",
    "buckets": "buckets of DDP",
    "optimizer": "optimizer (AdamW)",
    "activations": "activations, at the most",
    "total": "sum",
}


def _advice(fits: dict[str, Batch | None], least: int) -> str:
    """Without checkpointing where it fits, since that is the faster."""
    for name, setting in (("without", ""), ("with", ", gradient_checkpointing: true")):
        if fit := fits[name]:
            accumulation = fit.gradient_accumulation
            return f"batch_size: {fit.batch_size}, gradient_accumulation: {accumulation}{setting}"
    return f"does not fit: one record takes {least / GIB:.3g} GiB"


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


def _hours_text(hours: float) -> str:
    return "< 0.01" if hours < 0.01 else f"{hours:,.2f}" if hours < 10 else f"{hours:,.0f}"
