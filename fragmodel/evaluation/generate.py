"""Answers of a trained model to every record, in batches of like length, greedy and repeatable."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from fragmodel.batching.collator import FragDataCollator
from fragmodel.batching.dataset import FragRefDataset
from fragmodel.embeddings.store import EmbeddingStore
from fragmodel.files import file_digest
from fragmodel.model.chat import ChatEncoder
from fragmodel.model.trained import WEIGHTS_FILE, load_trained
from fragmodel.tables import PREDICTIONS, write_table


def generate(
    model_dir: Path,
    records: Sequence[Path],
    output: Path,
    *,
    store: Path | None,
    fingerprint: str | None,
    max_new_tokens: int = 128,
    batch_size: int = 32,
    device: str = "auto",
) -> int:
    """Write a prediction for each record of ``records`` (Parquet, any number of tasks); returns their number.

    Greedy decoding. Rows come in the order of the records. Without a store the encoder runs in the loop.
    """
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    model, tokenizer = load_trained(model_dir, include_encoder=store is None)
    model.to(device)
    chat = ChatEncoder(tokenizer, model.base_model.model.config.perceiver_latent_size)
    states = EmbeddingStore(store, fingerprint) if store else None
    dataset = FragRefDataset.from_files(records, chat, store=states, prompts_only=True)
    rows: dict[int, dict[str, Any]] = {}
    order = sorted(
        range(len(dataset)), key=lambda i: len(dataset.records["sequence"][i].as_py()), reverse=True
    )
    collator = _Batch(FragDataCollator(tokenizer.pad_token_id, padding_side="left"))
    loader = DataLoader(Subset(dataset, order), batch_size=batch_size, collate_fn=collator)
    position = 0
    for ids, batch in tqdm(loader, desc="generating", unit="batch"):
        started = time.perf_counter()
        answers = _answer(model, batch, device, max_new_tokens)
        seconds = (time.perf_counter() - started) / len(ids)
        for record_id, answer in zip(ids, answers, strict=True):
            index = order[position]
            stopped = tokenizer.eos_token_id in answer
            answer = answer[: answer.index(tokenizer.eos_token_id)] if stopped else answer
            record = dataset.records.slice(index, 1).to_pylist()[0]
            rows[index] = {
                "system": "model",
                "record_id": record_id,
                "data_name": record["data_name"],
                "task_type": record["task_type"],
                "prompt": record["conversation"][-1]["content"],
                "text": chat.decode(answer),
                "stopped": stopped,
                "tokens": len(answer),
                "seconds": seconds,
            }
            position += 1
    metadata = {
        "model_sha256": file_digest(model_dir / WEIGHTS_FILE),
        "records_sha256": [file_digest(path) for path in records],
        "max_new_tokens": max_new_tokens,
        "batch_size": batch_size,
    }
    return write_table(output, PREDICTIONS, (rows[index] for index in sorted(rows)), metadata)


class _Batch:
    """Record ids beside the collated tensors."""

    def __init__(self, collate: Callable[[Sequence[dict[str, Any]]], dict[str, torch.Tensor]]) -> None:
        self.collate = collate

    def __call__(self, items: Sequence[dict[str, Any]]) -> tuple[list[str], dict[str, torch.Tensor]]:
        return [item["record_id"] for item in items], self.collate(items)


@torch.inference_mode()
def _answer(
    model: torch.nn.Module, batch: dict[str, torch.Tensor], device: str, max_new_tokens: int
) -> Iterator[list[int]]:
    batch = {name: value.to(device) for name, value in batch.items()}
    generated = model.generate(**batch, max_new_tokens=max_new_tokens, do_sample=False)
    return generated[:, batch["input_ids"].shape[1] :].tolist()
