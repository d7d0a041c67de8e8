"""Data without published splits: dealt so that no test protein has a relative in training."""

import json

import pyarrow.parquet as pq
import pytest
from workflow_copy import REPOSITORY, Workflow

pytestmark = pytest.mark.slow


def test_relatives_stay_together(tmp_path):
    proteins = json.loads((REPOSITORY / "data/sample/VenusX_Motif/train.json").read_text())[:10]
    # A twin of each protein, five residues of fifty changed: by chance most pairs would be torn apart.
    twins = []
    for protein in proteins:
        sequence = "".join("A" if i % 50 < 5 else letter for i, letter in enumerate(protein["sequence"]))
        fragments = [
            fragment
            | {
                "frags": [
                    place | {"sequence": sequence[place["start_position"] : place["end_position"] + 1]}
                    for place in fragment["frags"]
                ]
            }
            for fragment in protein["fragments"]
        ]
        twins.append(
            protein | {"uid": f"{protein['uid']}-twin", "sequence": sequence, "fragments": fragments}
        )
    (tmp_path / "all.json").write_text(json.dumps(proteins + twins))
    mine = {"train": "all.json", "split": "by_cluster", "tasks": ["referring_class"]}
    workflow = Workflow(tmp_path, {"datasets": {"Mine_Motif": mine}})
    workflow.snakemake("ingest", "audit_leakage")
    split_of = {}
    for split in ("train", "valid", "test"):
        table = pq.read_table(workflow.results / f"data/Mine_Motif/referring_class/{split}.parquet")
        split_of.update(dict.fromkeys(table["uid"].to_pylist(), split))
    assert set(split_of.values()) == {"train", "valid", "test"}
    assert len(split_of) == 20, "every protein is in one split"
    assert all(split_of[p["uid"]] == split_of[f"{p['uid']}-twin"] for p in proteins)
    audit = json.loads((workflow.results / "audit/leakage.json").read_text())
    counts = audit["datasets"]["Mine_Motif"]["referring_class"]
    assert {*counts["relatives"].values(), *counts["fragment_relatives"].values()} == {0}
