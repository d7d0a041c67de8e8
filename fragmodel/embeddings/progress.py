"""A progress line with the time that is left, on standard error."""

import sys
from time import monotonic


class Progress:
    """Counts work done; rewrites one line on a terminal, writes one every half minute into a log file."""

    def __init__(self, label: str, *, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self._terminal = sys.stderr.isatty()
        self._interval = 0.5 if self._terminal else 30.0
        self._started = self._printed = monotonic()

    def add(self, amount: int) -> None:
        """Count ``amount`` more units of work."""
        self.done += amount
        if monotonic() - self._printed >= self._interval:
            self._print(end="\r" if self._terminal else "\n")

    def finish(self) -> None:
        """Print the final line."""
        self._print(end="\n")

    def _print(self, end: str) -> None:
        self._printed = monotonic()
        rate = self.done / max(self._printed - self._started, 1e-9)
        left = (self.total - self.done) / rate if rate else 0
        print(
            f"{self.label}: {self.done:,} of {self.total:,} {self.unit} ({self.done / max(self.total, 1):.0%}), "
            f"{rate:,.0f} {self.unit}/s, {left // 3600:.0f}:{left // 60 % 60:02.0f}:{left % 60:02.0f} left",
            end=end,
            file=sys.stderr,
            flush=True,
        )
