"""What `fragmodel verify` says of a run; flipped bytes in every kind of its files: tests/workflow/test_faults.py."""

import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from small_tables import record
from typer.testing import CliRunner

from fragmodel import tables
from fragmodel.cli import app
from fragmodel.digests import note_digests, write_noted
from fragmodel.embeddings.shards import encode_states, find_shards, write_shard
from fragmodel.embeddings.store import EmbeddingStore, describe, sequence_key, write_description
from fragmodel.workflow.verify import verify_run

SEQUENCES = ("MKTAYIAKQR", "ACWYH")
FOLDER = "f" * 32


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves, with bytes that are drawn where no reader looks at them here."""
    run = tmp_path_factory.mktemp("results")
    rows = [record(str(n), f"P{n}", "referring_class", sequence=s) for n, s in enumerate(SEQUENCES)]
    tables.write_table(run / "data/Domain/referring_class/train.parquet", tables.RECORDS, rows)
    folder = run / "store" / FOLDER
    write_description(folder, describe(FOLDER, encoder="e", weights="0", layer=1, dtype="float32", dim=6))
    blocks = [encode_states(torch.randn(len(s) + 2, 6), "float32") for s in SEQUENCES]
    write_shard(folder, [*map(sequence_key, SEQUENCES)], blocks, "float32")
    store = EmbeddingStore(run / "store")
    places = [{"key": sequence_key(s), "fingerprint": FOLDER, **store.place(s)._asdict()} for s in SEQUENCES]
    tables.write_table(run / "embeddings/shard-0-of-1.parquet", tables.EMBEDDED, places)
    for model in (run / "training/model", run / "training/checkpoints/0a/checkpoint-4"):
        model.mkdir(parents=True)
        for name in ("adapter_model.safetensors", "optimizer.pt", "trainer_state.json"):
            (model / name).write_bytes(random.Random(name).randbytes(500))
        note_digests(model)
    (run / "metrics.json").write_text(json.dumps({"a": [1, 2]}))
    (run / "training/log.jsonl").write_text('{"step": 1}\n{"step": 2}\n')
    return run


def test_a_whole_run_is_whole(whole: Path) -> None:
    result = CliRunner().invoke(app, ["verify", str(whole)])
    assert result.exit_code == 0, result.output
    assert [line.split()[:2] for line in result.output.splitlines()[:-1]] == [
        *(["tables", "2"], ["weights", "4"], ["checkpoints", "4"], ["text", "2"], ["store", "3"])
    ]
    assert CliRunner().invoke(app, ["verify", str(whole / "nothing")]).exit_code == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda run: (run / "metrics.json").write_bytes(b'{"a": '), "metrics.json: damaged"),
        (lambda run: (run / "training/log.jsonl").write_bytes(b"\xff\n"), "log.jsonl: damaged"),
        (lambda run: (run / "training/model/optimizer.pt").unlink(), "optimizer.pt: missing"),
        (lambda run: find_shards(run / "store" / FOLDER)[0].index.unlink(), "2 of its sequences are not in"),
    ],
)
def test_faults_end_with_status_1_and_a_line_each(whole: Path, tmp_path: Path, change, says) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    change(run)
    result = CliRunner().invoke(app, ["verify", str(run)])
    assert result.exit_code == 1 and says in result.output, result.output
    assert result.output.splitlines()[-1] == "1 faults"


def test_json_beside_weights_has_a_digest_of_its_own(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    path = run / "training/model/environment.json"
    write_noted(path, '["torch 1"]')
    assert not [fault for verdict in verify_run(run) for fault in verdict.faults]
    path.write_text('["torch 2"]')
    ((fault,),) = [verdict.faults for verdict in verify_run(run) if verdict.faults]
    assert str(path) in fault


def test_a_damaged_table_names_its_rule(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "windows.parquet").write_bytes(b"PAR1 no table PAR1")
    ((fault,),) = [verdict.faults for verdict in verify_run(tmp_path)]
    assert "windows.parquet" in fault and "rule windows makes it anew" in fault
