"""Ending in good order when the cluster asks for it."""

import signal
import time
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
IMPATIENCE = 2  # seconds; a Ctrl-C comes from the terminal and, passed on, from the launcher
EXIT_STATUS = 75  # EX_TEMPFAIL: try again, nothing is wrong


class Interruption:
    """Remembers that SIGTERM, SIGUSR1 or Ctrl-C came, so that the loop can write a checkpoint after its step.

    Who presses Ctrl-C again after :data:`IMPATIENCE` will not wait for it.

    The signal may reach one process a step earlier than another, or only one of them. :meth:`agree` gives all
    processes of a run the same answer, which ``requested`` keeps: they stop after the same step.
    """

    def __init__(self) -> None:
        self.requested = False
        self._signalled = False
        self._asked_at = 0.0

    def __enter__(self) -> "Interruption":
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def agree(self) -> bool:
        """Whether any process of the run was asked to end. Every process calls this once after each step."""
        import torch
        from torch import distributed

        requested = self._signalled
        if distributed.is_available() and distributed.is_initialized():
            device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
            votes = torch.tensor(int(requested), device=device)
            distributed.all_reduce(votes)
            requested = votes.item() > 0
        self.requested = requested
        return requested

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._signalled and time.monotonic() - self._asked_at > IMPATIENCE:
            raise KeyboardInterrupt
        if not self._signalled:
            self._signalled, self._asked_at = True, time.monotonic()
