import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.embeddings.encoders import build_stand_in
from fragmodel.embeddings.store import EmbeddingStore

FASTA = ">one first\nmktay\nIAKQR*\n\n>two\nAC\n>three, the same\nAC\n"


@pytest.fixture
def encoder(tmp_path):
    path = tmp_path / "esm2_toy.pt"
    build_stand_in(path, layers=2, dim=16, heads=2, seed=1)
    return path


def fragmodel(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_fasta_and_parquet_go_into_one_store(tmp_path, encoder) -> None:
    (tmp_path / "in.fasta").write_text(FASTA)
    pq.write_table(pa.table({"sequence": ["AC", "WWW"], "other": [1, 2]}), tmp_path / "in.parquet")
    store = tmp_path / "store"
    first = fragmodel("embed", tmp_path / "in.fasta", "--encoder", encoder, "--store", store)
    assert first.exit_code == 0, first.output
    assert first.stdout.startswith("embedded 2, already there 0, fingerprint ")
    second = fragmodel("embed", tmp_path / "in.parquet", "--encoder", encoder, "--store", store)
    assert second.stdout.startswith("embedded 1, already there 1, ")
    assert EmbeddingStore(store).get("MKTAYIAKQR").shape == (12, 16)


def test_fasta_as_it_comes(tmp_path, encoder) -> None:
    """Compressed, with a byte order mark, with the line ends of another system: the same sequences."""
    content = b"\xef\xbb\xbf" + FASTA.replace("\n", "\r\n").encode()
    (tmp_path / "in.fasta.gz").write_bytes(gzip.compress(content))
    result = fragmodel("embed", tmp_path / "in.fasta.gz", "--encoder", encoder, "--store", tmp_path / "store")
    assert result.stdout.startswith("embedded 2, "), result.output
    assert "MKTAYIAKQR" in EmbeddingStore(tmp_path / "store")


def test_store_commands(tmp_path, encoder) -> None:
    (tmp_path / "in.fasta").write_text(FASTA)
    store = tmp_path / "store"
    fragmodel("embed", tmp_path / "in.fasta", "--encoder", encoder, "--store", store, "--dtype", "int8")
    assert "esm2_toy.pt  layer 2  int8  2 sequences" in fragmodel("store", "ls", store).stdout
    (stats,) = json.loads(fragmodel("store", "stats", store).stdout)
    assert (stats["sequences"], stats["residues"], stats["dim"]) == (2, 12, 16)
    assert fragmodel("store", "verify", store).stdout == "whole\n"
    assert fragmodel("store", "gc", store).stdout == ""
    (data,) = store.glob("*/*.safetensors")
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    damaged = fragmodel("store", "verify", store)
    assert damaged.exit_code == 1 and "damaged bytes in 1 of 2 sequences" in damaged.stdout
    assert fragmodel("store", "verify", store, "--remove").exit_code == 1
    assert fragmodel("store", "verify", store).exit_code == 0
    again = fragmodel(
        "embed", tmp_path / "in.fasta", "--encoder", encoder, "--store", store, "--dtype", "int8"
    )
    assert again.stdout.startswith("embedded 2, ")
    assert fragmodel("store", "gc", store, "--fingerprint", stats["fingerprint"]).exit_code == 0
    assert not list(store.glob("*/*"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.txt", "no records here", "neither Parquet"),
        (
            "in.fasta",
            ">empty\n>full\nMK\n",
            "record 1 'empty': field 'sequence' has no residues; mend or remove it",
        ),
        ("in.parquet", "not Parquet", "not a Parquet file"),
        ("in.fasta", "", "is empty"),
        ("in.fasta", None, "no such file"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, encoder, name, content, message) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    result = fragmodel("embed", tmp_path / name, "--encoder", encoder, "--store", tmp_path / "store")
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.count("\n") == 1
