"""Relatives of known identity, found by MMseqs2 and by the fallback; clusters never cross a split."""

import json
import random
import shutil
from pathlib import Path

import pytest
from raw import SAMPLE, protein, run_files
from system_tools import require_tool

from fragmodel import tables
from fragmodel.data import splits
from fragmodel.data.relatives import search
from fragmodel.data.splits import assign_splits, audit_leakage, split_by_cluster

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def random_sequence(dice, length=200):
    return "".join(dice.choice(LETTERS) for _ in range(length))


def mutated(dice, sequence, identity):
    """Exactly that part of the residues stays, the others are replaced by another letter."""
    changed = set(dice.sample(range(len(sequence)), round(len(sequence) * (1 - identity))))
    return "".join(
        dice.choice(LETTERS.replace(c, "")) if place in changed else c for place, c in enumerate(sequence)
    )


@pytest.fixture(params=["built-in", "mmseqs2"])
def method(request, monkeypatch):
    if request.param == "mmseqs2":
        require_tool("mmseqs", "mmseqs2")
    monkeypatch.setattr(splits, "method", lambda: request.param)
    return request.param


def proteins(sequences):
    return [protein(uid, sequence=s, classes=[("I", "K", [(0, 2)])]) for uid, s in sequences.items()]


def ingested(folder, name, records, split):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(records))
    (folder / name).mkdir()
    run_files([path], folder / name, "grounding_group", split=split)
    return folder / name / "out.parquet"


def test_audit_counts_relatives_of_known_identity(tmp_path, method):
    dice = random.Random(1)
    base = [random_sequence(dice) for _ in range(6)]
    test = {
        "same": base[0],
        "near": mutated(dice, base[1], 0.95),
        "far": mutated(dice, base[2], 0.70),
        "other": random_sequence(dice),
        "short": "MKWV",  # below what a search can see, but identical
    }
    known = [*base, "MKWV"]
    train = ingested(tmp_path, "train", proteins({f"T{n}": s for n, s in enumerate(known)}), "train")
    asked = ingested(tmp_path, "test", proteins(test), "test")
    outputs = {"json_output": tmp_path / "audit.json", "table_output": tmp_path / "audit.parquet"}
    summary = audit_leakage([train], [asked], thresholds=[0.9, 0.5, 0.3], **outputs)
    identity = {
        row["uid"]: row["identity"] for row in tables.read_rows(tmp_path / "audit.parquet", tables.LEAKAGE)
    }
    assert identity == pytest.approx({"same": 1, "near": 0.95, "far": 0.70, "other": 0, "short": 1}, abs=0.02)
    assert summary["datasets"] == {
        "VenusX_Dom": {"grounding_group": {"proteins": 5, "relatives": {"0.9": 3, "0.5": 4, "0.3": 4}}}
    }
    assert json.loads((tmp_path / "audit.json").read_text()) == summary
    assert summary["method"] == method and ("fallback" in summary["note"]) == (method == "built-in")


def test_audit_of_nothing(tmp_path):
    outputs = {"json_output": tmp_path / "audit.json", "table_output": tmp_path / "audit.parquet"}
    summary = audit_leakage([], [], thresholds=[0.5], **outputs)
    assert summary["datasets"] == {} and tables.read_rows(tmp_path / "audit.parquet", tables.LEAKAGE) == []


def test_clusters_stay_together(method):
    """Ten families of relatives: chains, in which the ends are further apart than neighbours."""
    dice = random.Random(2)
    sequences, family_of = {}, {}
    for family in range(10):
        sequence = random_sequence(dice)
        for member in range(4):
            sequences[f"{family}-{member}"] = sequence
            family_of[f"{family}-{member}"] = family
            sequence = mutated(dice, sequence, 0.8)
    names = list(sequences)
    dice.shuffle(names)
    dealt = split_by_cluster({name: sequences[name] for name in names}, identity=0.5, seed=1)
    assert len({(family_of[uid], split) for uid, split in dealt.items()}) == 10
    sizes = {split: list(dealt.values()).count(split) for split in ("train", "valid", "test")}
    assert sizes == {"train": 32, "valid": 4, "test": 4}
    hits = list(search(sequences, sequences, method=method))
    assert not [h for h in hits if h.identity >= 0.5 and dealt[h.query] != dealt[h.target]]
    if method == "built-in":  # the rest does not depend on the search, and MMseqs2 takes seconds to start
        assert split_by_cluster(sequences, identity=0.5, seed=1) == {uid: dealt[uid] for uid in sequences}
        others = {tuple(sorted(split_by_cluster(sequences, identity=0.5, seed=s).items())) for s in range(5)}
        assert len(others) > 1


def test_assigned_splits_divide_the_raw_files(tmp_path, method):
    raw = [SAMPLE / "VenusX_Act" / f"{split}.json" for split in ("train", "valid", "test")]
    counts = assign_splits(raw, data_name="VenusX_Act", output=tmp_path / "splits.parquet", identity=0.3)
    seen: set[str] = set()
    for split, count in counts.items():
        rows, rejects, _ = run_files(raw, tmp_path, split=split, assignment=tmp_path / "splits.parquet")
        uids = {row["uid"] for row in rows}
        assert rejects == [] and len(uids) == count and not uids & seen
        seen |= uids
    assert len(seen) == 34 and counts["train"] >= 24


def test_a_folder_of_raw_files_is_dealt(tmp_path):
    (tmp_path / "hub").mkdir()
    shutil.copy(SAMPLE / "VenusX_Motif" / "test.json", tmp_path / "hub" / "train.json")
    counts = assign_splits([tmp_path / "hub"], data_name="X_Motif", output=tmp_path / "splits.parquet")
    assert sum(counts.values()) >= 1


def test_the_fallback_is_used_without_mmseqs(monkeypatch):
    from fragmodel.data import relatives

    monkeypatch.setenv("PATH", str(Path("/nonexistent")))
    assert relatives.method() == "built-in"
