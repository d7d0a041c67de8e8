"""Clusters never cross a split, within a data set or between two."""

import json
import random
import shutil
from pathlib import Path

import pytest
from mutants import mutated, random_sequence
from raw_files import SAMPLE, protein, run_files

from fragmodel import tables
from fragmodel.config.datasets import DatasetConfig
from fragmodel.errors import UserError
from fragmodel.homology import search
from fragmodel.homology.clusters import Name, Published
from fragmodel.homology.search import BIOPYTHON, relatives
from fragmodel.homology.splits import assign_splits, split_by_cluster

SPLITS = ("train", "valid", "test")


def families(count, members, data_name="A"):
    """Families of relatives: chains, in which the ends are further apart than neighbours."""
    dice = random.Random(2)
    sequences, family_of = {}, {}
    for family in range(count):
        sequence = random_sequence(dice)
        for member in range(members):
            name = Name(data_name, f"{family}-{member}")
            sequences[name], family_of[name] = sequence, family
            sequence = mutated(dice, sequence, 0.8)
    return sequences, family_of


def test_clusters_stay_together(tool):
    sequences, family_of = families(10, 4)
    names = list(sequences)
    random.Random(3).shuffle(names)
    dealt = split_by_cluster({name: sequences[name] for name in names}, identity={"A": 0.5}, seed=1)
    assert len({(family_of[name], split) for name, split in dealt.items()}) == 10
    assert [list(dealt.values()).count(split) for split in SPLITS] == [32, 4, 4]
    texts = list(sequences.values())
    split_of = [dealt[name] for name in sequences]
    hits = list(relatives(texts, texts))
    assert not [h for h in hits if h.identity >= 0.5 and split_of[h.query] != split_of[h.target]]
    if tool == BIOPYTHON:  # the rest does not depend on the search, and MMseqs2 takes seconds to start
        assert split_by_cluster(sequences, identity={"A": 0.5}, seed=1) == {n: dealt[n] for n in sequences}
        others = {
            tuple(sorted(split_by_cluster(sequences, identity={"A": 0.5}, seed=seed).items()))
            for seed in range(5)
        }
        assert len(others) > 1


@pytest.mark.usefixtures("tool")
def test_relatives_in_two_data_sets_stay_together():
    """Each family has members in a large and in a small data set; both get all splits."""
    sequences, family_of = families(40, 4)
    small = {name for name in sequences if name.uid.endswith("-3") and family_of[name] < 20}
    renamed = {Name("B", name.uid) if name in small else name: text for name, text in sequences.items()}
    dealt = split_by_cluster(renamed, identity={"A": 0.9, "B": 0.5}, seed=1)
    first = {name.uid: split for name, split in dealt.items() if name.uid.endswith("-2")}
    for name, split in dealt.items():
        if name.data_name == "B":  # whose lower identity counts between the two
            assert split == first[name.uid.replace("-3", "-2")]
    for data_name, expected in (("A", (112, 14, 14)), ("B", (16, 2, 2))):
        found = [split for name, split in dealt.items() if name.data_name == data_name]
        assert [found.count(split) for split in SPLITS] == pytest.approx(expected, abs=3)
        assert set(found) == set(SPLITS)


def test_one_uid_is_in_one_split_whatever_its_sequence():
    dice = random.Random(4)
    names = [Name(data_name, str(number)) for data_name in "AB" for number in range(30)]
    dealt = split_by_cluster(
        {name: random_sequence(dice) for name in names}, identity={"A": 0.3, "B": 0.3}, seed=1
    )
    assert all(dealt[Name("A", uid)] == dealt[Name("B", uid)] for _, uid in names)
    assert set(dealt.values()) == set(SPLITS)


@pytest.mark.usefixtures("tool")
def test_relatives_of_published_proteins_follow_them():
    dice = random.Random(5)
    known = {split: random_sequence(dice) for split in SPLITS}
    sequences = {Name("A", split): mutated(dice, known[split], 0.9) for split in SPLITS}
    both = known["train"] + known["test"]  # a relative of a training and of a test protein
    sequences[Name("A", "both")] = both
    published = {sequence: split for split, sequence in known.items()}
    dealt = split_by_cluster(sequences, identity={"A": 0.3}, published=Published(published))
    # "both" binds all four of its cluster: nothing related to the published test protein is trained on.
    assert {name.uid: split for name, split in dealt.items()} == {
        "train": "test", "valid": "valid", "test": "test", "both": "test",
    }  # fmt: skip
    del sequences[Name("A", "both")]
    dealt = split_by_cluster(sequences, identity={"A": 0.3}, published=Published(published))
    assert all(split == name.uid for name, split in dealt.items())


def test_assigned_splits_divide_the_raw_files(tmp_path, tool):
    raw = [SAMPLE / "VenusX_Act" / f"{split}.json" for split in SPLITS]
    mine = DatasetConfig(train=[str(path) for path in raw], split="by_cluster")
    counts = assign_splits({"VenusX_Act": mine}, output=tmp_path / "splits.parquet")["VenusX_Act"]
    seen: set[str] = set()
    for split, count in counts.items():
        assignment = tmp_path / "splits.parquet"
        rows, rejects, _ = run_files(
            raw, tmp_path, data_name="VenusX_Act", split=split, assignment=assignment
        )
        uids = {row["uid"] for row in rows}
        assert rejects == [] and len(uids) == count and not uids & seen
        seen |= uids
    assert len(seen) == 34 and counts["train"] >= 24


@pytest.mark.usefixtures("tool")
def test_published_files_bind_what_is_dealt(tmp_path):
    """The same proteins published in one data set and dealt in another: each goes where it is published."""
    folder = SAMPLE / "VenusX_Motif"
    files = {split: str(folder / f"{split}.json") for split in SPLITS}
    datasets = {
        "Published_Motif": DatasetConfig(**files),
        "Mine_Motif": DatasetConfig(train=list(files.values()), split="by_cluster", split_identity=1.0),
    }
    assign_splits(datasets, output=tmp_path / "splits.parquet")
    rows = tables.read_rows(tmp_path / "splits.parquet", tables.SPLIT_ASSIGNMENT)
    assert {row["data_name"] for row in rows} == {"Mine_Motif"}
    for split, path in files.items():
        published = {p["uid"] for p in json.loads(Path(path).read_text())}
        assert {row["uid"] for row in rows if row["split"] == split} == published


@pytest.mark.usefixtures("tool")
def test_a_published_test_set_wins_whichever_data_set_comes_first(tmp_path):
    folder = SAMPLE / "VenusX_Motif"
    path = str(folder / "test.json")
    as_test = DatasetConfig(train=str(folder / "valid.json"), test=path)
    as_train = DatasetConfig(train=path, test=str(folder / "valid.json"))
    mine = DatasetConfig(train=path, split="by_cluster", split_identity=1.0)
    for order in ([("A", as_test), ("B", as_train)], [("B", as_train), ("A", as_test)]):
        counts = assign_splits({**dict(order), "Mine": mine}, output=tmp_path / "splits.parquet")["Mine"]
        assert counts["train"] == counts["valid"] == 0 and counts["test"] >= 1


def test_a_folder_of_raw_files_is_dealt(tmp_path):
    (tmp_path / "hub").mkdir()
    shutil.copy(SAMPLE / "VenusX_Motif" / "test.json", tmp_path / "hub" / "train.json")
    mine = DatasetConfig(train=[str(tmp_path / "hub")], split="by_cluster")
    counts = assign_splits({"X_Motif": mine}, output=tmp_path / "splits.parquet")
    assert sum(counts["X_Motif"].values()) >= 1


def test_unusable_proteins_are_left_to_ingestion(tmp_path):
    (tmp_path / "all.json").write_text(
        json.dumps([protein("", sequence="MKV"), protein("bad", sequence="M1K")])
    )
    mine = DatasetConfig(train=[str(tmp_path / "all.json")], split="by_cluster")
    assert assign_splits({"X_Dom": mine}, output=tmp_path / "out.parquet") == {
        "X_Dom": {"train": 0, "valid": 0, "test": 0}
    }


def related_family(count, others):
    dice = random.Random(6)
    base = random_sequence(dice)
    sequences = {Name("A", f"f{n}"): mutated(dice, base, 0.9) for n in range(count)}
    return sequences | {Name("A", f"o{n}"): random_sequence(dice) for n in range(others)}


def test_a_cluster_with_nearly_everything_is_told(monkeypatch, caplog):
    monkeypatch.setattr(search.shutil, "which", lambda name: None)
    sequences = related_family(9, 1)
    dealt = split_by_cluster(sequences, identity={"A": 0.3})
    assert len(set(dealt.values())) == 2
    (warning,) = [record.message for record in caplog.records if "datasets.A" in record.message]
    assert "holds 9 of 10 proteins" in warning and "raise datasets.A.split_identity" in warning
    caplog.clear()
    split_by_cluster(related_family(8, 2), identity={"A": 0.3})  # which is what training should get
    assert "datasets.A" not in caplog.text


def test_one_cluster_of_everything_cannot_be_dealt(monkeypatch):
    monkeypatch.setattr(search.shutil, "which", lambda name: None)
    sequences = related_family(4, 0)
    with pytest.raises(
        UserError, match=r"its 4 proteins are one cluster .* raise datasets\.A\.split_identity"
    ):
        split_by_cluster(sequences, identity={"A": 0.3})
    assert len(set(split_by_cluster(sequences, identity={"A": 1.0}).values())) > 1
    known = Published({next(iter(sequences.values())): "test"})
    assert set(split_by_cluster(sequences, identity={"A": 0.3}, published=known).values()) == {"test"}
