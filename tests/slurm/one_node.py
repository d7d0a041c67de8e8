"""A real Slurm of one node: munge, accounting on MariaDB, and GPUs that are only names.

Two partitions as sites have them, and one whose jobs take the GPUs from others.

Everything lies in one folder and listens on free local ports, so that it can run beside another Slurm, as root in a
container or as a plain user.
"""

import getpass
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

PROGRAMS = {
    "munged": "munge",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "slurmdbd": "slurmdbd",
    "slurmctld": "slurm-wlm",
    "slurmd": "slurm-wlm",
    "sbatch": "slurm-wlm",
}
COMMANDS = ("sacct", "sacctmgr", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
ACCOUNT = "2024-17"  # as Python, which Snakemake reads values as, it would be 2007
# More than the machine has, so that a request is never refused: nothing here enforces it.
CPUS, MEMORY_MB, GPUS = 16, 256_000, 4

SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=100000
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=10
ReturnToService=2
MailProg=/bin/true
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting}
AccountingStoragePass={folder}/munge.socket
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
JobAcctGatherType=jobacct_gather/linux
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=2-00:00:00 State=UP
PartitionName=gpu Nodes={host} MaxTime=2-00:00:00 PriorityTier=1 GraceTime=60 State=UP
PartitionName=urgent Nodes={host} PriorityTier=10 State=UP
"""

SLURMDBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={accounting}
SlurmUser={user}
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StorageLoc=slurm_acct_db
"""


class OneNodeSlurm:
    """``start()`` returns when jobs can be submitted; ``stop()`` ends every process that was started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        }
        self._processes: list[subprocess.Popen] = []

    def start(self) -> None:
        ports = dict(zip(("controller", "node", "accounting", "database"), _free_ports(4), strict=True))
        names = ports | {
            "folder": self.folder,
            "user": getpass.getuser(),
            "host": socket.gethostname().partition(".")[0],
            "cpus": CPUS,
            "memory": MEMORY_MB,
            "gpus": GPUS,
        }
        for name in ("bin", "state", "spool", "database"):
            (self.folder / name).mkdir()
        for name in COMMANDS:
            # Jobs of the plugin lose SLURM_CONF on their way: real sites have their file in its usual place.
            command = f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which(name)} "$@"\n'
            self._write(f"bin/{name}", command, mode=0o755)
        self._write("slurm.conf", SLURM_CONF.format(**names))
        self._write("slurmdbd.conf", SLURMDBD_CONF.format(**names), mode=0o600)
        devices = "".join(f"Name=gpu File=/dev/{name}\n" for name in ("null", "zero", "full", "random"))
        self._write("gres.conf", devices)
        self._start_munge()
        self._start_database(ports["database"])
        self._start("slurmdbd", "-D")
        _wait("slurmdbd", lambda: self.run("sacctmgr", "-n", "list", "cluster", check=False).returncode == 0)
        for entity in (
            ["cluster", "test"],
            ["account", ACCOUNT, "Cluster=test"],
            ["user", getpass.getuser(), f"Account={ACCOUNT}"],
        ):
            self.run("sacctmgr", "-i", "add", *entity)
        self._start("slurmctld", "-D", "-f", str(self.folder / "slurm.conf"))
        self._start("slurmd", "-D", "-f", str(self.folder / "slurm.conf"))
        _wait("the node", lambda: "idle" in self.run("sinfo", "-h", "-o", "%T", check=False).stdout)

    def stop(self) -> None:
        """Cancel what still runs, then end the daemons in the reverse order of their start, come what may."""
        try:
            if len(self._processes) == len(("munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd")):
                self.run("scancel", "--user", getpass.getuser(), check=False)
                _wait("the last jobs", lambda: not self.run("squeue", "-h", check=False).stdout.strip())
        finally:
            for process in reversed(self._processes):
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            self._end_escaped()

    def _end_escaped(self) -> None:
        """``proctrack/linuxproc`` loses a job's process whose parent was killed; the cgroups of real sites do not."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                environment = process.environ()
                if "SLURM_JOB_ID" in environment and str(self.folder) in environment.get("PATH", ""):
                    process.kill()

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run a Slurm command against this cluster."""
        result = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if check and result.returncode:
            raise AssertionError(f"{' '.join(command)}: {result.stdout}{result.stderr}")
        return result

    def fail_node(self) -> None:
        """Let Slurm take the node for dead, with all that runs on it, and for mended a moment later."""
        node = socket.gethostname().partition(".")[0]
        self.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
        self.run("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)  # it may be back

    def preempt(self) -> None:
        """Take the GPUs away from whoever has them."""
        self.run("sbatch", "--partition=urgent", f"--gres=gpu:{GPUS}", "--output=/dev/null", "--wrap=true")

    def restarts(self, job: str) -> int:
        """How often Slurm has started the job again."""
        return int(re.search(r"Restarts=(\d+)", self.run("scontrol", "show", "job", job).stdout)[1])

    def jobs(self, *fields: str) -> list[dict[str, str]]:
        """Every job of the accounting database, without its steps, one for each time it was started."""
        output = self.run("sacct", "-X", "-D", "-n", "-P", "-S", "now-1day", "-o", ",".join(fields)).stdout
        return [dict(zip(fields, line.split("|"), strict=True)) for line in output.splitlines()]

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        # --force: the folder of a test is not as private as munge wishes.
        self._start(
            "munged",
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--socket={self.folder / 'munge.socket'}",
            f"--pid-file={self.folder / 'munged.pid'}",
            f"--seed-file={self.folder / 'munged.seed'}",
            f"--log-file={self.folder / 'munged.log'}",
        )
        _wait("munged", (self.folder / "munge.socket").exists)

    def _start_database(self, port: int) -> None:
        where = [f"--datadir={self.folder / 'database'}", f"--user={getpass.getuser()}"]
        self.run(
            "mariadb-install-db",
            "--no-defaults",
            *where,
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        )
        self._start(
            "mariadbd",
            "--no-defaults",
            *where,
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.folder / 'mariadb.socket'}",
            "--skip-grant-tables",
            "--innodb-flush-log-at-trx-commit=0",
        )
        _wait("mariadbd", lambda: _listens(port))

    def _start(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.out").open("w") as log:
            self._processes.append(
                subprocess.Popen(
                    [_find(program), *arguments], env=self.environment, stdout=log, stderr=subprocess.STDOUT
                )
            )

    def _write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.folder / name
        path.write_text(text.lstrip())
        path.chmod(mode)


def _find(program: str) -> str:
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or program


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait(what: str, ready: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise AssertionError(f"{what} is not ready after {seconds} s")
        time.sleep(0.2)
