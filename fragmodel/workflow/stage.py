"""What every workflow script does around its one call: output to the rule's log, faults in one line."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from fragmodel.errors import UserError, cannot_write

ANEW = "FRAGMODEL_TRAIN_ANEW"


@contextmanager
def stage(log: str) -> Iterator[None]:
    """Send the block's output to ``log``; a :class:`UserError` ends the job with its message and no traceback.

    The message goes to the log and to the terminal, where Snakemake's user looks first.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    terminal = sys.stderr
    # Line buffering: a log that is read while the job runs shows where it is.
    with Path(log).open("w", encoding="utf-8", buffering=1) as handle:
        started = time.perf_counter()
        try:
            with redirect_stdout(handle), redirect_stderr(handle):
                yield
        except UserError as error:
            for stream in (handle, terminal):
                print(f"error: {error}", file=stream)
            raise SystemExit(1) from None
        except Exception as error:
            traceback.print_exc(file=handle)
            if message := cannot_write(error):
                print(f"error: {message}", file=terminal)
            raise
        print(f"done in {time.perf_counter() - started:.1f} s", file=handle)


def jobs_import_from(folder: str) -> None:
    """Let Python processes started from here import their packages from ``folder`` first."""
    paths = [folder, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))


def leave_signals_to_jobs() -> None:
    """Keep SIGUSR1, a cluster's warning before the end, from killing the Snakemake that watches over the job.

    Slurm sends the signal to every process of the job. Those that know what to do with it install a handler.
    """
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def tell_jobs_of_force(forced: bool) -> None:
    """Let the training job know that its user forces it; a finished run is then repeated.

    Jobs inherit the variable from the Snakemake that the user started, and see it set already.
    """
    os.environ.setdefault(ANEW, "yes" if forced else "")
