"""Start a training program for one stage of a run: one process, or one for each GPU by torchrun."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from fragmodel.config.training import AdapterConfig, LearningConfig, LoraConfig, TrainingConfig
from fragmodel.digests import note_digest, read_json, read_noted, write_noted
from fragmodel.errors import UserError
from fragmodel.files import file_digest, held, text_digest, write_text
from fragmodel.processes import end_with_parent
from fragmodel.training.checkpoints import last_step, remove_partial
from fragmodel.training.interrupt import EXIT_STATUS, SIGNALS
from fragmodel.training.log import LOG_FILE
from fragmodel.training.program_arguments import as_flags, program_arguments
from fragmodel.training.slurm_job import OWNER, claim, requeue
from fragmodel.training.spent import JOBS_FILE, spent
from fragmodel.training.watch import watched
from fragmodel.versions import ENVIRONMENT_FILE, HARDWARE, TRAINING, hardware, versions_of
from fragmodel.vocabulary import RELATIVES_FILE

FINISHED = "finished"
SETTINGS = "settings.json"
PROGRAM = "fragmodel.training.program"
SHUTDOWN_SECONDS = 600  # that torchrun gives its processes to write a checkpoint before it kills them


def launch(
    *,
    encoder: Path,
    decoder: Path,
    train: Sequence[Path],
    valid: Sequence[Path],
    weights: Sequence[float],
    store: Path | None,
    fingerprint: str | None,
    checkpoints: Path,
    model: Path,
    log: Path,
    adapter: AdapterConfig,
    lora: LoraConfig,
    training: TrainingConfig,
    seed: int,
    code: str,
    anew: bool,
    aligned: Path | None = None,
    relatives: Path | None = None,
) -> None:
    """Train, or go on where an earlier attempt at the very same run stopped.

    Checkpoints lie in a folder of ``checkpoints`` that is this run's alone (:func:`own_folder`): a changed setting
    never resumes old weights. The finished model and its log are copied to ``model`` and ``log``. A run that has
    finished there is not repeated, unless ``anew``: its job may have outlived the Snakemake that waited for it.
    ``aligned`` is a folder of aligned adapters to start from; ``relatives`` what evidence is found in, which goes
    with the model. Raises :class:`UserError` when training fails.
    """
    settings = {
        "encoder": str(encoder),
        "decoder": str(decoder),
        "adapter": adapter.model_dump(),
        "lora": lora.model_dump(),
        "training": training.model_dump(exclude={"report_to"}),  # who watches changes no model
        "weights": list(weights),
        "fingerprint": fingerprint,
        "seed": seed,
        "inputs": [
            file_digest(path) for path in [*train, *valid, *_weights_of(encoder), *_weights_of(decoder)]
        ],
    }
    if aligned:
        settings["aligned"] = [file_digest(path) for path in _weights_of(aligned)]
    folder, finished = own_folder(checkpoints, settings | {"code": code}, anew)
    if finished:
        collect(folder, model, log, relatives)
        return
    filled = [path for path in valid if _rows(path)]
    arguments = program_arguments(adapter, lora, training, seed, bool(filled))
    arguments |= {
        "esm_path": encoder,
        "llama_path": decoder,
        "output_dir": folder,
        "train_files": list(train),
        "sampling_weights": list(weights),
        "eval_files": filled,
        "store": store,
        "store_fingerprint": fingerprint,
        "load_model_checkpoint_path": aligned,
    }
    with alone_in(folder) as lock:
        remove_partial(folder)
        arguments["resume_from_checkpoint"] = True if last_step(folder) else None
        command = launch_command([PROGRAM, training.loop], training, as_flags(arguments))
        run_program(command, training, folder, lock)
    finish(folder)
    collect(folder, model, log, relatives)


def own_folder(checkpoints: Path, settings: dict[str, Any], anew: bool) -> tuple[Path, bool]:
    """The folder below ``checkpoints`` of the run that ``settings`` describe, and whether the run finished there.

    It is named after the digest of all that the run depends on, and this job's alone. Nothing is ever removed: where
    a finished run is to be repeated (``anew``), the repetition gets a folder beside it, named with its number.
    """
    name = text_digest(json.dumps(settings, sort_keys=True), size=8)
    attempts = [checkpoints / name]
    while (following := checkpoints / f"{name}-{len(attempts) + 1}").exists():
        attempts.append(following)
    folder = attempts[-1]
    if anew and (folder / FINISHED).exists():
        folder = following
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder)
    if (folder / FINISHED).exists():
        print(f"This very run has finished before; its model is taken from {folder}")
        return folder, True
    write_noted(folder / SETTINGS, json.dumps(settings, indent=2, sort_keys=True))
    _note_environment(folder)
    return folder, False


def alone_in(folder: Path) -> AbstractContextManager[int]:
    """The lock of a run's ``folder``, to be handed to :func:`run_program`."""
    return held(folder / ".lock", f"{folder}: is being trained")


def _note_environment(folder: Path) -> None:
    """Add the versions, and the machine, that train from here on to those of the attempts before."""
    path = folder / ENVIRONMENT_FILE
    noted = read_json(path, list) if path.is_file() else []
    if (here := {**versions_of(TRAINING), HARDWARE: hardware()}) not in noted:
        write_noted(path, json.dumps([*noted, here], indent=2))


def finish(folder: Path) -> None:
    """Note that the run in ``folder`` reached its end, and the digest of its log."""
    note_digest(folder / LOG_FILE)
    write_text(folder / FINISHED, datetime.now(UTC).isoformat(timespec="seconds") + "\n")


def launch_command(program: Sequence[str], training: LearningConfig, flags: Sequence[str]) -> list[str]:
    """The command that starts the training ``program``: a module of this package, and its first arguments.

    One process starts by itself, several on a node under torchrun, several nodes as one torchrun a node under
    srun: inside a Slurm job of that many nodes, whose first node the others find by the address that srun
    tells them.
    """
    python, processes = sys.executable, training.processes_per_node
    if processes * training.nodes == 1:
        return [python, "-m", *program, *flags]
    torchrun = [
        "-m",
        "torch.distributed.run",
        f"--nproc-per-node={processes}",
        f"--signals-to-handle={','.join(number.name for number in SIGNALS)}",
        f"--shutdown-timeout={SHUTDOWN_SECONDS}",
    ]
    if training.nodes == 1:
        return [python, *torchrun, "--standalone", "-m", *program, *flags]
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        raise UserError(
            f"training.nodes is {training.nodes}: several nodes need Slurm (snakemake --profile slurm)"
        )
    port = 20_000 + int(job) % 20_000  # jobs that share a node must not share a port
    srun = ["srun", f"--nodes={training.nodes}", f"--ntasks={training.nodes}", "--ntasks-per-node=1"]
    if cpus := os.environ.get("OMP_NUM_THREADS"):
        srun.append(f"--cpus-per-task={cpus}")  # a step does not take it over from its job
    if training.gpus:
        srun.append(f"--gres=gpu:{training.gpus}")
    rank = '--node-rank="$SLURM_NODEID" --master-addr="$SLURM_LAUNCH_NODE_IPADDR"'
    start = f'first=$1 second=$2; shift 2; exec "$0" "$first" "$second" {rank} "$@"'
    return [
        *srun,
        *("sh", "-c", start, python),
        *torchrun,
        f"--nnodes={training.nodes}",
        f"--master-port={port}",
        "-m",
        *program,
        *flags,
    ]


def run_program(command: Sequence[str], training: LearningConfig, folder: Path, lock: int) -> None:
    """Run a training program, its output in this job's log; signals are passed on to it.

    Where this process is killed, the program is asked to end, and keeps the ``lock`` of :func:`alone_in` until it has.

    Where a signal ended it and it wrote a checkpoint to ``folder``, the Slurm job starts again. Raises
    :class:`UserError` then, and when the program failed.
    """
    started_at = last_step(folder)
    print(" ".join(command), flush=True)
    # The child inherits this process's real descriptors, not a redirected sys.stdout: pass the log on.
    child = subprocess.Popen(
        command,
        stdout=sys.stdout,
        stderr=sys.stderr,
        env=_environment(training),
        pass_fds=[lock],
        preexec_fn=end_with_parent,
    )
    signals: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        signals.append(number)
        child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in SIGNALS}
    try:
        status = watched(child, folder, training)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    # Under torchrun the program's own status is lost.
    if signals and status and (status == EXIT_STATUS or last_step(folder) > started_at):
        again = "Slurm starts this job again" if signal.SIGINT not in signals and requeue() else "run again"
        raise UserError(f"training was interrupted and wrote a checkpoint; {again} to go on from there")
    if status:
        raise UserError(
            _reason() or f"training ended with status {status}; what it said is in the stage's log"
        )


def _reason() -> str | None:
    """The mistake that the program named last, where it wrote to this job's log: the terminal does not show that."""
    log = Path(getattr(sys.stdout, "name", ""))
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    return next((line[7:] for line in reversed(lines) if line.startswith("error: ")), None)


def _environment(training: LearningConfig) -> dict[str, str]:
    environment = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        if threads := environment.get(name):  # Snakemake's count for the job; each process would take it all
            environment[name] = str(max(1, int(threads) // training.processes_per_node))
    return environment


def collect(folder: Path, model: Path, log: Path, relatives: Path | None = None) -> None:
    """Copy the finished model out of the run's folder, and ``relatives`` beside its weights; its log with an entry
    of what all jobs of the training took."""
    if model.exists():
        shutil.rmtree(model)
    unwanted = shutil.ignore_patterns(
        *("checkpoint-*", "runs", LOG_FILE, ".*", SETTINGS, FINISHED, OWNER, JOBS_FILE, "training_args.bin")
    )
    shutil.copytree(folder, model, ignore=unwanted)
    if relatives:
        shutil.copyfile(relatives, model / RELATIVES_FILE)
    if (versions := model / ENVIRONMENT_FILE).is_file():
        write_noted(versions, versions.read_text(encoding="utf-8"))
    entries = read_noted(folder / LOG_FILE).decode("utf-8")
    if total := spent(folder):
        entries += json.dumps({"step": last_step(folder), **total}) + "\n"
    write_noted(log, entries)


def _weights_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _rows(path: Path) -> int:
    from fragmodel.tables import open_table

    with open_table(path) as parquet:
        return parquet.metadata.num_rows
