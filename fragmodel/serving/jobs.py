"""Requests in a queue, and the one thread that asks the model about them."""

import logging
import secrets
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from fragmodel.data.readers.fasta import FastaRecord
from fragmodel.errors import UserError, told
from fragmodel.prediction.formats import Row
from fragmodel.prediction.model import FragModel
from fragmodel.prediction.run import Task, rows_of

MOST_WAITING = 20
MOST_KEPT = 100  # jobs whose results can still be fetched

logger = logging.getLogger(__name__)


class Cancelled(Exception):
    """Ends the work on a job that nobody waits for."""


@dataclass(slots=True)
class Job:
    """A request and what has become of it; ``rows`` grow in the order of ``proteins``."""

    task: Task
    proteins: Sequence[FastaRecord]
    questions: int
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    state: Literal["waiting", "working", "done", "failed", "cancelled"] = "waiting"
    answered: int = 0
    rows: list[Row] = field(default_factory=list)
    error: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state not in ("waiting", "working")

    def count(self, answered: int) -> None:
        """Note how many more questions have their answers; the end of a job that was cancelled."""
        if self.ended:
            raise Cancelled
        self.answered += answered


class Jobs:
    """The queue. Jobs are worked at in the order in which they came, one at a time."""

    def __init__(self, model: FragModel) -> None:
        """Starts the thread, which ends with the process."""
        self.model = model
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._at_work = False
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name="model", daemon=True).start()

    def add(self, task: Task, proteins: Sequence[FastaRecord]) -> Job:
        """Put a request at the end of the queue. Raises :class:`UserError` for one that cannot be asked."""
        questions = sum(len(task.questions(self.model, protein)) for protein in proteins)
        job = Job(task, proteins, questions)
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                raise UserError(f"{MOST_WAITING} requests are waiting already; try again later")
            for old in [each for each in self._jobs.values() if each.ended][
                : len(self._jobs) + 1 - MOST_KEPT
            ]:
                del self._jobs[old.id]
            self._jobs[job.id] = job
            self._waiting.append(job)
            self._changed.notify()
        return job

    def get(self, job_id: str) -> Job | None:
        """The job, unless it was never there or so many came after it that it was dropped."""
        return self._jobs.get(job_id)

    def ahead(self, job: Job) -> int:
        """How many requests come before one that waits, the one at work included."""
        with self._changed:
            return self._waiting.index(job) + self._at_work if job in self._waiting else 0

    def cancel(self, job: Job) -> None:
        """Take a job from the queue, or let its work end at the next batch of questions."""
        with self._changed:
            if not job.ended:
                job.state = "cancelled"
            if job in self._waiting:
                self._waiting.remove(job)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._at_work = False
                self._changed.wait_for(lambda: self._waiting)
                job = self._waiting.popleft()
                job.state, self._at_work = "working", True
            try:
                for rows in rows_of(self.model, job.proteins, job.task, answered=job.count):
                    job.rows += rows
                self._end(job, "done")
            except Cancelled:
                pass
            except Exception as error:
                job.error = told(error) or "the model failed; the terminal of fragmodel serve tells why"
                self._end(job, "failed")
                if told(error) is None:
                    logger.exception("a request failed")

    def _end(self, job: Job, state: Literal["done", "failed"]) -> None:
        with self._changed:
            if not job.ended:
                job.state = state
