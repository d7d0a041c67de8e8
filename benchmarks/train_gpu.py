"""Training on one GPU: Llama-3.1-8B's shapes on stored states of ESM-2 3B's width, LoRA of rank 32, bfloat16.

Weights are seeded. The step is that of both training programs. Useful tokens a second stand beside what the device's
own rate of a matrix product would allow for the arithmetic that the step does (counted by PyTorch); the ratio is the
model FLOPs utilisation. Then, with and without gradient checkpointing, the largest micro-batch on cards of 24, 48 and
80 GB, to which this process is held by its memory limit, beside the default of 16,384 tokens.

Needs a card of 40 GB, since the weights are made in float32. Without a GPU only `--quick` runs, on the CPU with tiny
shapes: it shows that the benchmark works, and nothing about speed.
"""

import dataclasses
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import matmul_rate, row
from benchmarks.train import CPU_SHAPE, packed_step
from benchmarks.training_shapes import Shape, build, items

LLAMA_8B = Shape(
    residues=CPU_SHAPE * 8,
    layers=32,
    vocabulary=128_256,
    dim=4096,
    feed_forward=14_336,
    heads=32,
    key_heads=8,
    tied=False,
    encoder_dim=2560,
    rank=32,
)
TINY = Shape(
    residues=(30, 50),
    layers=2,
    vocabulary=512,
    dim=64,
    feed_forward=128,
    heads=4,
    key_heads=2,
    encoder_dim=40,
)
MICRO_BATCH_TOKENS = 16_384  # the default of both training programs on a GPU
CARDS = (24, 48, 80)  # GB
SIZES = tuple(1024 * 2**power for power in range(7))


def run(quick: bool) -> list[dict]:
    """Rows of useful tokens a second, peak memory and, on a GPU, the largest micro-batch by card."""
    on_gpu = torch.cuda.is_available()
    if not on_gpu and not quick:
        print("train_gpu: this machine has no CUDA device; --quick shows that it works", file=sys.stderr)
        return []
    shape, device = (LLAMA_8B, "cuda") if on_gpu else (TINY, "cpu")
    with torch.device(device):
        model = build(shape, include_encoder=False, dtype=torch.bfloat16)
    step, records = packed_step(model, "bfloat16"), items(shape, stored=True)
    once = partial(step, records, MICRO_BATCH_TOKENS)
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: _addmm_flop}) as counter:
        once()
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    seconds = _best(once, times=2 if quick else 5)
    limit = matmul_rate(shape.dim, "bfloat16", device=device) / (counter.get_total_flops() / shape.tokens)
    name = f"train {torch.cuda.get_device_name()}" if on_gpu else "train tiny shapes on the CPU"
    rows = [row(f"{name}, beside the matmul limit", shape.tokens / seconds, limit, "tokens/s")]
    if not on_gpu:
        return rows
    peak, total = torch.cuda.max_memory_allocated(), torch.cuda.get_device_properties(0).total_memory
    rows.append(row(f"{name}, peak beside the card's memory", peak / 2**20, total / 2**20, "MiB", less=True))
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable()
        for card in CARDS:
            if card * 1e9 <= total:
                found = _largest(step, shape, card * 1e9 / total)
                about = f"{name}, largest micro-batch on {card} GB" + ", checkpointing" * checkpointing
                rows.append(row(about, found, MICRO_BATCH_TOKENS, "tokens"))
    return rows


def _largest(step: Callable[[list[dict], int], float], shape: Shape, fraction: float) -> int:
    """Most tokens, by steps of two, that go through the model at once in that part of the card's memory; 0: none."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(fraction)
    largest = 0
    try:
        for size in SIZES:
            trial = dataclasses.replace(shape, residues=(380,) * (size // Shape(residues=(380,)).tokens))
            step(items(trial, stored=True), sys.maxsize)
            largest = trial.tokens
    except torch.OutOfMemoryError:
        pass
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    return largest


def _addmm_flop(_: Any, left: torch.Size, right: torch.Size, **__: Any) -> int:
    """Of a product that is added in place, from the shapes: PyTorch counts the others only."""
    return 2 * left[0] * left[1] * right[1]


def _best(run_once: Callable[[], Any], times: int) -> float:
    """Seconds of the fastest of several calls, each of which ends by reading its loss from the device."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        run_once()
        found.append(time.perf_counter() - started)
    return min(found)
