"""Programs that end with the process that started them, however that one ends."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1  # of prctl(2)
_libc = ctypes.CDLL(None)


def end_with_parent() -> None:
    """Have Linux send SIGTERM to this process when the thread that started it ends; other systems have no such thing.

    As ``preexec_fn`` of a child it holds for the program that the child becomes.
    """
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
