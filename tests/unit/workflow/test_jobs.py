"""What a job says when it fails."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fragmodel.errors import UserError
from fragmodel.workflow.jobs import job_log

COMMAND = ["fragmodel", "embed", "a b.fasta"]


def test_a_mistake_is_one_line_in_the_log_and_on_the_terminal(tmp_path, capsys):
    with pytest.raises(SystemExit), job_log(tmp_path / "logs/a.log", COMMAND):
        raise UserError("no such file")
    assert capsys.readouterr().err == "error: no such file\n"
    assert (tmp_path / "logs/a.log").read_text() == "fragmodel embed 'a b.fasta'\nerror: no such file\n"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "store/0.bin"),
        PermissionError(errno.EACCES, os.strerror(errno.EACCES), "store/0.bin"),
        RuntimeError("PytorchStreamWriter failed writing file store/0.bin: file write failed"),
        RuntimeError("[enforce fail] . unexpected pos 64 vs 0 (store/0.bin)"),
    ],
)
def test_a_full_or_protected_file_system_is_named_on_the_terminal(error, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught, job_log(tmp_path / "a.log", COMMAND):
        raise error
    assert caught.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert "store/0.bin" in line
    assert "Traceback" in (tmp_path / "a.log").read_text()


def test_another_fault_is_left_to_its_traceback(tmp_path, capsys):
    with pytest.raises(ValueError), job_log(tmp_path / "a.log", COMMAND):
        raise ValueError("a defect")
    assert not capsys.readouterr().err


SNAKEMAKE = """
import signal, subprocess, sys
from fragmodel.workflow.jobs import jobs_end_with_this, pass_signals_on
signal.signal(signal.SIGTERM, lambda *received: print("no more jobs", flush=True))
jobs_end_with_this()
pass_signals_on()
subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[2]])
"""
JOB = """
import signal, sys, time
from pathlib import Path
from fragmodel.workflow.jobs import job_log
signal.signal(signal.SIGTERM, lambda *received: sys.exit(Path(sys.argv[1], "ended").touch()))
with job_log(Path(sys.argv[1], "log"), []):
    Path(sys.argv[1], "works").touch()
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_jobs_end_with_their_snakemake(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SNAKEMAKE, JOB, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as snakemake:
        while not (tmp_path / "works").exists():
            assert snakemake.poll() is None
        snakemake.send_signal(number)
        said, _ = snakemake.communicate(timeout=50)  # the job has the other end of the pipe
    assert (tmp_path / "ended").exists()
    assert ("no more jobs" in said) == (number == signal.SIGTERM)


SNAKEFILE = """
from snakemake.logging import logger
from fragmodel.workflow.jobs import outlive_terminal
onstart:
    outlive_terminal(logger)
rule all:
    input: "second"
rule first:
    output: "first"
    shell: "touch works; while [ ! -e unread ]; do sleep 0.05; done; touch {output}"
rule second:
    input: "first"
    output: "second"
    shell: "touch {output}"
"""


def test_a_run_goes_on_when_nobody_reads_its_output(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "1"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as snakemake:
        while not (tmp_path / "works").exists():
            assert snakemake.poll() is None
            time.sleep(0.05)
        snakemake.stderr.close()
        (tmp_path / "unread").touch()
        try:
            snakemake.wait(timeout=300)
        finally:
            snakemake.kill()
    assert (tmp_path / "second").exists()
