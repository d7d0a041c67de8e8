"""`fragmodel ingest` as a process: exit status, last line, one line on stderr, nothing left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from fragmodel.tables import read_metadata

SAMPLE = Path(__file__).parents[3] / "data" / "sample"


def call(folder, raw, *options, task="grounding_group"):
    command = ["ingest", str(raw), "--task", task, "--data-name", "VenusX_Dom"]
    command += ["--output", str(folder / "o.parquet"), "--rejects", str(folder / "r.parquet"), *options]
    code = "import sys; from fragmodel.cli import app; app(prog_name='fragmodel')"
    return subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=False)


def test_usable_file(tmp_path):
    done = call(tmp_path, SAMPLE / "VenusX_Dom" / "test.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "accepted 11, rejected 0"
    columns = [
        "record_id",
        "uid",
        "sequence",
        "start",
        "position_ref",
        "position_grd",
        "conversation",
        "answer",
    ]
    assert set(columns) <= set(pq.read_schema(tmp_path / "o.parquet").names)
    assert {"source", "record", "uid", "reason", "detail"} <= set(
        pq.read_schema(tmp_path / "r.parquet").names
    )


def test_records_about_what_is_absent(tmp_path):
    raw, options = SAMPLE / "VenusX_Dom" / "test.json", ("--negatives", "1", "--hard-negatives", "0")

    def absent(*more):
        assert call(tmp_path, raw, *options, *more, task="grounding_single").returncode == 0
        flags = pq.read_table(tmp_path / "o.parquet")["flags"].to_pylist()
        return sum("absent_random" in each for each in flags)

    assert 0 < absent() < absent("--complete", "all")
    assert absent("--complete", "none") == 0
    done = call(tmp_path, raw, "--complete", "some")
    assert done.returncode == 2 and "--complete 'some' is none of stated, all and none" in done.stderr


def test_some_records_rejected(tmp_path):
    raw = tmp_path / "raw.json"
    records = json.loads((SAMPLE / "VenusX_Dom" / "test.json").read_text())
    records[0]["sequence"] = "M-K"
    raw.write_text(json.dumps(records))
    lost = sum(len(entry["frags"]) for entry in records[0]["fragments"])
    done = call(tmp_path, raw)
    assert done.returncode == 0 and "of VenusX_Dom / grounding_group (test) are at fault" in done.stderr
    assert done.stdout.splitlines() == [
        "family: domain",
        f"rejected as gap  {lost:6}  {lost / 11:6.1%}  the sequence has gap characters",
        f"accepted {11 - lost}, rejected {lost}",
    ]
    assert pq.read_metadata(tmp_path / "r.parquet").num_rows == lost
    done = call(tmp_path, raw, "--max-rejected-fraction", "0.01")
    assert done.returncode == 2 and "max_rejected_fraction" in done.stderr


def test_unusable_file(tmp_path):
    raw = tmp_path / "raw.json"
    raw.write_text((SAMPLE / "VenusX_Dom" / "test.json").read_text()[:5000])
    for path in (raw, tmp_path / "missing.json"):
        done = call(tmp_path, path)
        assert done.returncode == 2 and done.stdout == ""
        assert len(done.stderr.splitlines()) == 1 and str(path) in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["raw.json"]


def test_files_that_the_system_refuses(tmp_path):
    """An output that cannot be written, and an input that cannot be read twice: one line each, no traceback."""
    done = call(Path("/proc/nowhere"), SAMPLE / "VenusX_Dom" / "test.json")
    assert done.returncode == 2 and done.stderr == "fragmodel: /proc/nowhere: No such file or directory\n"
    os.mkfifo(tmp_path / "pipe")
    done = call(tmp_path, tmp_path / "pipe")
    assert done.returncode == 2 and "no regular file" in done.stderr and done.stderr.count("\n") == 1


def test_files_without_a_record_are_refused_where_asked(tmp_path):
    raw = tmp_path / "raw.json"
    raw.write_text(json.dumps([{"uid": "P1", "sequence": "MKTAYIAKQR", "fragments": []}]))
    assert call(tmp_path, raw).returncode == 0
    done = call(tmp_path, raw, "--refuse-empty")
    assert (
        done.returncode == 2 and "no record for the test split of VenusX_Dom / grounding_group" in done.stderr
    )


def test_the_family_is_asked_for_and_taken(tmp_path):
    options = ("--family", "active site", "--min-visible-fraction", "0.3")
    assert call(tmp_path, SAMPLE / "VenusX_Dom" / "test.json", *options).returncode == 0
    made = read_metadata(tmp_path / "o.parquet")["arguments"]
    assert (made["family"], made["min_visible_fraction"]) == ("active site", 0.3)
    done = call(tmp_path, SAMPLE / "VenusX_Dom" / "test.json", "--family", "fold")
    assert done.returncode == 2 and "unknown family 'fold'; known: domain, " in done.stderr


def test_a_family_that_nothing_tells_is_warned_of(tmp_path):
    raw = tmp_path / "raw.json"
    raw.write_text((SAMPLE / "VenusX_Dom" / "test.json").read_text())
    done = call(tmp_path, raw, "--data-name", "Mine")
    assert done.returncode == 0 and "warning: neither the name 'Mine' nor --family" in done.stderr
    assert not call(tmp_path, raw, "--data-name", "Mine", "--family", "domain").stderr
