"""Transfer by sequence alignment: what the nearest training protein suggests is the answer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fragmodel.data.grammar import NONE
from fragmodel.evaluation.baselines.priors import Texts
from fragmodel.evaluation.references import Reference
from fragmodel.evidence.find import Question, find
from fragmodel.evidence.library import read_library
from fragmodel.evidence.transfer import Asked
from fragmodel.homology.search import MAX_E_VALUE, tool
from fragmodel.vocabulary import GROUNDING_TASKS

_KIND = "fragment"  # the records are of one data set, and so of one kind


class Alignment:
    """The first line of evidence about a question (:mod:`fragmodel.evidence`), with the E-value of the audit.

    Referring: class or description of the training fragment whose mapped place overlaps the fragment in question most.
    Grounding: all places (of the class in question for `grounding_single`) mapped through the alignment, or none where
    no hit has any. Function: the text of the best hit. Another record for which no hit has anything gets an empty
    answer.

    One search serves all tasks, since they mostly show the same windows.
    """

    def __init__(
        self, train: Sequence[Path], asked: Mapping[str, Sequence[Reference]], threads: int = 1
    ) -> None:
        """``train`` are the tables of the training records, ``asked`` the test records by task."""
        self.tool = tool()
        self._train, self._asked, self._threads = train, asked, threads
        self._texts: Texts | None = None

    def __call__(self, known: Sequence[Reference], asked: Sequence[Reference]) -> Texts:
        """An answer for each record of ``asked``, which is a task's among those given before."""
        del known
        if self._texts is None:
            self._texts = self._answer_all()
        return {record.key: self._texts[record.key] for record in asked}

    def _answer_all(self) -> Texts:
        records = [record for records in self._asked.values() for record in records]
        found = find(
            [_question(record) for record in records],
            read_library(self._train, lambda data_name: _KIND),
            max_lines=1,
            max_e_value=MAX_E_VALUE,
            threads=self._threads,
        )
        return {
            records[number].key: lines[0].text if lines else _nothing(records[number])
            for number, lines in found
        }


def _question(record: Reference) -> Question:
    task = record.key.task_type
    name = record.class_name if task == "grounding_single" else ""
    return Question(record.uid, record.sequence, Asked(task, _KIND, name, record.position_ref))


def _nothing(record: Reference) -> str:
    return NONE if record.key.task_type in GROUNDING_TASKS else ""
