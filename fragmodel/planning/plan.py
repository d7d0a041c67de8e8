"""The plan of a run: memory, the cheapest setting for usual cards, disk and time."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from transformers import PretrainedConfig

from fragmodel.config.run import RunConfig
from fragmodel.embeddings.shards import bytes_per_row
from fragmodel.planning.data import DataSize, Lengths
from fragmodel.planning.memory import Planner, StepSettings
from fragmodel.planning.optimizers import states_of
from fragmodel.planning.settings import Search, Setting, WayOut, parts_of

CARDS = (16, 24, 48, 80)  # GiB
PROGRAM = 3 * 10**9  # bytes of host memory that Python, torch and a CUDA context take
BANDWIDTH = 1.5e12  # bytes that a card reads in a second while it generates: what an A100 of 40 GB states


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that is printed. Sizes in bytes, times in hours of one GPU."""

    encoder: dict[str, Any]
    decoder: dict[str, Any]
    weights: dict[str, int]  # numbers of them by part, and bytes
    data: dict[str, Any]
    longest_tokens: int
    at_once: int  # of the longest records, in what follows
    memory: dict[str, dict[str, int]]  # with and without checkpointing, by part
    cards: dict[int, Setting | WayOut]
    host: dict[str, int]  # bytes of host memory of a process on a GPU, and processes on a node
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
    planner = Planner(StepSettings.of(run), encoder, decoder)
    longest, mean = Lengths.longest(run, data), Lengths.mean(data)
    training = run.training
    at_once = training.batch_size
    if training.micro_batch_tokens:
        at_once = min(at_once, max(training.micro_batch_tokens // longest.tokens, 1))
    search = Search(run, planner, longest)
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
        at_once=at_once,
        memory={
            name: parts_of(planner.step(longest, at_once, checkpointing=on))
            for name, on in (("without", False), ("with", True))
        },
        cards={card: search.cheapest(card) for card in CARDS},
        host={"process": host_bytes(planner), "processes": training.processes_per_node},
        store_bytes=store_bytes(run, data, encoder.hidden_size),
        # Weights and what the optimizer keeps; the final model holds the weights once more.
        checkpoint_bytes=weights.trained_bytes * (training.keep_checkpoints + 2)
        + weights.optimizer_bytes * training.keep_checkpoints,
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


def host_bytes(planner: Planner) -> int:
    """Host memory of one process on a GPU: the program, and the model while it is read; later what is paged out."""
    weights = planner.weights
    paged = weights.optimizer_bytes if states_of(planner.settings.optimizer).paged else 0
    return PROGRAM + weights.frozen_bytes + weights.trained_bytes + paged


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
