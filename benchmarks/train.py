"""Training on this machine: our step beside a plain one, on the same records with the same weights.

The plain step is what one writes first: the encoder runs in the loop, the batch is padded on the right, the
Perceiver reads one record after the other, and logits are computed over the whole vocabulary at every position.
All sides take all records of the batch to one optimiser step. Every measurement is a process of its own, which gives
its peak memory. The fair peer is the `layers` side: it too reads stored states and computes logits at the labels alone,
and pads a batch for the layers of transformers and peft. On records of one length it is what batches grouped by
length come closest to, which decided for packing.

Where the processor multiplies bfloat16 numbers itself, our step is measured with the frozen weights in bfloat16 as well
(`training.precision: bfloat16`); the plain step stays in float32.
"""

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import peak_memory, row
from benchmarks.training_shapes import Shape

MICRO_BATCH_TOKENS = 1024  # the default of both training programs on a CPU
CPU_SHAPE = (120, 260, 380, 700)


def run(quick: bool) -> list[dict]:
    """Rows of useful tokens a second and peak memory.

    The decoder has 30 layers, or 12 with the large vocabulary, whose plain step would otherwise not fit in 24 GB; 4 in
    what varies batch and length, and where `quick`.
    """
    rows = []
    for layers, vocabulary in ((30, 49_152), (12, 128_256)):
        shape = Shape(CPU_SHAPE, layers=4 if quick else layers, vocabulary=vocabulary)
        name = f"train {shape.layers} layers, vocabulary {vocabulary:,}"
        rows += _compare(name, shape)
        rows += _compare(f"{name}, beside the layers of transformers and peft", shape, peer_side="layers")
    for size in (1, 4) if quick else (1, 2, 4, 8, 16):
        rows += _compare(f"train 4 layers, batch of {size} × 260 residues", Shape((260,) * size, layers=4))
    for residues in (100, 1000) if quick else (100, 250, 500, 1000):
        rows += _compare(
            f"train 4 layers, batch of 4 × {residues} residues", Shape((residues,) * 4, layers=4)
        )
        rows += _compare(
            f"train 4 layers, 4 × {residues} residues, packed beside grouped by length",
            Shape((residues,) * 4, layers=4),
            peer_side="layers",
        )
    return rows


def _compare(name: str, shape: Shape, steps: int = 2, peer_side: str = "plain") -> list[dict]:
    from fragmodel.model.precision import cpu_has_bfloat16

    peer, rows = _measure(peer_side, shape, steps), []
    sides = {"ours": name}
    if peer_side == "plain" and cpu_has_bfloat16():
        sides["ours-bfloat16"] = f"{name}, bfloat16"
    for side, about in sides.items():
        ours = _measure(side, shape, steps)
        assert abs(ours["loss"] - peer["loss"]) < 0.05 * peer["loss"], (ours, peer)
        rows += [
            row(about, ours["rate"], peer["rate"], "tokens/s"),
            row(f"{about}, peak memory", ours["peak"], peer["peak"], "MiB", less=True),
        ]
    return rows


def _measure(side: str, shape: Shape, steps: int) -> dict:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.train", side, str(steps)]
    done = subprocess.run(
        [*command, json.dumps(dataclasses.asdict(shape))],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    return json.loads(done.stdout.splitlines()[-1])


def _worker(side: str, steps: int, shape: Shape) -> dict:
    """Best of ``steps`` steps after a first one that is not timed."""
    sides = {
        "ours": ours,
        "ours-bfloat16": partial(ours, precision="bfloat16"),
        "layers": layers,
        "plain": plain,
    }
    step = sides[side](shape)
    losses, seconds = [step()], []
    for _ in range(steps):
        started = time.perf_counter()
        losses.append(step())
        seconds.append(time.perf_counter() - started)
    return {
        "rate": shape.tokens / min(seconds),
        "peak": peak_memory(),
        "loss": losses[0],
    }


def ours(shape: Shape, precision: str = "float32") -> Callable[[], float]:
    """A step as both training programs make it, from stored encoder states; ``precision`` is the frozen weights'."""
    import torch

    from benchmarks.training_shapes import build, items

    model = build(shape, include_encoder=False, dtype=getattr(torch, precision))
    return partial(packed_step(model, precision), items(shape, stored=True), MICRO_BATCH_TOKENS)


def packed_step(model: Any, precision: str) -> Callable[[list[dict], int], float]:
    """A training step on records, in parts of so many tokens, on the device where the model is; gives the loss."""
    import torch

    from fragmodel.batching.packing import PackedCollator, micro_batches
    from fragmodel.model.token_loss import IGNORED

    collate = PackedCollator()
    optimizer = torch.optim.AdamW(p for p in model.parameters() if p.requires_grad)

    def step(records: list[dict], micro_batch_tokens: int) -> float:
        model.train()
        batch = {name: values.to(model.device) for name, values in collate(records).items()}
        total, targets = 0.0, (batch["labels"] != IGNORED).sum()
        for part in micro_batches(batch, micro_batch_tokens):
            with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                loss = model(**part, num_items_in_batch=targets).loss
            loss.backward()
            total += loss.item()
        optimizer.step()
        optimizer.zero_grad()
        return total

    return step


def layers(shape: Shape) -> Callable[[], float]:
    """A padded step through the layers of transformers and peft, from stored states, with logits at the labels."""
    import torch

    from benchmarks.training_shapes import build, items
    from fragmodel.batching.collator import FragDataCollator

    model, records = build(shape, include_encoder=False), items(shape, stored=True)
    collate = FragDataCollator(pad_token_id=2)
    optimizer = torch.optim.AdamW(p for p in model.parameters() if p.requires_grad)

    def step() -> float:
        model.train()
        batch = collate(records)
        batch["protein_hidden_states"] = batch["protein_hidden_states"].float()
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def plain(shape: Shape) -> Callable[[], float]:
    """The step that one writes first."""
    import torch

    from benchmarks.training_shapes import build, items
    from fragmodel.batching.collator import FragDataCollator

    model, records = build(shape, include_encoder=True), items(shape, stored=False)
    joined = model.base_model.model
    collate = FragDataCollator(pad_token_id=2)
    optimizer = torch.optim.AdamW(p for p in model.parameters() if p.requires_grad)

    def step() -> float:
        model.train()
        batch = collate(records)
        ids, proteins_mask = batch["input_ids"], batch["protein_attention_mask"]
        with torch.no_grad():
            states = joined.esm_encoder(batch["protein_input_ids"], proteins_mask).last_hidden_state
        proteins = joined.modality_adapter(states)
        inputs = []
        for number, tokens in enumerate(joined.get_input_embeddings()(ids)):
            residues = proteins[number][proteins_mask[number].bool()]
            fragment = joined.fragment_adapter(residues, batch["position_ref"][number][None] + 1)[0]
            tokens = tokens.masked_scatter((ids[number] == shape.control["protein"])[:, None], residues)
            inputs.append(
                tokens.masked_scatter((ids[number] == shape.control["fragment"])[:, None], fragment)
            )
        loss = joined.llama_decoder(
            inputs_embeds=torch.stack(inputs), attention_mask=batch["attention_mask"], labels=batch["labels"]
        ).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


if __name__ == "__main__":
    values = json.loads(sys.argv[3])
    print(
        json.dumps(
            _worker(sys.argv[1], int(sys.argv[2]), Shape(**values | {"residues": tuple(values["residues"])}))
        )
    )
