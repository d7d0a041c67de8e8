"""Starting and repeating a training run, with a program that only writes what training would write."""

import json
import os
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fragmodel.config.training import AdapterConfig, LoraConfig, TrainingConfig
from fragmodel.digests import write_noted
from fragmodel.errors import UserError
from fragmodel.files import holder
from fragmodel.training.launch import launch
from fragmodel.workflow.jobs import job_log

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
        (self.folder / "stub_program.py").write_text(textwrap.dedent(code))

    def launch(
        self,
        *,
        code: str = "1",
        anew: bool = False,
        seed: int = 1,
        aligned: Path | None = None,
        training: TrainingConfig | None = None,
    ) -> list[str]:
        """Train and return the command lines that the program has been started with so far; it logs nothing else."""
        launch(
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
            training=training or TrainingConfig(),
            seed=seed,
            code=code,
            anew=anew,
            aligned=aligned,
        )
        return [line for line in (self.folder / "log.jsonl").read_text().splitlines() if line[0] != "{"]


@pytest.fixture
def run(tmp_path, monkeypatch) -> Run:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr("fragmodel.training.launch.PROGRAM", "stub_program")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Run(tmp_path)


def test_the_model_is_collected_without_the_checkpoints(run):
    run.launch()
    names = sorted(path.name for path in run.model.iterdir())
    assert names == [".environment.json.sha256", "adapter_model.safetensors", "environment.json"]


def test_a_failed_run_keeps_its_checkpoints_and_is_resumed(run):
    run.program(PROGRAM + "\nsys.exit(3)")
    with pytest.raises(UserError, match="status 3"):
        run.launch()
    assert not run.model.exists()
    run.program(PROGRAM)
    first, second = run.launch()
    assert "--resume_from_checkpoint" not in first
    assert "--resume_from_checkpoint True" in second


def test_the_terminal_is_told_the_mistake_that_the_program_named_in_the_log(run, tmp_path, capsys):
    """The program's output goes to the job's log, where nobody looks first."""
    run.program("""
        import sys
        print("error: of an attempt before")
        sys.exit("error: record 7 of train.parquet has no answer")
    """)
    with pytest.raises(SystemExit), job_log(tmp_path / "training.log", ["train"]):
        run.launch()
    assert capsys.readouterr().err == "error: record 7 of train.parquet has no answer\n"


def test_a_crash_without_a_mistake_leads_to_the_log(run, tmp_path, capsys):
    run.program("raise ValueError('a defect')")
    with pytest.raises(SystemExit), job_log(tmp_path / "training.log", ["train"]):
        run.launch()
    said = "error: training ended with status 1; what it said is in the stage's log\n"
    assert capsys.readouterr().err == said
    assert "ValueError: a defect" in (tmp_path / "training.log").read_text()


def test_the_log_ends_with_what_all_jobs_of_the_training_took(run):
    """Each of the three sleeps for half a second; the second holds 300 MB more than the others, and fails."""
    waiting = PROGRAM + "\ntime.sleep(0.5)"
    hungry = "\nballast = bytearray(b'x') * 300_000_000\ntime.sleep(2)"
    for program in (waiting + "\nsys.exit(3)", waiting + hungry + "\nsys.exit(3)"):
        run.program(program)
        with pytest.raises(UserError):
            run.launch()
    run.program(waiting)
    run.launch()
    entry = json.loads((run.folder / "log.jsonl").read_text().splitlines()[-1])
    (folder,) = (run.folder / "checkpoints").glob("*/jobs.json")
    jobs = json.loads(folder.read_text())
    assert (entry["step"], entry["jobs"], len(jobs)) == (1, 3, 3)
    assert 3.5 <= entry["seconds"] == pytest.approx(sum(job["seconds"] for job in jobs), abs=0.1)
    memory = [job["peak_memory_mb"] for job in jobs]
    assert entry["peak_memory_mb"] == memory[1] > 300 + max(memory[0], memory[2]) - 50


def test_a_killed_job_counts_up_to_its_last_note(run):
    """Only its folder tells of it: it wrote no end."""
    run.program(PROGRAM + "\nsys.exit(3)")
    with pytest.raises(UserError):
        run.launch()
    (folder,) = (run.folder / "checkpoints").iterdir()
    write_noted(folder / "jobs.json", json.dumps([{"seconds": 3600.0, "peak_memory_mb": 9.0}]))
    run.program(PROGRAM)
    run.launch()
    entry = json.loads((run.folder / "log.jsonl").read_text().splitlines()[-1])
    assert entry["jobs"] == 2 and 3600 <= entry["seconds"] < 3660


def test_a_checkpoint_without_its_last_file_is_not_resumed(run):
    run.program(PROGRAM + "\n(checkpoint / 'trainer_state.json').unlink()\nsys.exit(1)")
    for _ in range(2):
        with pytest.raises(UserError):
            run.launch()
    log = next((run.folder / "checkpoints").glob("*/log.jsonl"))
    assert "--resume_from_checkpoint" not in log.read_text()


def test_a_checkpoint_that_was_cut_off_is_removed_and_the_one_before_is_resumed(run):
    """Else it would count as the newest one to keep, and the whole one be removed for it."""
    run.program(PROGRAM + "\n(folder / 'checkpoint-9').mkdir()\nsys.exit(1)")
    with pytest.raises(UserError):
        run.launch()
    run.program(PROGRAM)
    assert "--resume_from_checkpoint True" in run.launch()[-1]
    assert [path.name for path in run.folder.glob("checkpoints/*/checkpoint-*")] == ["checkpoint-1"]


def test_a_finished_run_is_not_repeated(run):
    run.launch()
    assert len(run.launch()) == 1
    assert run.model.is_dir()


@pytest.mark.parametrize("options", [{"anew": True}, {"code": "2"}, {"seed": 2}])
def test_force_edited_code_and_another_setting_train_anew_beside_the_finished_run(run, options):
    run.launch()
    (first,) = (run.folder / "checkpoints").iterdir()
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    (line,) = run.launch(**options)
    assert "--resume_from_checkpoint" not in line
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before
    assert len([*(run.folder / "checkpoints").iterdir()]) == 2
    assert len(run.launch(**{**options, "anew": False})) == 1, "what finished last is taken"


def test_an_interrupted_repetition_goes_on(run):
    run.launch()
    run.program(PROGRAM + "\nsys.exit(3)")
    with pytest.raises(UserError):
        run.launch(anew=True)
    run.program(PROGRAM)
    assert "--resume_from_checkpoint True" in run.launch()[-1]
    assert len([*(run.folder / "checkpoints").iterdir()]) == 2


@pytest.mark.parametrize(("processes", "sharded"), [(1, False), (2, True)])
def test_several_processes_shard_where_the_config_says_so(run, processes, sharded):
    (line,) = run.launch(training=TrainingConfig(parallel="fsdp", processes=processes))[-1:]
    assert ("--fsdp full_shard" in line) == sharded


INTERRUPTED = """
    import signal, sys, time
    from pathlib import Path
    folder = Path(sys.argv[sys.argv.index("--output_dir") + 1])
    def end(*_):
        for name in sys.argv[-1].split():
            (folder / f"checkpoint-{name}").mkdir()
            (folder / f"checkpoint-{name}/trainer_state.json").write_text("{}")
        sys.exit(1)  # under torchrun a process's own status is lost
    signal.signal(signal.SIGUSR1, end)
    (folder / "ready").touch()
    time.sleep(60)
    """


def interrupted(run: Run, checkpoint: str) -> str:
    """What a launch says whose program gets SIGUSR1 and then has this checkpoint or none."""
    run.program(INTERRUPTED.replace("sys.argv[-1]", repr(checkpoint)))

    def send() -> None:
        wait_for(run, "ready")
        os.kill(os.getpid(), signal.SIGUSR1)

    threading.Thread(target=send, daemon=True).start()
    with pytest.raises(UserError) as caught:
        run.launch()
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    return str(caught.value)


def test_a_signal_is_passed_on_and_an_interruption_named(run):
    assert "wrote a checkpoint; run again" in interrupted(run, "7")


def test_no_checkpoint_is_claimed_that_is_not_there(run):
    assert "status 1" in interrupted(run, "")


KILLED = """
    import signal, sys, time
    from pathlib import Path
    folder = Path(sys.argv[sys.argv.index("--output_dir") + 1])
    def end(*_):
        (folder / "asked").touch()
        while not (folder / "let go").exists():
            time.sleep(0.02)
        (folder / "checkpoint-7").mkdir()
        (folder / "checkpoint-7/trainer_state.json").write_text("{}")
        sys.exit(1)
    signal.signal(signal.SIGTERM, end)
    (folder / "ready").touch()
    time.sleep(60)
    """


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell a child of its parent's end")
def test_the_program_of_a_killed_launcher_ends_in_order_and_alone(run):
    run.program(KILLED)
    launcher = os.fork()
    if not launcher:
        run.launch()
        os._exit(0)
    wait_for(run, "ready")
    os.kill(launcher, signal.SIGKILL)
    os.waitpid(launcher, 0)
    folder = wait_for(run, "asked").parent
    with pytest.raises(UserError, match=f"is being trained by process {launcher} on "):
        run.launch()
    (folder / "let go").touch()
    wait_for(run, "checkpoint-7/trainer_state.json")
    run.program(PROGRAM)
    while holder(folder / ".lock"):
        time.sleep(0.02)
    assert "--resume_from_checkpoint True" in run.launch()[-1]


def wait_for(run: Run, name: str) -> Path:
    while not (found := list(run.folder.glob(f"checkpoints/*/{name}"))):
        time.sleep(0.02)
    return found[0]


@pytest.mark.parametrize(
    ("state", "checkpoint", "requeued"),
    [("RUNNING", "7", True), ("RUNNING", "", False), ("COMPLETING", "7", False), ("CANCELLED", "7", False)],
)
def test_an_interrupted_job_starts_again_unless_cancelled(run, slurm, state, checkpoint, requeued):
    (slurm / "state").write_text(state)
    assert ("Slurm starts this job again" in interrupted(run, checkpoint)) == requeued
    assert (slurm / "requeued").exists() == requeued


def test_aligned_adapters_are_another_run_and_are_handed_on(run, tmp_path):
    plain = run.launch()
    (tmp_path / "aligned").mkdir()
    (tmp_path / "aligned/adapters.safetensors").write_text("weights")
    (line,) = run.launch(aligned=tmp_path / "aligned")
    assert f"--load_model_checkpoint_path {tmp_path / 'aligned'}" in line
    assert "--load_model_checkpoint_path" not in plain[0]
    assert line.split("--output_dir ")[1].split()[0] != plain[0].split("--output_dir ")[1].split()[0]
