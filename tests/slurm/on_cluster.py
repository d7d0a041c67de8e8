"""A copy of the repository whose Snakemake submits to the cluster of these tests."""

import copy
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from one_node import ACCOUNT, CPUS, GPUS, OneNodeSlurm
from workflow_copy import Workflow

STEPS = 120  # of training: enough for three interruptions, few enough to wait for
SITE = {
    "resources": {"slurm_account": ACCOUNT},
    "sbatch_options": "",
    "cores_per_node": CPUS,
    "partitions": {"cpu": {}, "gpu": {"max_gpu": GPUS}},
}
# Impatient where the profile is patient with a real cluster; the plugin would ask every 1, 11, 21, … seconds.
QUICK = ("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10")
SNAKEMAKE = """
import sys
from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor
Executor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, value: None)
main(sys.argv[1:])
"""


class OnCluster:
    """A workflow copy, and what it looks like while it runs on ``cluster``."""

    def __init__(self, workflow: Workflow, cluster: OneNodeSlurm) -> None:
        self.workflow = workflow
        self.cluster = cluster
        self.folder = workflow.folder
        (self.folder / "profiles/slurm/site.yaml").write_text(yaml.safe_dump(SITE), encoding="utf-8")

    def copy(self, folder: Path, *without: str) -> "OnCluster":
        """The same run in another folder, ``without`` some of its results."""
        twin = copy.copy(self)
        twin.workflow = self.workflow.twin(folder)
        twin.folder = folder
        for path in without:
            shutil.rmtree(folder / "results" / path)
        return twin

    def start(self, *arguments: str) -> subprocess.Popen:
        """Snakemake with the Slurm profile, as a user starts it; what it says goes to snakemake.out."""
        command = [sys.executable, "-c", SNAKEMAKE, "--profile", "slurm", "--configfile", "run.yaml"]
        with (self.folder / "snakemake.out").open("a") as output:
            return subprocess.Popen(
                [*command, *QUICK, *arguments],
                cwd=self.folder,
                env=self.cluster.environment | {"PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1"},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def finish(self, process: subprocess.Popen, seconds: float = 900) -> str:
        """Wait for a started Snakemake and return what it said; fail with it where it failed."""
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = "a timeout"
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # it cancels its jobs
        said = (self.folder / "snakemake.out").read_text()
        assert status == 0, f"Snakemake ended with {status}\n{said[-6000:]}"
        return said

    def run(self, *arguments: str) -> str:
        return self.finish(self.start(*arguments))

    def doctor(self, config: str, *, status: int) -> str:
        """What `fragmodel doctor` prints here, which must end with ``status``."""
        command = [sys.executable, "-c", "from fragmodel.cli import app; app()", "doctor", "--config", config]
        environment = self.cluster.environment | {"PYTHONPATH": str(self.folder)}
        result = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        assert result.returncode == status, result.stdout + result.stderr
        return result.stdout

    def submitted(self, *fields: str) -> list[dict[str, str]]:
        """The jobs that this copy submitted, as the accounting knows them, with their ``rule``."""
        jobs = self.cluster.jobs("JobID", "WorkDir", "Comment", "State", *fields)
        mine = [job for job in jobs if job["WorkDir"] == str(self.folder)]
        for job in mine:
            job["rule"] = re.sub(r"^rule_|_wildcards_.*", "", job["Comment"])
        return mine

    def training_job(self) -> str:
        """The id of this copy's running training job, or nothing."""
        output = self.cluster.run("squeue", "-h", "-t", "running", "-o", "%A|%k|%Z").stdout
        jobs = [line.split("|") for line in output.splitlines()]
        return next(
            (
                job
                for job, comment, folder in jobs
                if comment == "rule_train_model" and folder == str(self.folder)
            ),
            "",
        )

    def losses(self) -> dict[int, float]:
        """Loss after each step, from the log that training is writing or has written."""
        logs = [*(self.folder / "results/training/checkpoints").glob("*/log.jsonl")]
        entries = [
            json.loads(line) for path in logs for line in path.read_text().splitlines() if line.endswith("}")
        ]
        return {entry["step"]: entry["loss"] for entry in entries if "loss" in entry}

    def wait_for_step(self, step: int, *, other_than: str = "", restarts: int = 0) -> str:
        """Wait until a training job other than the given one, started again so often, has passed ``step``.

        Returns its id.
        """
        found: list[str] = []

        def reached() -> bool:
            job = self.training_job()
            right = job and job != other_than and self.cluster.restarts(job) >= restarts
            found[:] = [job] if right and max(self.losses(), default=0) >= step else []
            return bool(found)

        self.wait(f"step {step} of training", reached)
        return found[0]

    def wait(self, what: str, reached: Callable[[], bool], seconds: float = 300) -> None:
        end = time.monotonic() + seconds
        while not reached():
            said = (self.folder / "snakemake.out").read_text()
            assert time.monotonic() < end, f"no {what} in {seconds} s\n{said[-6000:]}"
            time.sleep(0.1)

    @property
    def resumed_at(self) -> int:
        """The step from which the newest training job went on, 0 where it began."""
        found = re.search(r"Resuming from step (\d+)", self.training_log)
        return int(found[1]) if found else 0

    @property
    def training_log(self) -> str:
        path = self.folder / "results/logs/training.log"
        return path.read_text() if path.exists() else ""  # a job that starts again begins it anew
