"""Starting and repeating a training run, with a program that only writes what training would write."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fragmodel.config import AdapterConfig, LoraConfig, TrainingConfig
from fragmodel.errors import UserError
from fragmodel.training.claim import claim
from fragmodel.training.launch import launch, launch_command

PROGRAM = """
import signal, sys, time
from pathlib import Path
folder = Path(sys.argv[sys.argv.index("--output_dir") + 1])
steps = len((folder / "log.jsonl").read_text().splitlines()) if (folder / "log.jsonl").exists() else 0
checkpoint = folder / "checkpoint-1"
checkpoint.mkdir(exist_ok=True)
(checkpoint / "trainer_state.json").write_text("{}")
with (folder / "log.jsonl").open("a") as log:
    log.write(" ".join(sys.argv) + "\\n")
(folder / "adapter_model.safetensors").write_text("weights")
"""


class Run:
    """A launch whose training program is a few lines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder / "model"
        self.program(PROGRAM)
        pq.write_table(pa.table({"x": [1]}), folder / "train.parquet")
        for name in ("encoder", "decoder"):
            (folder / name).mkdir()

    def program(self, code: str) -> None:
        (self.folder / "train_trainer.py").write_text(textwrap.dedent(code))

    def launch(
        self, *, code: str = "1", anew: bool = False, seed: int = 1, aligned: Path | None = None
    ) -> list[str]:
        """Train and return the command lines that the program has been started with so far."""
        launch(
            programs=self.folder,
            encoder=self.folder / "encoder",
            decoder=self.folder / "decoder",
            train=[self.folder / "train.parquet"],
            valid=[],
            weights=[1.0],
            store=None,
            fingerprint=None,
            checkpoints=self.folder / "checkpoints",
            model=self.model,
            log=self.folder / "log.jsonl",
            adapter=AdapterConfig(),
            lora=LoraConfig(),
            training=TrainingConfig(),
            seed=seed,
            code=code,
            anew=anew,
            aligned=aligned,
        )
        return (self.folder / "log.jsonl").read_text().splitlines()


@pytest.fixture
def run(tmp_path, monkeypatch) -> Run:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    return Run(tmp_path)


def test_the_model_is_collected_without_the_checkpoints(run):
    run.launch()
    assert [path.name for path in run.model.iterdir()] == ["adapter_model.safetensors"]


def test_a_failed_run_keeps_its_checkpoints_and_is_resumed(run):
    run.program(PROGRAM + "\nsys.exit(3)")
    with pytest.raises(UserError, match="status 3"):
        run.launch()
    assert not run.model.exists()
    run.program(PROGRAM)
    first, second = run.launch()
    assert "--resume_from_checkpoint" not in first
    assert "--resume_from_checkpoint True" in second


def test_a_checkpoint_without_its_last_file_is_not_resumed(run):
    run.program(PROGRAM + "\n(checkpoint / 'trainer_state.json').unlink()\nsys.exit(1)")
    for _ in range(2):
        with pytest.raises(UserError):
            run.launch()
    log = next((run.folder / "checkpoints").glob("*/log.jsonl"))
    assert "--resume_from_checkpoint" not in log.read_text()


def test_a_finished_run_is_not_repeated(run):
    run.launch()
    assert len(run.launch()) == 1
    assert run.model.is_dir()


@pytest.mark.parametrize("options", [{"anew": True}, {"code": "2"}])
def test_force_and_edited_code_train_anew(run, options):
    run.launch()
    (line,) = run.launch(**options)
    assert "--resume_from_checkpoint" not in line


def test_another_setting_has_another_folder(run):
    run.launch()
    assert "--seed 2" in run.launch(seed=2)[0]
    assert len([*(run.folder / "checkpoints").iterdir()]) == 2


def test_a_signal_is_passed_on_and_an_interruption_named(run):
    run.program(
        """
        import signal, sys, time
        signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))
        time.sleep(20)
        """
    )
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    with pytest.raises(UserError, match="wrote a checkpoint"):
        run.launch()
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_one_process_needs_no_launcher():
    command = launch_command(Path("train.py"), TrainingConfig(gpus=1), ["--seed", "1"])
    assert command == [sys.executable, "train.py", "--seed", "1"]


def test_several_gpus_of_a_node_run_under_torchrun():
    command = launch_command(Path("train.py"), TrainingConfig(gpus=8), ["--seed", "1"])
    assert command[1:4] == ["-m", "torch.distributed.run", "--nproc-per-node=8"]
    assert command[-4:] == ["--standalone", "train.py", "--seed", "1"]


def test_several_nodes_run_one_torchrun_each_under_srun(monkeypatch, tmp_path):
    """The command really runs, with a stand-in for srun that starts one of its tasks."""
    monkeypatch.setenv("SLURM_JOB_ID", "40123")
    monkeypatch.setenv("OMP_NUM_THREADS", "16")
    command = launch_command(Path("train.py"), TrainingConfig(gpus=8, nodes=2), ["--text", "a b"])
    options = command[1 : command.index("sh")]
    assert command[0] == "srun"
    assert options == ["--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=16", "--gres=gpu:8"]
    task = command[command.index("sh") :]
    task[task.index(sys.executable)] = "echo"
    environment = os.environ | {"SLURM_NODEID": "1", "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7"}
    said = subprocess.run(task, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.startswith("-m torch.distributed.run --node-rank=1 --master-addr=10.0.0.7 --nproc-per-node=8")
    assert said.rstrip().endswith("--nnodes=2 --master-port=20123 train.py --text a b")


def test_several_nodes_need_slurm(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(UserError, match="need Slurm"):
        launch_command(Path("train.py"), TrainingConfig(nodes=2), [])


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """A squeue that prints the file `state`, and a scancel that writes it."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, code in (("squeue", "cat state"), ("scancel", "echo CANCELLED > state; echo $1 > cancelled")):
        (tools / name).write_text(f"#!/bin/sh\ncd {tmp_path}\n{code}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "2")
    return tmp_path


@pytest.mark.parametrize(("state", "cancelled"), [("RUNNING", True), ("FAILED", False), ("", False)])
def test_a_job_that_was_left_behind_ends_first(slurm, state, cancelled):
    (slurm / "state").write_text(state)
    (slurm / "slurm_job").write_text("1")
    claim(slurm, interval=0.01)
    assert (slurm / "cancelled").exists() == cancelled
    assert (slurm / "slurm_job").read_text() == "2"


def test_a_job_that_does_not_end_is_named(slurm):
    (slurm / "bin/scancel").write_text("#!/bin/sh\n")
    (slurm / "state").write_text("RUNNING")
    (slurm / "slurm_job").write_text("1")
    with pytest.raises(UserError, match="scancel 1"):
        claim(slurm, patience=0.05, interval=0.01)


def test_a_requeued_job_keeps_its_folder(slurm):
    (slurm / "state").write_text("RUNNING")
    (slurm / "slurm_job").write_text("2")
    claim(slurm, interval=0.01)
    assert not (slurm / "cancelled").exists()


def test_aligned_adapters_are_another_run_and_are_handed_on(run, tmp_path):
    plain = run.launch()
    (tmp_path / "aligned").mkdir()
    (tmp_path / "aligned/adapters.safetensors").write_text("weights")
    (line,) = run.launch(aligned=tmp_path / "aligned")
    assert f"--load_model_checkpoint_path {tmp_path / 'aligned'}" in line
    assert "--load_model_checkpoint_path" not in plain[0]
    assert line.split("--output_dir ")[1].split()[0] != plain[0].split("--output_dir ")[1].split()[0]
