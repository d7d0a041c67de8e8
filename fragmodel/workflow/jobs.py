"""What surrounds every job of the workflow: its log, its environment, its end, and whether its user forces it."""

import logging
import os
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any, TextIO

from fragmodel.errors import UserError, told
from fragmodel.processes import end_with_parent

_ANEW = "FRAGMODEL_TRAIN_ANEW"
# Ends of what is forced: rules, which have other names before them in a module or an experiment, and their files.
_TRAINING = (
    *("train_model", "training/model", "training/log.jsonl"),
    *("align_adapters", "alignment/model", "alignment/log.jsonl"),
)
_SNAKEMAKE = "FRAGMODEL_SNAKEMAKE"


@contextmanager
def job_log(log: Path, command: Sequence[str]) -> Iterator[None]:
    """Send the block's output to ``log``, which begins with the ``command`` that repeats the job.

    A :class:`UserError`, and what the system refused, ends the job with status 2 and a line on the terminal, where
    Snakemake's user looks first; the log has the line, or the system's refusal with its traceback.
    """
    _end_with_snakemake()
    log.parent.mkdir(parents=True, exist_ok=True)
    terminal = sys.stderr
    # Line buffering: a log that is read while the job runs shows where it is.
    with log.open("w", encoding="utf-8", buffering=1) as handle:
        print(shlex.join(command), file=handle)
        started = time.perf_counter()
        try:
            with redirect_stdout(handle), redirect_stderr(handle):
                yield
        except UserError as error:
            for stream in (handle, terminal):
                print(f"error: {error}", file=stream)
            raise SystemExit(2) from None
        except Exception as error:
            traceback.print_exc(file=handle)
            if (message := told(error)) is None:
                raise
            print(f"error: {message}", file=terminal)
            raise SystemExit(2) from None
        print(f"done in {time.perf_counter() - started:.1f} s", file=handle)


def tell(text: str) -> None:
    """Print a line that a user should see: on standard error, and where a log takes that, on the terminal as well."""
    for stream in dict.fromkeys([sys.stderr, sys.__stderr__]):
        with suppress(BrokenPipeError):  # nobody reads the terminal any more
            print(text, file=stream, flush=True)


def jobs_run_with(python: str, folder: str) -> None:
    """Let jobs that are started from here find this ``python`` first, and import their packages from ``folder`` first.

    The programs of a conda environment or a container come before it.
    """
    _put_first("PATH", str(Path(python).parent))
    _put_first("PYTHONPATH", folder)


def link_package(folder: Path) -> str:
    """Fill ``folder`` with links to the package that is installed, and to nothing that is installed beside it.

    The Python of a conda environment can import the package from there, and all else from its environment.
    """
    folder.mkdir(parents=True, exist_ok=True)
    package = Path(__file__).parents[1]
    for path in package.parent.glob(f"{package.name}*"):
        link = folder / path.name
        if not link.is_symlink() or link.readlink() != path:  # jobs that start together all come here
            part = folder / f".{path.name}.{os.getpid()}"
            part.symlink_to(path)
            part.replace(link)
    return str(folder.absolute())


def _put_first(variable: str, folder: str) -> None:
    paths = [folder, *filter(None, os.environ.get(variable, "").split(os.pathsep))]
    os.environ[variable] = os.pathsep.join(dict.fromkeys(paths))


def leave_signals_to_jobs() -> None:
    """Keep SIGUSR1, a cluster's warning before the end, from killing the Snakemake that watches over the job.

    Slurm sends the signal to every process of the job. Those that know what to do with it install a handler.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


class _Terminal:
    """A stream whose reader may go away."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> None:
        with suppress(BrokenPipeError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(BrokenPipeError):
            self._stream.flush()


def outlive_terminal(logger: logging.Logger) -> None:
    """Let a Snakemake with this ``logger`` go on when nobody reads its output any more; its log file has all of it.

    Else it does not hear of the end of a job, of which it can tell nobody, and waits for it forever.
    """
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.stream = _Terminal(handler.stream)


def at_start(workflow: Any, begin: Callable[[], None]) -> None:
    """Have ``begin`` called before the first job of ``workflow``.

    Snakemake heeds the `onstart:` of the main Snakefile alone. The rules may be a module of another workflow, as they
    are in a deployment; what that workflow has said before of its start is done first.
    """
    others = workflow._onstart

    def all_begin(log: str) -> None:
        others(log)
        begin()

    workflow._onstart = all_begin


def pass_signals_on() -> None:
    """Pass SIGTERM and SIGINT of Snakemake on to its local jobs: training writes a checkpoint, and all end.

    Snakemake itself would wait for the jobs that run, maybe for days. To be called when it has installed its handler
    of SIGTERM; this takes a lock that the interrupted code may hold, so that it runs in a thread.
    """
    ended = signal.getsignal(signal.SIGTERM)

    def terminate(number: int, frame: FrameType | None) -> None:
        if callable(ended):
            ended(number, frame)
        _end_jobs()

    def interrupt(number: int, frame: FrameType | None) -> None:
        _end_jobs()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGTERM, lambda *received: Thread(target=terminate, args=received).start())
    signal.signal(signal.SIGINT, interrupt)


def _end_jobs() -> None:
    import psutil

    for job in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            job.terminate()


def jobs_end_with_this() -> None:
    """Let local jobs notice when the Snakemake that starts them, this process, is killed."""
    os.environ[_SNAKEMAKE] = str(os.getpid())


def _end_with_snakemake() -> None:
    """Have this job end with its Snakemake: the next one must not meet it at work."""
    if os.environ.get(_SNAKEMAKE) == str(os.getppid()):
        end_with_parent()


def tell_jobs_of_force(said: Any) -> None:
    """Let the training jobs, which inherit the variable, know that their user forces them: a finished run is repeated.

    ``said`` are the settings of Snakemake's DAG, which it knows when it starts, not yet when it reads the rules.
    """
    names = set(said.forcerun) | (set(said.targets) if said.forcetargets else set())
    if said.forceall or any(name.endswith(_TRAINING) for name in names):
        os.environ[_ANEW] = "yes"


def is_forced() -> bool:
    """Whether :func:`tell_jobs_of_force` said so."""
    return bool(os.environ.get(_ANEW))
