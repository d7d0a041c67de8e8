"""What several tests of training share."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """A squeue that prints the file `state`, a scancel that writes it, and a scontrol that requeues."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, code in (
        ("squeue", "cat state"),
        ("scancel", "echo CANCELLED > state; echo $1 > cancelled"),
        ("scontrol", "echo $2 > requeued"),
    ):
        (tools / name).write_text(f"#!/bin/sh\ncd {tmp_path}\n{code}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "2")
    return tmp_path
