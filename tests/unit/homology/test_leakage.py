"""Relatives of known identity, found by MMseqs2 and by the fallback."""

import json
import random

import pytest
from mutants import mutated, random_sequence
from raw_files import protein, run_files

from fragmodel import tables
from fragmodel.homology.leakage import audit_leakage
from fragmodel.homology.search import BIOPYTHON


def proteins(sequences):
    return [protein(uid, sequence=s, classes=[("I", "K", [(0, 2)])]) for uid, s in sequences.items()]


def ingested(folder, name, records, split):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(records))
    (folder / name).mkdir()
    run_files([path], folder / name, "grounding_group", split=split)
    return folder / name / "out.parquet"


def test_audit_counts_relatives_of_known_identity(tmp_path, tool):
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
    assert summary["method"] == tool and ("Fallback" in summary["note"]) == (tool == BIOPYTHON)


def test_audit_of_nothing(tmp_path):
    outputs = {"json_output": tmp_path / "audit.json", "table_output": tmp_path / "audit.parquet"}
    summary = audit_leakage([], [], thresholds=[0.5], **outputs)
    assert summary["datasets"] == {} and tables.read_rows(tmp_path / "audit.parquet", tables.LEAKAGE) == []
