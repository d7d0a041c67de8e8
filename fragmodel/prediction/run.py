"""`fragmodel predict`: a FASTA file in, annotations or texts out."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fragmodel.data.readers.fasta import FastaRecord, read_fasta
from fragmodel.embeddings.progress import Progress
from fragmodel.errors import UserError
from fragmodel.files import atomic_path, file_digest
from fragmodel.model.loading import check_folder, folder_digest
from fragmodel.prediction.evidence import as_rows
from fragmodel.prediction.formats import Row, choose_format, render
from fragmodel.prediction.fragments import NamedSpan, check_inside, read_fragments
from fragmodel.prediction.journal import Journal
from fragmodel.prediction.model import FragModel, Question
from fragmodel.prediction.provenance import calibration_of
from fragmodel.prediction.results import Annotation
from fragmodel.prediction.standard_input import seekable
from fragmodel.vocabulary import GROUNDING_TASKS, REFERRING_TASKS, Span, TaskType

STDOUT = Path("-")
_BATCHES_AT_ONCE = (
    8  # batches whose questions are gathered and sorted by length; what a killed run loses at most
)


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of each protein."""

    task: TaskType
    names: Sequence[str] = ()  # classes to find, `grounding_single`
    families: Sequence[str] = ()  # kinds of fragments; empty: those of the training data
    fragments: dict[str, list[NamedSpan]] | None = None  # by protein, referring tasks
    min_confidence: float = 0.0  # places of which the model is less sure are counted only

    @property
    def in_words(self) -> bool:
        """Whether answers are texts, about given fragments or the whole protein, and no places."""
        return self.task not in GROUNDING_TASKS

    def questions(self, model: FragModel, protein: FastaRecord) -> list[Question]:
        """All questions about one protein."""
        if self.task == "function":
            return [model.function_question(protein.sequence, uid=protein.uid)]
        if not self.in_words:
            return model.grounding_questions(
                protein.sequence, self.task, names=self.names, kinds=self.families or None
            )
        family = self.families[0] if self.families else None
        return [
            model.referring_question(self.task, protein.sequence, each.span, uid=protein.uid, family=family)
            for each in self._of(protein)
        ]

    def wants(self, protein: FastaRecord) -> bool:
        """Whether anything is asked about the protein."""
        return not self.in_words or bool(self._of(protein))

    def row(
        self, model: FragModel, protein: FastaRecord, questions: Sequence[Question], answers: Sequence[Any]
    ) -> Row:
        """The result as :mod:`fragmodel.prediction.formats` writes it."""
        row: Row = {"id": protein.uid, "length": len(protein.sequence)}
        if not self.in_words:
            found = model.ground(questions, answers)
            places = [_as_row(place) for place in found.annotations]
            kept = [p for p in places if p["confidence"] is None or p["confidence"] >= self.min_confidence]
            return row | {
                "annotations": kept,
                "calibrated": found.calibrated,
                "left_out": len(places) - len(kept),
                "none": [
                    {"class": a.class_name, "family": a.family, "confidence": a.confidence}
                    for a in found.absences
                ],
                "texts": list(found.texts),
                "evidence": [as_rows(answer.evidence) for answer in answers],
                "faults": list(found.faults),
                "candidates": [_as_row(place) for place in found.candidates],
            }
        fragments = []
        for given, question, answer in zip(self._of(protein), questions, answers, strict=True):
            said = model.refer(question, answer)
            fragments.append(
                {
                    "name": given.name,
                    "start": said.span.start,
                    "end": said.span.end,
                    "shown_start": said.shown.start,
                    "shown_end": said.shown.end,
                    "stopped": said.stopped,
                    "confidence": said.confidence,
                    "calibrated": said.calibrated,
                    "class_ids": list(said.class_ids),
                    "text": said.text,
                    "evidence": as_rows(answer.evidence),
                    "candidates": [
                        {"text": text, "probability": probability} for text, probability in said.candidates
                    ],
                }
            )
        return row | {"fragments": fragments}

    def _of(self, protein: FastaRecord) -> list[NamedSpan]:
        if self.task == "function":
            return [NamedSpan(protein.uid, Span(0, len(protein.sequence)), "", "")]
        return (self.fragments or {}).get(protein.uid, [])


def _as_row(place: Annotation) -> Row:
    return {
        "class": place.class_name,
        "family": place.family,
        "start": place.span.start,
        "end": place.span.end,
        "confidence": place.confidence,
        "class_ids": list(place.class_ids),
    }


def make_task(
    task: TaskType,
    names: Sequence[str],
    families: Sequence[str],
    fragments: Sequence[str],
    min_confidence: float = 0.0,
) -> Task:
    """Check that the options fit the task, and read the fragments. Raises :class:`UserError`."""
    if (task == "grounding_single") != bool(names):
        verb = "needs" if task == "grounding_single" else "takes no"
        raise UserError(
            f"--task {task} {verb} --name CLASS (grounding_single finds the classes that it names)"
        )
    referring = task in REFERRING_TASKS
    if referring != bool(fragments):
        verb = "needs" if referring else "takes no"
        raise UserError(f"--task {task} {verb} --fragments (id:start-end, BED or GFF3)")
    if families and (task in ("grounding_single", "function") or (referring and len(families) > 1)):
        raise UserError(f"--task {task} takes {'one --family' if referring else 'no --family'}")
    if min_confidence and task not in GROUNDING_TASKS:
        raise UserError(f"--task {task} takes no --min-confidence: its answers are no places")
    return Task(task, names, families, read_fragments(fragments) if referring else None, min_confidence)


def check_proteins(fasta: Path, shown: str | Path, task: Task) -> tuple[int, int]:
    """Read the whole FASTA once, before any work; returns proteins asked about and their residues.

    Raises :class:`UserError` for the first mistake in a record or a fragment, or fragments of unknown proteins.
    """
    unknown = dict(task.fragments or {})
    proteins = residues = 0
    for protein in read_fasta(fasta, shown=shown, unique=True):
        check_inside(unknown.pop(protein.uid, []), len(protein.sequence))
        if task.wants(protein):
            proteins += 1
            residues += len(protein.sequence)
    for uid, fragments in unknown.items():
        raise UserError(
            f"{fragments[0].where}: no protein '{uid}' in {shown}; names are the first word after '>'"
        )
    return proteins, residues


def predict(
    load: Callable[[], FragModel],
    model_dir: Path,
    fasta: Path,
    task: Task,
    output: Path,
    *,
    file_format: str | None = None,
    settings: dict[str, Any] | None = None,
) -> dict[str, int]:
    """Write the results of every protein to ``output`` (`-`: standard output) and return counts.

    Inputs are checked before the model is loaded by ``load``. A file appears when it is whole; until then finished
    proteins lie in a journal beside it, and the same command with the same ``settings`` and inputs goes on there.
    Memory does not grow with the number of proteins, but for their names. Counts: proteins, resumed, found
    (annotations or texts), unreadable (answers without a readable place), left_out (places of little confidence).
    """
    chosen = choose_format(output, file_format, task.in_words)
    if (settings or {}).get("candidates", 1) > 1 and chosen != "jsonl":
        raise UserError(f"--candidates: only JSON Lines hold them, not {chosen}; add --format jsonl")
    check_folder(model_dir)
    shown = "standard input" if str(fasta) == "-" else fasta
    with seekable(fasta) as source:
        proteins, residues = check_proteins(source, shown, task)
        counts = {"proteins": proteins, "resumed": 0, "found": 0, "unreadable": 0, "left_out": 0}
        if output == STDOUT:
            rows = _told(rows_of(load(), read_fasta(source, shown=shown), task), residues)
            for line in render(
                _counted((row for some in rows for row in some), counts), chosen, task.in_words
            ):
                sys.stdout.write(line)
            sys.stdout.flush()
            return counts
        calibration = calibration_of(model_dir)
        identity = {
            "model": folder_digest(model_dir),
            "calibration": calibration.as_json() if calibration else "",
            "fasta": file_digest(source),
            "task": repr(task),
            **(settings or {}),
        }
        with Journal(output, identity) as journal:
            counts["resumed"] = len(journal.finished)
            left = (p for p in read_fasta(source, shown=shown) if p.uid not in journal.finished)
            if len(journal.finished) < proteins:
                done = sum(row["length"] for row in journal.rows())
                for rows in _told(rows_of(load(), left, task), residues - done):
                    journal.append(rows)
            with atomic_path(output) as temporary, temporary.open("w", encoding="utf-8") as handle:
                handle.writelines(render(_counted(journal.rows(), counts), chosen, task.in_words))
            journal.remove()
        return counts


def rows_of(
    model: FragModel,
    proteins: Iterable[FastaRecord],
    task: Task,
    *,
    answered: Callable[[int], None] | None = None,
) -> Iterator[list[Row]]:
    """Rows in the order of the proteins, a few batches of questions at a time.

    ``answered`` is called as :meth:`FragModel.answer` says.
    """
    waiting: list[tuple[FastaRecord, list[Question]]] = []
    for protein in proteins:
        if task.wants(protein):
            waiting.append((protein, task.questions(model, protein)))
            if sum(len(questions) for _, questions in waiting) >= _BATCHES_AT_ONCE * model.batch_size:
                yield _answer(model, task, waiting, answered)
                waiting = []
    if waiting:
        yield _answer(model, task, waiting, answered)


def _answer(
    model: FragModel,
    task: Task,
    waiting: list[tuple[FastaRecord, list[Question]]],
    answered: Callable[[int], None] | None,
) -> list[Row]:
    asked = [question for _, questions in waiting for question in questions]
    answers = iter(model.answer(asked, answered=answered))
    return [
        task.row(model, protein, questions, [next(answers) for _ in questions])
        for protein, questions in waiting
    ]


def _told(found: Iterable[list[Row]], residues: int) -> Iterator[list[Row]]:
    """The same, with progress on standard error."""
    progress = Progress("predict", total=residues, unit="residues")
    for rows in found:
        progress.add(sum(row["length"] for row in rows))
        yield rows
    progress.finish()


def _counted(rows: Iterable[Row], counts: dict[str, int]) -> Iterator[Row]:
    for row in rows:
        counts["found"] += len(row.get("annotations", row.get("fragments", ())))
        counts["left_out"] += row.get("left_out", 0)
        counts["unreadable"] += sum(fault != "out_of_range" for fault in row.get("faults", ()))
        yield row
