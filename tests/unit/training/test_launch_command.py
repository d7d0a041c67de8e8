"""The command that starts training: one process, several, several nodes."""

import os
import subprocess
import sys

import pytest

from fragmodel.config.training import TrainingConfig
from fragmodel.errors import UserError
from fragmodel.training.launch import launch_command


def test_one_process_needs_no_launcher():
    command = launch_command(["train", "x"], TrainingConfig(gpus=1), ["--seed", "1"])
    assert command == [sys.executable, "-m", "train", "x", "--seed", "1"]


def test_several_gpus_of_a_node_run_under_torchrun():
    command = launch_command(["train"], TrainingConfig(gpus=8), ["--seed", "1"])
    assert command[1:4] == ["-m", "torch.distributed.run", "--nproc-per-node=8"]
    assert command[-5:] == ["--standalone", "-m", "train", "--seed", "1"]


def test_several_nodes_run_one_torchrun_each_under_srun(monkeypatch, tmp_path):
    """The command really runs, with a stand-in for srun that starts one of its tasks."""
    monkeypatch.setenv("SLURM_JOB_ID", "40123")
    monkeypatch.setenv("OMP_NUM_THREADS", "16")
    command = launch_command(["train"], TrainingConfig(gpus=8, nodes=2), ["--text", "a b"])
    options = command[1 : command.index("sh")]
    assert command[0] == "srun"
    assert options == ["--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=16", "--gres=gpu:8"]
    task = command[command.index("sh") :]
    task[task.index(sys.executable)] = "echo"
    environment = os.environ | {"SLURM_NODEID": "1", "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7"}
    said = subprocess.run(task, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.startswith("-m torch.distributed.run --node-rank=1 --master-addr=10.0.0.7 --nproc-per-node=8")
    assert said.rstrip().endswith("--nnodes=2 --master-port=20123 -m train --text a b")


def test_several_nodes_need_slurm(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(UserError, match="need Slurm"):
        launch_command(["train"], TrainingConfig(nodes=2), [])
