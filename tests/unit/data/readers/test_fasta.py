"""FASTA as `embed`, `predict` and the InterProScan reader see it."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_files import SEQUENCE, reasons, run_files

from fragmodel.data.readers.fasta import raw_records, read_fasta
from fragmodel.embeddings.sequences import read_sequences
from fragmodel.errors import UserError

SENTENCE = "Error encountered when streaming data. Please try again later."
DOWNLOAD = f">p1 one\n{SEQUENCE}\n>p2 two\nMSTNPKPQRKTKRNTNRRPQDVKFPGGEND\n{SENTENCE}\n"


def write(tmp_path, content, name="in.fasta"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_records_have_name_sequence_and_number(tmp_path):
    content = "\n\n>one first\nmktay\r\nIAKQR**\n\n>\ttwo\nACDEF ghikl\nJU\n>one\nAC\n"
    expected = [("one", "MKTAYIAKQR", 1), ("two", "ACDEFGHIKLXU", 2), ("one", "AC", 3)]
    assert list(read_fasta(write(tmp_path, content))) == expected
    packed = gzip.compress(b"\xef\xbb\xbf" + content.lstrip().encode())
    assert list(read_fasta(write(tmp_path, packed))) == expected
    assert [record.sequence for record in raw_records(tmp_path / "in.fasta")][1] == "ACDEFghiklJU"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (">a\nMK\n>b x\nMK-TV\n", "record 2 'b': '-' at residue 3 of the sequence is a gap; .*; mend or remove it"),
        (">a\nMK*TV\n", "record 1 'a': .* is a stop before the end"),
        (">a\nMK1TV\n", "record 1 'a': '1' at residue 3"),
        (">a\nMKßTV\n", "record 1 'a': 'ß' at residue 3"),
        (">a\nMK\n>b\n>c\nMK\n", "record 2 'b': .*no residues"),
        (">a\nMK\n>  \nMK\n", "record 2 has no name; write one"),
        ("MK\n>a\nMK\n", "not FASTA; the first line must begin"),
        (" \n\n", "not FASTA; the file is empty"),
        (DOWNLOAD, "record 2 'p2': 'Error encountered when .*' is no sequence; fetch the file again"),
        (">a\nMK\nService Unavailable\n", "record 1 'a': 'Service Unavailable' is no sequence"),
        (">a\nMK\nBad Gateway\n", "record 1 'a': 'Bad Gateway' is no sequence"),
        (">\nBad Gateway\n", "record 1 '': 'Bad Gateway' is no sequence"),
    ],
)  # fmt: skip
def test_faults_name_file_and_record(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(UserError, match=f"in.fasta: {message}") as error:
        list(read_fasta(path))
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"^standard input: "):
        list(read_fasta(path, shown="standard input"))


@pytest.mark.parametrize("line", ["mktay iakqr qis", "mktay iakqr qisfv", "MK TVAK LM", "mktay", "MK tv"])
def test_blocks_of_residues_are_no_prose(tmp_path, line):
    assert [r.sequence for r in read_fasta(write(tmp_path, f">a\n{line}\n"))] == [
        line.replace(" ", "").upper()
    ]


def test_unique_names_are_an_option(tmp_path):
    path = write(tmp_path, ">a\nMK\n>b\nMK\n>a other\nMKT\n")
    assert [record.uid for record in raw_records(path)] == ["a", "b", "a"]
    with pytest.raises(UserError, match="record 3: the name 'a' came before; names must be unique"):
        list(raw_records(path, unique=True))


def test_records_come_before_the_file_is_read_whole(tmp_path):
    path = write(tmp_path, f">a\nMK\n>b\nMK\n>c\n{SENTENCE}\n")
    assert next(raw_records(path)).uid == "a"


def test_embed_normalises_as_ingest_does(tmp_path):
    """A store's keys are those of the windows, whatever the sequences came in."""
    sequences = ["mkjv**", " MK TV\n", "MKTV"]
    pq.write_table(pa.table({"sequence": sequences}), tmp_path / "in.parquet")
    fasta = write(tmp_path, "".join(f">same\n{sequence}\n" for sequence in sequences))
    for path in (tmp_path / "in.parquet", fasta):
        assert list(read_sequences(path)) == ["MKXV", "MKTV", "MKTV"]
    pq.write_table(pa.table({"sequence": ["MK", "M-K"]}), tmp_path / "in.parquet")
    with pytest.raises(UserError, match=r"in\.parquet: row 2: '-' at residue 2"):
        list(read_sequences(tmp_path / "in.parquet"))


@pytest.mark.parametrize("name", ["folder", "folder.fasta"])
def test_a_folder_is_no_input(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="a folder, expected a file"):
        list(read_sequences(tmp_path / name))


def row(name, sequence, entry="IPR000980\tSH2 domain"):
    import hashlib

    md5 = hashlib.md5(sequence.encode()).hexdigest()
    return f"{name}\t{md5}\t{len(sequence)}\tPfam\tPF1\tx\t2\t9\t0.1\tT\t01-01-2025\t{entry}\n"


def test_ingest_rejects_a_bad_record_and_refuses_a_broken_download(tmp_path):
    table = write(tmp_path, row("p1", SEQUENCE) + row("p2", "MK-TVAKQRQ"), "scan.tsv")
    fasta = write(tmp_path, f">p1\n{SEQUENCE.lower()}\n>p2\nMK-TVAKQRQ\n")
    rows, rejects, _ = run_files([table, fasta], tmp_path, "referring_class")
    assert [row["uid"] for row in rows] == ["p1"] and "lower_case" in rows[0]["flags"]
    assert reasons(rejects) == ["gap"] and rejects[0]["uid"] == "p2"
    with pytest.raises(UserError, match=r"in\.fasta: record 2 'p2': 'Error encountered"):
        run_files([table, write(tmp_path, DOWNLOAD)], tmp_path, "referring_class")
