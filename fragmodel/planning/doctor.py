"""What a run needs from the machine and the cluster, checked in a second or two before it starts.

Nothing heavy is imported and nothing is submitted: versions come from package metadata, the cluster's word from
sinfo, sacctmgr and scontrol.
"""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from fragmodel.config.run import RunConfig
from fragmodel.errors import UserError
from fragmodel.planning.finding import Finding, State
from fragmodel.planning.lock import lock_finding
from fragmodel.planning.shapes import ESM2
from fragmodel.vocabulary import STAND_IN

PLUGIN = "snakemake-executor-plugin-slurm"
# MinJobAge below three times the profile's status interval makes the plugin ask sacct instead.
MIN_JOB_AGE = 60
LOCAL_FILE_SYSTEMS = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "ramfs", "overlay", "f2fs"}
BYTES = {"bfloat16": 2, "float32": 4, "int8": 1}


def examine(run: RunConfig, *, site_file: Path | None, folder: Path) -> Iterator[Finding]:
    """Findings for a run that starts in ``folder``; with a ``site_file`` also for its way to Slurm.

    Raises :class:`UserError` when the site file is not there or not valid.
    """
    yield _torch(run, on_cluster=site_file is not None)
    yield _mmseqs()
    yield _disk(run, folder)
    yield from lock_finding(folder)
    if site_file is not None:
        yield from _slurm(run, read_site(site_file), folder)


def read_site(path: Path) -> dict[str, Any]:
    """The site file of the Slurm profile. Raises :class:`UserError` when it is not there or not valid."""
    try:
        text = path.read_text(encoding="utf-8")
        site = yaml.safe_load(text)
        names = yaml.load(text, Loader=yaml.BaseLoader)  # all of it text, as the profile reads them
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; start in the folder of the Snakefile, or set FRAGMODEL_SITE"
        ) from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(site, dict) or not isinstance(site.get("partitions"), dict) or not site["partitions"]:
        raise UserError(f"{path}: partitions: name at least one")
    if not isinstance(site.get("cores_per_node"), int):
        raise UserError(f"{path}: cores_per_node: must be a whole number (is {site.get('cores_per_node')!r})")
    return site | {"resources": names.get("resources") or {}}


def _torch(run: RunConfig, *, on_cluster: bool) -> Finding:
    try:
        version, cuda = metadata.version("torch"), _cuda_of_torch()
    except (metadata.PackageNotFoundError, FileNotFoundError):
        return Finding("GPU", "missing", "torch is not installed: make setup")
    built = f"torch {version} for {'CUDA ' + cuda if cuda else 'the CPU only'}"
    gpus = _lines("nvidia-smi", "--list-gpus") or []
    here = f"{len(gpus)} GPU{'s' * (len(gpus) != 1)} visible here"
    wanted = max(run.training.gpus, run.embeddings.gpus, run.evaluation.gpus)
    if (wanted or gpus) and not cuda:
        return Finding(
            "GPU", "missing" if wanted else "note", f"{built}, {here}: install a CUDA build of torch"
        )
    if wanted > len(gpus) and not on_cluster:
        return Finding(
            "GPU", "missing", f"{built}, {here}, the config wants {wanted}: set gpus to what there is"
        )
    return Finding(
        "GPU", "ok", f"{built}, {here}" + (" (login nodes often have none)" if wanted > len(gpus) else "")
    )


def _cuda_of_torch() -> str | None:
    """The CUDA version that the installed torch was built for, read without importing it."""
    place = find_spec("torch").submodule_search_locations[0]
    source = (Path(place) / "version.py").read_text(encoding="utf-8")
    found = re.search(r"^cuda\b[^=]*= '([\d.]+)'", source, re.MULTILINE)
    return found[1] if found else None


def _mmseqs() -> Finding:
    if path := shutil.which("mmseqs"):
        return Finding("MMseqs2", "ok", path)
    return Finding("MMseqs2", "note", "not on PATH: the audit and a baseline use a slower search")


def _disk(run: RunConfig, folder: Path) -> Finding:
    store = folder / run.embeddings.store
    place = next(path for path in (store, *store.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if run.embeddings.mode != "store":
        return Finding("disk space", "ok", f"{_size(free)} free; this run keeps no store")
    windows = folder / run.results / "windows.parquet"
    dim = _encoder_dim(run, folder)
    if dim is None:
        return Finding(
            "disk space", "note", f"{_size(free)} free at {run.embeddings.store}; encoder not known here"
        )
    if windows.exists():
        import pyarrow.compute as pc

        from fragmodel.tables import open_table

        with open_table(windows) as parquet:
            lengths = parquet.read(columns=["length"])["length"]
        rows, about = (pc.sum(lengths).as_py() or 0) + 2 * len(lengths), "needs"
    else:
        files = {path for data in run.datasets.values() for path in (*data.train, *data.valid, *data.test)}
        present = [folder / path for path in files if (folder / path).is_file()]
        rows, about = sum(path.stat().st_size for path in present), "needs at most"
    need = rows * dim * BYTES[run.embeddings.dtype]
    state: State = "ok" if need < free else "missing" if windows.exists() else "note"
    return Finding("disk space", state, f"{_size(free)} free; the store {about} {_size(need)}")


def _encoder_dim(run: RunConfig, folder: Path) -> int | None:
    """Width of the encoder's states, as far as the config or a config.json tells it."""
    encoder = run.models.encoder
    if encoder == STAND_IN:
        return run.models.stand_in.encoder_dim
    if (known := re.search(r"esm2_t\d+", encoder.lower())) and known[0] in ESM2:
        return ESM2[known[0]][1]
    description = folder / encoder / "config.json"
    if description.is_file():
        return yaml.safe_load(description.read_text(encoding="utf-8")).get("hidden_size")
    return None


def _slurm(run: RunConfig, site: dict[str, Any], folder: Path) -> Iterator[Finding]:
    try:
        yield Finding("plugin", "ok", f"{PLUGIN} {metadata.version(PLUGIN)}")
    except metadata.PackageNotFoundError:
        yield Finding("plugin", "missing", f"{PLUGIN} is not installed: make setup")
    absent = [name for name in ("sbatch", "squeue", "sinfo", "scancel") if not shutil.which(name)]
    if absent:
        yield Finding("Slurm", "missing", f"{', '.join(absent)} not on PATH: log in where jobs are submitted")
        return
    nodes = _lines("sinfo", "--noheader", "--Node", "--format=%R|%G|%c|%N")
    if nodes is None:
        yield Finding("Slurm", "missing", "sinfo gets no answer: is the controller up?")
        return
    yield Finding("Slurm", "ok", " ".join(_lines("sinfo", "--version") or ["of unknown version"]))
    rows = [line.split("|") for line in nodes]
    yield from _partitions(run, site, rows)
    yield _account(site)
    yield _memory_of_jobs()
    yield from _preemption(site)
    yield _shared(folder, {row[3] for row in rows})


def _partitions(run: RunConfig, site: dict[str, Any], rows: list[list[str]]) -> Iterator[Finding]:
    names = {row[0] for row in rows}
    most = 0
    for name, limits in site["partitions"].items():
        mine = [row for row in rows if row[0] == name]
        if not mine:
            yield Finding(
                f"partition {name}", "missing", f"Slurm has {', '.join(sorted(names))}: edit the site file"
            )
            continue
        cores = max(int(row[2].rstrip("+")) for row in mine)
        gpus = max(_gpus(row[1]) for row in mine)
        text = f"{len(mine)} nodes, up to {cores} cores and {gpus} GPUs each"
        promised = (limits or {}).get("max_gpu", 0)
        most = max(most, min(gpus, promised))
        if promised and not gpus:
            yield Finding(f"partition {name}", "missing", f"{text}, the site file says max_gpu: {promised}")
        elif cores < min(site["cores_per_node"], 8):
            yield Finding(f"partition {name}", "note", f"{text}: set cores_per_node to {cores}")
        else:
            yield Finding(f"partition {name}", "ok", text)
    wanted = max(run.training.gpus, run.embeddings.gpus, run.evaluation.gpus)
    if wanted > most:
        yield Finding(
            "GPUs", "missing", f"the config wants {wanted} on a node, no partition of the site file has them"
        )


def _gpus(gres: str) -> int:
    """GPUs in a node's generic resources: `gpu:4`, `gpu:a100:4(S:0-1)`, `(null)`."""
    return sum(int(count) for count in re.findall(r"\bgpu(?::[^:,()]+)?:(\d+)", gres))


def _account(site: dict[str, Any]) -> Finding:
    wanted = (site.get("resources") or {}).get("slurm_account")
    command = ("sacctmgr", "--noheader", "--parsable2", "show", "association", "where", f"user={_user()}")
    found = _lines(*command, "format=account")
    if found is None:
        return Finding("account", "note", "sacctmgr does not answer: this site may keep no accounts")
    accounts = ", ".join(sorted(set(found))) or "none"
    if wanted is None:
        return Finding("account", "ok" if found else "note", f"your default one; you have {accounts}")
    if str(wanted).lower() in {account.lower() for account in found}:
        return Finding("account", "ok", str(wanted))
    return Finding("account", "missing", f"{wanted} is not yours; you have {accounts}: edit the site file")


def _memory_of_jobs() -> Finding:
    settings = "\n".join(_lines("scontrol", "show", "config") or [])
    age = re.search(r"^MinJobAge\s*=\s*(\d+)", settings, re.MULTILINE)
    if age is None or int(age[1]) >= MIN_JOB_AGE:
        return Finding("job states", "ok", "by squeue")
    advice = f"Slurm forgets jobs after {age[1]} s: use --slurm-array-jobs '' and sacct must work"
    return Finding("job states", "note", advice)


def _preemption(site: dict[str, Any]) -> Iterator[Finding]:
    """Partitions whose preempted jobs Slurm cancels: the plugin waits for ever for Slurm to start them again."""
    for line in _lines("scontrol", "--oneliner", "show", "partition") or []:
        settings = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if settings.get("PartitionName") in site["partitions"] and settings.get("PreemptMode") == "CANCEL":
            advice = "Slurm cancels preempted jobs here; where one never comes back, start Snakemake again"
            yield Finding(f"preemption {settings['PartitionName']}", "note", advice)


def _shared(folder: Path, nodes: set[str]) -> Finding:
    lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    mounts = {line.split()[1]: line.split()[2] for line in lines}
    place = next(path for path in (folder.resolve(), *folder.resolve().parents) if str(path) in mounts)
    kind = mounts[str(place)]
    if kind not in LOCAL_FILE_SYSTEMS:
        return Finding("file system", "ok", f"{kind} at {place}; every node must see it there")
    if nodes <= {socket.gethostname().partition(".")[0]}:
        return Finding("file system", "ok", f"{kind} at {place}; this is the only node")
    return Finding(
        "file system", "missing", f"{kind} at {place} is this node's own: start where all nodes can see"
    )


def _lines(*command: str) -> list[str] | None:
    """Lines that a command prints, or None where it is absent, fails or hangs."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return [line.strip() for line in result.stdout.splitlines() if line.strip()]


def _user() -> str:
    from getpass import getuser

    return getuser()


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.3g} {unit}"
