"""Ending in good order when the cluster asks for it."""

import signal
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
EXIT_STATUS = 75  # EX_TEMPFAIL: try again, nothing is wrong


class Interruption:
    """Remembers that SIGTERM or SIGUSR1 came, so that the loop can write a checkpoint after its step.

    The signal may reach one process a step earlier than another, or only one of them. :meth:`agree` gives all
    processes of a run the same answer, which ``requested`` keeps: they stop after the same step.
    """

    def __init__(self) -> None:
        self.requested = False
        self._signalled = False

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
        self._signalled = True
