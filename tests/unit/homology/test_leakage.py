"""Relatives of known identity, found by MMseqs2 and by the fallback."""

import json
import random

import pytest
from mutants import mutated, random_sequence
from raw_files import protein, run_files
from small_tables import grounding_record, record, write_records

from fragmodel import tables
from fragmodel.config.datasets import DatasetConfig
from fragmodel.homology import search
from fragmodel.homology.leakage import audit_leakage
from fragmodel.homology.search import BIOPYTHON
from fragmodel.homology.splits import assign_splits
from fragmodel.vocabulary import SPLITS


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
    counts = summary["datasets"]["VenusX_Dom"]["grounding_group"]
    assert (counts["proteins"], counts["relatives"]) == (5, {"0.9": 3, "0.5": 4, "0.3": 4})
    assert json.loads((tmp_path / "audit.json").read_text()) == summary
    assert summary["method"] == tool and ("Fallback" in summary["note"]) == (tool == BIOPYTHON)


def planted(dice, residues, site, identity, annotated):
    """Two proteins of 500 residues, unrelated but for a shared stretch, in whose middle is the annotated site."""
    stretch = random_sequence(dice, residues)
    pair = []
    for uid, copy, told in (
        ("asked", stretch, True),
        ("known", mutated(dice, stretch, identity), annotated),
    ):
        start = dice.randrange(500 - residues)
        sequence = random_sequence(dice, start) + copy + random_sequence(dice, 500 - residues - start)
        first = start + (residues - site) // 2
        # In a protein that does not say so, something else is annotated.
        place = (first, first + site - 1) if told else ((first + 250) % 440, (first + 250) % 440 + 39)
        pair.append(protein(uid, sequence=sequence, classes=[("I", "K", [place])]))
    return pair


def planted_pairs(dice, copies):
    """Pairs with a shared domain, then with a shared site, and their identities."""
    shapes = [(120, 120, 1.0), (120, 120, 0.6), (120, 120, 0.4)]
    shapes += [(72, 12, 1.0), (72, 12, 0.6), (31, 1, 1.0), (89, 29, 0.6)]
    pairs, identities = [], []
    for number, (residues, site, identity) in enumerate(shapes * copies):
        pair = planted(dice, residues, site, identity, annotated=number % 2 == 0)
        pairs.append([{**one, "uid": f"{one['uid']}{number}"} for one in pair])
        identities.append(identity)
    return pairs, identities


def test_no_planted_domain_or_site_is_missed(tmp_path, tool):
    """Two proteins with a common domain are no relatives, their records are: by the fragment."""
    del tool
    dice = random.Random(12)
    pairs, identities = planted_pairs(dice, 2)
    alone = [
        protein(f"alone{n}", sequence=random_sequence(dice, 500), classes=[("I", "K", [(100, 240)])])
        for n in range(5)
    ]
    train = ingested(tmp_path, "train", [known for _, known in pairs], "train")
    asked = ingested(tmp_path, "test", [*(asked for asked, _ in pairs), *alone], "test")
    outputs = {"json_output": tmp_path / "audit.json", "table_output": tmp_path / "audit.parquet"}
    summary = audit_leakage([train], [asked], thresholds=[0.3], **outputs)
    rows = {row["uid"]: row for row in tables.read_rows(tmp_path / "audit.parquet", tables.LEAKAGE)}
    assert {u: r["identity"] for u, r in rows.items() if r["identity"]} == {}
    found = [rows[f"asked{n}"]["fragment_identity"] for n in range(len(pairs))]
    # An alignment may go on into what is not shared, which lowers its identity.
    assert found == pytest.approx(identities, abs=0.25)
    assert [rows[one["uid"]]["fragment_identity"] for one in alone] == [0] * 5
    counts = summary["datasets"]["VenusX_Dom"]["grounding_group"]
    assert (counts["relatives"], counts["fragment_relatives"]) == ({"0.3": 0}, {"0.3": len(pairs)})
    assert (counts["records"], counts["clean"]) == (5 + len(pairs), {"0.3": 5})


def test_a_deal_keeps_planted_domains_and_sites_together(tmp_path, tool):
    """From the raw file on, by proteins and by the fragments that they share."""
    del tool
    pairs, _ = planted_pairs(random.Random(8), 1)
    raw = tmp_path / "all.json"
    raw.write_text(json.dumps([one for pair in pairs for one in pair]))
    assignment = tmp_path / "splits.parquet"
    assign_splits({"VenusX_Dom": DatasetConfig(train=str(raw), split="by_cluster")}, output=assignment)
    split_of = {row["uid"]: row["split"] for row in tables.read_rows(assignment, tables.SPLIT_ASSIGNMENT)}
    assert set(split_of.values()) == set(SPLITS)
    assert all(split_of[f"asked{n}"] == split_of[f"known{n}"] for n in range(len(pairs)))


def test_a_record_without_a_fragment_has_no_identity_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr(search.shutil, "which", lambda name: None)
    sequence = random_sequence(random.Random(9))
    rows = [
        record("1", "P", "function", sequence=sequence),
        grounding_record("2", "P", {"K": []}, sequence=sequence),
    ]
    table = write_records(tmp_path, rows)
    outputs = {"json_output": tmp_path / "audit.json", "table_output": tmp_path / "audit.parquet"}
    audit_leakage([table], [table], thresholds=[0.5], **outputs)
    found = tables.read_rows(tmp_path / "audit.parquet", tables.LEAKAGE)
    assert [(row["identity"], row["fragment_identity"]) for row in found] == [(1, None), (1, None)]


def test_audit_of_nothing(tmp_path):
    outputs = {"json_output": tmp_path / "audit.json", "table_output": tmp_path / "audit.parquet"}
    summary = audit_leakage([], [], thresholds=[0.5], **outputs)
    assert summary["datasets"] == {} and tables.read_rows(tmp_path / "audit.parquet", tables.LEAKAGE) == []
