"""Padding of records into batches."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from fragmodel import FragDataCollator
from fragmodel.embeddings import alphabet

PAD = 9


def item(length: int, residues: int, position: list[int] | None, seed: int = 0, dim: int = 4) -> dict:
    """What the data set gives, with recognisable ids and states."""
    ids = list(range(100, 100 + length))
    return {
        "record_id": f"r{seed}",
        "sequence": "MKTAYIAKQRQISFVK"[:residues],
        "position_ref": position,
        "input_ids": ids,
        "labels": [-100] * (length // 2) + ids[length // 2 :],
        "protein_hidden_states": torch.randn(
            residues + 2, dim, generator=torch.Generator().manual_seed(seed)
        ),
    }


@given(
    sizes=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 16)), min_size=1, max_size=5),
    side=st.sampled_from(["left", "right"]),
)
def test_what_is_not_masked_is_the_record(sizes: list[tuple[int, int]], side: str) -> None:
    items = [item(length, residues, None, seed) for seed, (length, residues) in enumerate(sizes)]
    batch = FragDataCollator(PAD, side)(items)
    longest = max(length for length, _ in sizes)
    for number, record in enumerate(items):
        real = batch["attention_mask"][number].bool()
        assert batch["input_ids"][number][real].tolist() == record["input_ids"]
        assert batch["labels"][number][real].tolist() == record["labels"]
        assert (batch["input_ids"][number][~real] == PAD).all()
        assert (batch["labels"][number][~real] == -100).all()
        padding = longest - len(record["input_ids"])
        assert (real[:padding] if side == "left" else real[len(real) - padding :]).sum() == 0
        rows = batch["protein_attention_mask"][number].bool()
        assert torch.equal(batch["protein_hidden_states"][number][rows], record["protein_hidden_states"])
        assert rows[: len(record["sequence"]) + 2].all()  # states are always padded on the right


def test_records_with_and_without_a_fragment_mix() -> None:
    batch = FragDataCollator(PAD)([item(3, 5, [1, 4]), item(4, 6, None), item(2, 9, [0, 9])])
    assert batch["position_ref"].tolist() == [[1, 4], [-1, -1], [0, 9]]


def test_a_fragment_at_the_first_residue_is_one() -> None:
    assert FragDataCollator(PAD)([item(3, 5, [0, 1])])["position_ref"].tolist() == [[0, 1]]


def test_without_states_the_residues_are_encoded() -> None:
    items = [{k: v for k, v in item(3, n, None).items() if k != "protein_hidden_states"} for n in (4, 7)]
    batch = FragDataCollator(PAD)(items)
    assert "protein_hidden_states" not in batch
    assert batch["protein_input_ids"].tolist()[0] == [
        alphabet.BOS,
        *alphabet.encode_residues("MKTA").tolist(),
        alphabet.EOS,
        *[alphabet.PAD] * 3,
    ]
    assert batch["protein_attention_mask"].tolist() == [[1] * 6 + [0] * 3, [1] * 9]


def test_prompts_have_no_labels() -> None:
    items = [{k: v for k, v in item(3, 4, None).items() if k != "labels"}]
    assert "labels" not in FragDataCollator(PAD, "left")(items)
