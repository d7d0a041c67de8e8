"""The alignment program on a few real proteins: chunks, ranks, interruptions, and what training takes from it."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from align_inputs import REPOSITORY, Inputs
from tiny_models import DIM, joined

from fragmodel.alignment.train import Aligner, AlignmentRun
from fragmodel.data.ingest import ingest
from fragmodel.errors import UserError
from fragmodel.model.trained import load_projectors
from fragmodel.training.interrupt import Interruption
from fragmodel.training.launch import launch_command

STEPS = 12
LONG = {"max_steps": 150, "checkpoint_steps": 20}


def losses(log: Path) -> dict[int, float]:
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    return {entry["step"]: entry["loss"] for entry in entries if "loss" in entry}


def validation(log: Path) -> list[dict]:
    return [entry for line in log.read_text().splitlines() if "eval_loss" in (entry := json.loads(line))]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Inputs:
    return Inputs(tmp_path_factory.mktemp("alignment"))


@pytest.fixture(scope="module")
def aligned(inputs, tmp_path_factory) -> Path:
    """A run as the pipeline starts it."""
    folder = tmp_path_factory.mktemp("aligned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("SLURM_JOB_ID", raising=False)
        inputs.align(folder)
    return folder


def run_here(run: AlignmentRun, folder: Path) -> Path:
    """Align to the end in this process, on one thread: threads share sums out differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with Interruption() as interruption:
            assert Aligner(run, folder).train(interruption)
    finally:
        torch.set_num_threads(threads)
    return folder


def test_it_learns_both_kinds(aligned):
    assert list(losses(aligned / "log.jsonl")) == list(range(1, STEPS + 1))
    *entries, spent = [json.loads(line) for line in (aligned / "log.jsonl").read_text().splitlines()]
    assert {entry["kind"] for entry in entries} == {"protein", "fragment"}
    assert spent["step"] == STEPS and spent["jobs"] == 1 and spent["seconds"] > 0
    first, *_, last = validation(aligned / "log.jsonl")
    assert [entry["step"] for entry in validation(aligned / "log.jsonl")] == [0, 4, 8, 12]
    assert last["eval_loss"] < 0.9 * first["eval_loss"]
    assert last["to_text"]["mrr"] > first["to_text"]["mrr"]
    summary = json.loads((aligned / "model/alignment.json").read_text())
    assert summary["temperature"] != pytest.approx(0.05, rel=1e-6)


def test_training_takes_the_output(aligned, inputs):
    assert sorted(path.name for path in (aligned / "model").iterdir()) == [
        ".environment.json.sha256",
        "adapters.safetensors",
        "alignment.json",
        "environment.json",
        "fragmodel.sha256",
    ]
    spec = inputs.models.spec(intermediate_dim=32, perceiver_latent_size=1)
    model, _ = spec.build(include_encoder=False)
    before = joined(model).modality_adapter(torch.ones(1, DIM))
    assert sorted(load_projectors(model, aligned / "model")) == ["fragment_adapter", "modality_adapter"]
    assert not torch.allclose(joined(model).modality_adapter(torch.ones(1, DIM)), before)


def test_chunks_do_not_change_the_losses(aligned, inputs, tmp_path):
    run_here(inputs.run(inputs.config(chunk_size=3)), tmp_path)
    assert losses(tmp_path / "log.jsonl") == pytest.approx(losses(aligned / "log.jsonl"), abs=1e-4)


@pytest.fixture(scope="module")
def long_run(inputs, tmp_path_factory) -> Path:
    """A finished run of many steps in one process."""
    return run_here(inputs.run(inputs.config(**LONG)), tmp_path_factory.mktemp("long"))


def interrupted(inputs: Inputs, folder: Path, number: signal.Signals, **changes: object) -> list[str]:
    """Start a long run and send it a signal after its first checkpoint; returns the command."""
    config = inputs.config(**LONG, **changes)
    (folder / "settings.json").write_text(inputs.run(config).model_dump_json())
    command = launch_command(["fragmodel.alignment.program"], config, [str(folder)])
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 240
    while not (folder / "checkpoint-20/trainer_state.json").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, number) if number == signal.SIGKILL else process.send_signal(number)
    assert process.wait() != 0
    assert max(losses(folder / "log.jsonl"), default=0) < LONG["max_steps"], "the signal came before the end"
    return command


class _Crash(Exception):
    pass


def test_a_resumed_run_repeats_the_uninterrupted_one_exactly(inputs, long_run, tmp_path, monkeypatch):
    """It dies at step 50, after the checkpoint of step 40, and is started again."""
    run = inputs.run(inputs.config(**LONG))
    with monkeypatch.context() as patch, pytest.raises(_Crash):
        step = Aligner._step
        patch.setattr(
            Aligner, "_step", lambda self, *batch: crash() if self.step == 50 else step(self, *batch)
        )
        run_here(run, tmp_path)
    assert max(losses(tmp_path / "log.jsonl")) == 50
    run_here(run, tmp_path)
    assert losses(tmp_path / "log.jsonl") == losses(long_run / "log.jsonl")
    assert validation(tmp_path / "log.jsonl") == validation(long_run / "log.jsonl")
    weights = [(folder / "adapters.safetensors").read_bytes() for folder in (tmp_path, long_run)]
    assert weights[0] == weights[1]


def crash() -> float:
    raise _Crash


@pytest.mark.slow
def test_killed_and_resumed_goes_on_as_if_nothing_had_been(inputs, long_run, tmp_path):
    interrupted(inputs, tmp_path, signal.SIGKILL)
    run_here(inputs.run(inputs.config(**LONG)), tmp_path)
    # Another process rounds differently where it has other threads.
    assert losses(tmp_path / "log.jsonl") == pytest.approx(losses(long_run / "log.jsonl"), abs=1e-3)


@pytest.mark.slow
def test_two_ranks_asked_to_end_and_resumed_are_still_one_process(inputs, long_run, tmp_path):
    """The same batches over two processes, in pieces, interrupted: the losses of one process."""
    command = interrupted(inputs, tmp_path, signal.SIGTERM, processes=2, chunk_size=3)
    done = max(losses(tmp_path / "log.jsonl"))
    assert (tmp_path / f"checkpoint-{done}/trainer_state.json").exists(), "no step is lost"
    subprocess.run(command, check=True, capture_output=True)
    assert losses(tmp_path / "log.jsonl") == pytest.approx(losses(long_run / "log.jsonl"), abs=1e-3)


def test_a_finished_run_is_not_repeated(inputs, aligned, capsys):
    (checkpoint,) = (aligned / "checkpoints").glob("*/checkpoint-12")
    written = checkpoint.stat().st_mtime_ns
    inputs.align(aligned)
    assert "has finished before" in capsys.readouterr().out
    assert checkpoint.stat().st_mtime_ns == written


def test_without_pairs_it_says_so(inputs, tmp_path):
    class_records = tmp_path / "class.parquet"
    ingest(
        [REPOSITORY / "data/sample/VenusX_Motif/valid.json"],
        task="referring_class",
        data_name="Mine_Motif",
        output=class_records,
        rejects=tmp_path / "rejects.parquet",
    )
    run = inputs.run(inputs.config()).model_copy(update={"train": [class_records]})
    with pytest.raises(UserError, match="no training record of the tasks function or referring_desc"):
        Aligner(run, tmp_path)
