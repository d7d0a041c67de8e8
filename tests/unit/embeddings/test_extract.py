import os
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fair_esm_reference import load_esm2, make_esm1b, states, tokenize
from hypothesis import given
from hypothesis import strategies as st

from fragmodel import tables
from fragmodel.embeddings.encoders import build_stand_in
from fragmodel.embeddings.extract import (
    batches_by_length,
    collect_windows,
    embed_sequences,
    embed_windows,
)
from fragmodel.embeddings.maintenance import remove_shard, verify
from fragmodel.embeddings.sequences import read_sequences
from fragmodel.embeddings.shards import find_shards
from fragmodel.embeddings.store import EmbeddingStore, sequence_key
from fragmodel.errors import UserError


def write_windows(path, sequences) -> None:
    rows = sorted(
        ({"key": sequence_key(s), "sequence": s, "length": len(s)} for s in sequences), key=lambda r: r["key"]
    )
    tables.write_table(path, tables.WINDOWS, rows)


def write_records(path, sequences) -> None:
    row = dict(uid="P", data_name="d", task_type="function", start=0, full_length=9, classes=[], class_ids=[])
    row |= dict(conversation=[{"role": "user", "content": "?"}], answer="", flags=[])
    rows = [{**row, "record_id": str(i), "sequence": sequence} for i, sequence in enumerate(sequences)]
    tables.write_table(path, tables.RECORDS, rows)


def test_windows_are_unique_and_sorted(tmp_path) -> None:
    write_records(tmp_path / "a.parquet", ["MK", "AC", "MK"])
    write_records(tmp_path / "b.parquet", ["AC", "WW"])
    output = tmp_path / "windows.parquet"
    assert collect_windows([tmp_path / "a.parquet", tmp_path / "b.parquet"], output) == 3
    rows = tables.read_rows(output, tables.WINDOWS)
    assert {row["sequence"]: row["length"] for row in rows} == {"MK": 2, "AC": 2, "WW": 2}
    assert [row["key"] for row in rows] == sorted(sequence_key(row["sequence"]) for row in rows)
    first = output.read_bytes()
    collect_windows([tmp_path / "b.parquet", tmp_path / "a.parquet"], output)
    assert output.read_bytes() == first  # the order of the files does not matter


@given(st.lists(st.integers(1, 40)), st.integers(1, 60))
def test_batches_keep_order_and_budget(lengths, budget) -> None:
    sequences = ["A" * length for length in lengths]
    batches = list(batches_by_length(sequences, budget))
    assert [sequence for batch in batches for sequence in batch] == sequences
    for batch in batches:
        assert len(batch) == 1 or sum(len(sequence) + 2 for sequence in batch) <= budget


def test_stored_states_equal_fair_esm(tmp_path, encoder_file) -> None:
    sequences = ["MKTAYIAKQRQISFVKSHFSRQ", "LAGVSERTIDPKQNFYMHWCXBUZO.-", "M", "-.OZUBX", "PPGFSPF" * 30]
    summary = embed_sequences(
        sequences, encoder=encoder_file, store=tmp_path, dtype="float32", tokens_per_batch=50
    )
    assert (summary.requested, summary.embedded) == (5, 5)
    store = EmbeddingStore(tmp_path)
    reference = states(load_esm2(encoder_file), tokenize(sequences), 3)
    for sequence, expected in zip(sequences, reference, strict=True):
        got = store.get(sequence)
        assert got.shape == (len(sequence) + 2, 48)
        assert (got - expected[: len(got)]).abs().max() < 1e-5


def test_only_what_is_missing_is_embedded(tmp_path, encoder_file) -> None:
    store = tmp_path / "store"
    first = embed_sequences(["MK", "AC", "MK"], encoder=encoder_file, store=store)
    assert (first.requested, first.embedded, first.residues) == (2, 2, 4)
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}
    second = embed_sequences(["WWW", "AC"], encoder=encoder_file, store=store)
    assert (second.requested, second.embedded, second.residues) == (2, 1, 3)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    other_layer = embed_sequences(["MK"], encoder=encoder_file, store=store, layer=1)
    assert other_layer.fingerprint != first.fingerprint
    assert len(EmbeddingStore(store, first.fingerprint)) == 3


def test_jobs_share_no_window_and_cover_all(tmp_path, encoder_file) -> None:
    sequences = ["MKTAYIAKQR"[: 1 + i % 10] + "W" * i for i in range(30)]
    write_windows(tmp_path / "windows.parquet", sequences)
    rows = []
    for shard in range(3):
        manifest = tmp_path / f"shard-{shard}-of-3.parquet"
        embed_windows(
            tmp_path / "windows.parquet",
            encoder=encoder_file,
            store=tmp_path / "store",
            manifest=manifest,
            shard=shard,
            shards=3,
        )
        rows += tables.read_rows(manifest, tables.EMBEDDED)
    assert sorted(row["key"] for row in rows) == sorted(map(sequence_key, sequences))
    store = EmbeddingStore(tmp_path / "store")
    by_key = {sequence_key(sequence): sequence for sequence in sequences}
    for row in rows:
        assert (store.folder / row["file"]).is_file()
        assert row["length"] == len(by_key[row["key"]])


def test_damaged_shard_is_rebuilt_alone(tmp_path, encoder_file) -> None:
    sequences = ["MKTAYIAKQR" + "W" * i for i in range(12)]
    options = dict(encoder=encoder_file, store=tmp_path, shard_bytes=4000)
    summary = embed_sequences(sequences, **options)
    original = {path.name: path.read_bytes() for path in (tmp_path / summary.fingerprint).iterdir()}
    shards = find_shards(tmp_path / summary.fingerprint)
    assert len(shards) > 3
    content = bytearray(shards[1].data.read_bytes())
    content[-5] ^= 64
    shards[1].data.write_bytes(content)
    ((_, _, damaged),) = verify(tmp_path)
    remove_shard(damaged)
    again = embed_sequences(sequences, **options)
    assert 0 < again.embedded < len(sequences)
    assert {path.name: path.read_bytes() for path in (tmp_path / summary.fingerprint).iterdir()} == original


@pytest.mark.slow
def test_killed_job_keeps_its_whole_shards(tmp_path) -> None:
    encoder = tmp_path / "esm2_slow.pt"
    build_stand_in(encoder, layers=12, dim=480, heads=20, seed=1)
    sequences = ["MKTAYIAKQR" * 20 + "W" * i for i in range(200)]
    fasta = tmp_path / "in.fasta"
    fasta.write_text("".join(f">{i}\n{sequence}\n" for i, sequence in enumerate(sequences)))
    code = (
        "import sys; from pathlib import Path; from fragmodel.embeddings.extract import embed_sequences\n"
        "from fragmodel.embeddings.sequences import read_sequences\n"
        "embed_sequences(read_sequences(Path(sys.argv[1])), encoder=sys.argv[2], store=sys.argv[3], "
        "tokens_per_batch=1024, shard_bytes=2**20)"
    )
    store = tmp_path / "store"
    job = subprocess.Popen([sys.executable, "-c", code, fasta, encoder, store], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(store.glob("*/*.parquet"))) < 2 and time.monotonic() < deadline:
        assert job.poll() is None, "the job ended before it could be killed"
        time.sleep(0.02)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    survived = len(EmbeddingStore(store))
    assert 0 < survived < len(sequences)
    assert list(verify(store)) == []
    summary = embed_sequences(
        sequences[:8], encoder=encoder, store=store
    )  # the shortest come last: not there
    assert summary.embedded == 8
    assert len(EmbeddingStore(store)) == survived + 8


def test_too_long_for_learned_positions_is_refused(tmp_path) -> None:
    make_esm1b(tmp_path / "esm1b.pt")
    with pytest.raises(UserError, match=r"1023 residues, but the encoder takes 1022 at most"):
        embed_sequences(["A" * 1023], encoder=tmp_path / "esm1b.pt", store=tmp_path / "store")
    embed_sequences(["A" * 1022], encoder=tmp_path / "esm1b.pt", store=tmp_path / "store")
    assert EmbeddingStore(tmp_path / "store").get("A" * 1022).shape == (1024, 32)


def test_wrong_arguments_are_refused(tmp_path, encoder_file) -> None:
    def refused(message: str, **options) -> None:
        with pytest.raises(UserError, match=message):
            embed_sequences(["MK"], encoder=encoder_file, store=tmp_path / "store", **options)

    refused("stored dtype 'float64'", dtype="float64")
    refused("compute dtype 'int8'", compute_dtype="int8")
    refused("layer 4 does not exist", layer=4)
    refused("device 'tpu9x' is not known", device="tpu9x")
    if not torch.cuda.is_available():
        refused("no usable CUDA device", device="cuda")
    with pytest.raises(UserError, match=r"none\.fasta: no such file"):  # before the encoder is looked for
        embed_sequences(read_sequences(tmp_path / "none.fasta"), encoder="no/encoder", store=tmp_path)
    windows = tmp_path / "windows.parquet"
    pq.write_table(
        pa.table({"key": ["0" * 32], "sequence": ["MK"], "length": pa.array([2], pa.int32())}), windows
    )
    with pytest.raises(UserError, match="is not that of its sequence"):
        embed_windows(windows, encoder=encoder_file, store=tmp_path / "s", manifest=tmp_path / "m")
    with pytest.raises(UserError, match="shard 2 of 2"):
        embed_windows(windows, encoder=encoder_file, store=tmp_path, manifest=tmp_path, shard=2, shards=2)
