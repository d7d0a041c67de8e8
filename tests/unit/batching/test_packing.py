"""Packing of records into batches, and batches in parts."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st
from test_collator import item

from fragmodel.batching.packing import PackedCollator, micro_batches
from fragmodel.embeddings import alphabet

SIZES = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 16)), min_size=1, max_size=6)


@given(sizes=SIZES)
def test_records_lie_one_after_the_other(sizes: list[tuple[int, int]]) -> None:
    items = [item(length, residues, [0, 1], seed) for seed, (length, residues) in enumerate(sizes)]
    batch = PackedCollator()(items)
    for name in ("input_ids", "labels"):
        parts = batch[name].split(batch["lengths"].tolist())
        assert [part.tolist() for part in parts] == [record[name] for record in items]
    rows = batch["protein_hidden_states"].split(batch["protein_lengths"].tolist())
    for part, record in zip(rows, items, strict=True):
        assert torch.equal(part, record["protein_hidden_states"])
    assert batch["attention_mask"].all()


def test_without_states_the_residues_are_encoded() -> None:
    items = [{k: v for k, v in item(3, n, None).items() if k != "protein_hidden_states"} for n in (4, 7)]
    batch = PackedCollator()(items)
    assert torch.equal(
        batch["protein_input_ids"], alphabet.encode_packed([record["sequence"] for record in items])
    )
    assert batch["protein_lengths"].tolist() == [6, 9]
    assert batch["position_ref"].tolist() == [[-1, -1], [-1, -1]]


@given(sizes=SIZES, budget=st.integers(1, 40))
def test_parts_hold_every_record_once_and_within_the_budget(
    sizes: list[tuple[int, int]], budget: int
) -> None:
    items = [item(length, residues, None, seed) for seed, (length, residues) in enumerate(sizes)]
    batch = PackedCollator()(items)
    parts = list(micro_batches(batch, budget))
    for name, values in batch.items():
        assert torch.equal(torch.cat([part[name] for part in parts]), values)
    for part in parts:
        assert part["input_ids"].numel() == part["lengths"].sum()
        assert len(part["protein_hidden_states"]) == part["protein_lengths"].sum()
        assert part["lengths"].sum() <= budget or len(part["lengths"]) == 1
    for one, other in itertools.pairwise(parts):
        assert one["lengths"].sum() + other["lengths"][0] > budget
