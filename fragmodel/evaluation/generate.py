"""Answers of a trained model to every record, in batches of like length, greedy and repeatable."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from fragmodel.batching.answering import PLACE_DRAWS, answer_prompts, read_answer
from fragmodel.batching.dataset import FragRefDataset
from fragmodel.embeddings.encoders import open_encoder, weights_digest
from fragmodel.embeddings.store import EmbeddingStore
from fragmodel.errors import UserError
from fragmodel.evidence.block import resolved
from fragmodel.files import file_digest
from fragmodel.model.answer_forms import Constraints, read_forms
from fragmodel.model.chat import ChatEncoder
from fragmodel.model.loading import folder_digest, load_parts, with_its_encoder
from fragmodel.tables import PREDICTIONS, Record, write_table
from fragmodel.versions import ANSWERS, versions_of
from fragmodel.vocabulary import MODEL, WITHOUT_EVIDENCE


def generate(
    model_dir: Path,
    records: Sequence[Path],
    output: Path,
    *,
    store: Path | None,
    fingerprint: str | None,
    encoder: Path | None = None,
    constrained: bool = True,
    classes: Literal["closed", "open"] = "closed",
    without_evidence: bool = False,
    candidates: int = 1,
    place_draws: int = PLACE_DRAWS,
    max_new_tokens: int = 128,
    batch_size: int = 32,
    shard: int = 0,
    shards: int = 1,
    at_most: int | None = None,
    device: str = "auto",
) -> int:
    """Write a prediction for each record of ``records`` (Parquet, any number of tasks); returns their number.

    Greedy decoding, among valid answers where it is ``constrained``: places of the window, classes of the training
    records (``classes`` open: any, as free text). ``without_evidence``: the records have none, and are asked as if no
    relative were known; the answers are then those of another system. With more than one of ``candidates`` what is
    constrained has so many ranked answers beside its own, which they do not change. Where no answer about places is
    likely, that is given which overlaps most with ``place_draws`` drawn ones; 0: the most probable one. Rows come in
    the order of the records. Without a store the encoder runs in the loop. Shard ``shard`` of ``shards`` answers every
    ``shards``-th batch: since whole batches are dealt out, an answer does not depend on the number of shards, and the
    shards together hold every record once. ``at_most`` so many records of each data set and task are answered, spread
    evenly over its file. Raises :class:`UserError` when the model was trained on another encoder than ``encoder``,
    where that is given.
    """
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    parts = load_parts(model_dir, with_encoder=store is None or encoder is not None)
    if encoder is not None:
        _check_encoder(model_dir, parts.encoder, encoder)
    tokenizer = parts.tokenizer
    if store is None and (layer := parts.model.config.encoder_layer) is not None:
        raise UserError(
            f"{model_dir}: was trained on the states of encoder layer {layer}, an encoder in the loop gives the last; "
            "set embeddings.mode: store"
        )
    model = (parts.model if store else with_its_encoder(parts)).to(device)
    chat = ChatEncoder(tokenizer, model.config.perceiver_latent_size)
    states = EmbeddingStore(store, fingerprint) if store else None
    dataset = FragRefDataset.from_files(
        records, chat, store=states, prompts_only=True, without_evidence=without_evidence
    )
    bounds = (
        Constraints(tokenizer, read_forms(model_dir), closed=classes == "closed") if constrained else None
    )
    rows: dict[int, dict[str, Any]] = {}
    order = sorted(
        _spread(dataset, at_most), key=lambda i: len(dataset.records["sequence"][i].as_py()), reverse=True
    )
    batches = [order[first : first + batch_size] for first in range(0, len(order), batch_size)][shard::shards]
    end = tokenizer.eos_token_id
    for indices in tqdm(batches, desc="generating", unit="batch"):
        started = time.perf_counter()
        items = dataset.__getitems__(indices)
        records_asked = [dataset.record(index) for index in indices]
        kinds = [
            (record.task_type, len(record.sequence), (record.data_name,), _question(record))
            for record in records_asked
        ]
        answers = answer_prompts(
            model,
            items,
            end=end,
            max_new_tokens=max_new_tokens,
            constraints=[bounds.of(*kind) if bounds else None for kind in kinds],
            searched=[bounds.searched(*kind) if bounds else None for kind in kinds],
            candidates=candidates,
            place_draws=place_draws,
        )
        seconds = (time.perf_counter() - started) / len(indices)
        for index, record, answer in zip(indices, records_asked, answers, strict=True):
            rows[index] = {
                "system": WITHOUT_EVIDENCE if without_evidence else MODEL,
                "record_id": record.record_id,
                "data_name": record.data_name,
                "task_type": record.task_type,
                "prompt": _question(record),
                "reference": resolved(record.answer, _question(record)),
                "stopped": answer.stopped,
                "tokens": len(answer.tokens),
                **read_answer(record.task_type, answer, chat, _question(record)),
                "residue_scores": None,
                "seconds": seconds,
            }
    metadata = {
        "model_sha256": folder_digest(model_dir),
        "records_sha256": [file_digest(path) for path in records],
        "max_new_tokens": max_new_tokens,
        "constrained": constrained,
        "classes": classes,
        "without_evidence": without_evidence,
        "candidates": candidates,
        "place_draws": place_draws,
        "batch_size": batch_size,
        "shard": shard,
        "shards": shards,
        "at_most": at_most,
        "environment": versions_of(ANSWERS),
    }
    return write_table(output, PREDICTIONS, (rows[index] for index in sorted(rows)), metadata)


def _question(record: Record) -> str:
    return record.conversation[-1]["content"]


def _spread(dataset: FragRefDataset, at_most: int | None) -> list[int]:
    """The numbers of the records to answer, in order."""
    if at_most is None:
        return list(range(len(dataset)))
    places: dict[tuple[str, str], list[int]] = {}
    columns = (dataset.records[name].to_pylist() for name in ("data_name", "task_type"))
    for number, key in enumerate(zip(*columns, strict=True)):
        places.setdefault(key, []).append(number)
    kept = [
        numbers[place]
        for numbers in places.values()
        for place in np.linspace(0, len(numbers) - 1, min(at_most, len(numbers))).astype(int)
    ]
    return sorted(kept)


def _check_encoder(model_dir: Path, own: PreTrainedModel | None, encoder: Path) -> None:
    if own is None or weights_digest(own) != weights_digest(open_encoder(encoder)):
        raise UserError(
            f"{model_dir}: was trained on the states of another encoder than {encoder}; set models.encoder to its own"
        )
