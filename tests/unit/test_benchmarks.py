"""What the benchmarks stand on: the measuring itself, and that the one for a GPU runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIGURES = (
    "import pathlib, sys; folder = pathlib.Path(sys.argv[1]); folder.mkdir(parents=True); "
    "(folder / 'some.json').write_text('[1]')"
)


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},  # a machine with a GPU would take the large shapes
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout


def test_peak_memory_is_that_of_the_process_alone() -> None:
    """`getrusage` would tell the peak of the process that started this one, where that is more."""
    starter = (
        "import subprocess, sys; held = bytearray(b'x') * (400 * 2**20); "
        "subprocess.run([sys.executable, '-c', sys.argv[1]])"
    )
    measured = "from benchmarks.measure import peak_memory; own = bytearray(b'x') * (%d * 2**20); print(peak_memory())"
    assert float(run("-c", starter, measured % 1)) < 200
    assert 300 < float(run("-c", starter, measured % 300)) < 400


def test_gpu_benchmark_runs_on_tiny_shapes(tmp_path: Path) -> None:
    shown = run("-W", "ignore", "-m", "benchmarks", "train_gpu", "--quick", "--output", str(tmp_path))
    rows = json.loads((tmp_path / "train_gpu.json").read_text(encoding="utf-8"))
    assert rows[0]["name"] in shown
    for row in rows:
        assert row["ours"] > 0
        assert row["ratio"] == pytest.approx(row["ours"] / row["peer"], rel=1e-2, abs=1e-3)
    assert rows[0]["ratio"] < 1  # no step is faster than its products alone


def test_a_step_on_the_gpu_that_fails_or_takes_too_long_leaves_the_others_alone(tmp_path: Path) -> None:
    from benchmarks.gpu import Step, run_all

    late = "import subprocess, sys; print('begun', flush=True); subprocess.run(['sleep', '60'])"
    steps = [
        Step("fails", [sys.executable, "-c", "raise SystemExit(3)"], 20),
        Step("late", [sys.executable, "-c", late], 2),
        Step("figures", [sys.executable, "-c", FIGURES, str(tmp_path / "work/benchmarks")], 20),
    ]
    run_all(steps, tmp_path, budget=60, about={"torch": "2"})
    told = json.loads((tmp_path / "gpu.json").read_text())
    assert [each["outcome"] for each in told["steps"]] == [
        "failed with status 3",
        "stopped after 2 s",
        "done",
    ]
    assert told["steps"][1]["said"] == "begun\n" and told["torch"] == "2"
    assert told["figures"] == {"some": [1]}
    run_all(steps, tmp_path, budget=0, about={})
    told = json.loads((tmp_path / "gpu.json").read_text())
    assert {each["outcome"] for each in told["steps"]} == {"not run: time was over"}


def test_copies_of_records_are_relatives_with_the_same_fragments(tmp_path: Path, monkeypatch) -> None:
    from benchmarks import baselines
    from fragmodel.tables import RECORDS, read_rows

    monkeypatch.chdir(Path(__file__).parents[2])
    originals = {row["record_id"]: row for row in baselines._originals(tmp_path, "test")["referring_class"]}
    paths = baselines.write_copies(tmp_path, "test", 2 * len(originals))
    copies = read_rows(paths[0], RECORDS)
    assert len({row["record_id"] for row in copies}) == len(copies) == 2 * len(originals)
    for row in copies:
        original = originals[row["record_id"].rpartition("-")[0]]
        same = sum(a == b for a, b in zip(row["sequence"], original["sequence"], strict=True)) / len(
            row["sequence"]
        )
        assert 0.5 < same < 1
        assert (row["position_ref"], row["classes"]) == (original["position_ref"], original["classes"])
    one_window = {(row["uid"], row["start"]): row["sequence"] for row in copies}
    assert all(one_window[row["uid"], row["start"]] == row["sequence"] for row in copies)
