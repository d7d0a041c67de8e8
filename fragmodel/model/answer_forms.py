"""Which answers a trained model has learnt to give: its classes with their ids, and where it may say `none`.

``answers.json`` lies in the model's folder. What the model may answer follows from it (:class:`Constraints`).
"""

import json
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from fragmodel.data.grammar import says_none
from fragmodel.data.prompts import plain
from fragmodel.data.valid_answers import valid_answers
from fragmodel.errors import UserError
from fragmodel.evidence.block import is_pointer, pointer, pointers
from fragmodel.files import write_text
from fragmodel.model.chat import ChatEncoder
from fragmodel.model.constraints import Constraint, Vocabulary
from fragmodel.model.names import NameTree
from fragmodel.vocabulary import GROUNDING_TASKS, TaskType

FORMS_FILE = "answers.json"
Forms = dict[str, dict[str, Any]]
"""By data set: ``classes`` of its training records; ``ids``, the identifiers that they state of a class (InterPro
accessions; most classes have one); ``none``, the tasks some of whose answers say that there is nothing; and ``points``,
whether some of its answers point to a line of evidence."""


def forms_of(tables: Iterable[pa.Table]) -> Forms:
    """What the training records (tables of RECORDS) answer."""
    found: dict[str, tuple[dict[str, set[str]], set[str]]] = {}
    pointing: set[str] = set()
    for table in tables:
        names = ("data_name", "task_type", "classes", "class_ids", "answer")
        columns = [table.column(name).to_pylist() for name in names]
        for data_name, task, classes, class_ids, answer in zip(*columns, strict=True):
            ids, silent = found.setdefault(data_name, ({}, set()))
            for name, class_id in zip_longest(classes, class_ids[: len(classes)], fillvalue=""):
                ids.setdefault(plain(name), set()).add(class_id)
            if task in GROUNDING_TASKS and says_none(answer):
                silent.add(task)
            if is_pointer(answer):
                pointing.add(data_name)
    return {
        data_name: {
            "classes": sorted(ids.keys() - {""}),
            "ids": {name: sorted(known - {""}) for name, known in sorted(ids.items()) if name and any(known)},
            "none": sorted(silent),
            "points": data_name in pointing,
        }
        for data_name, (ids, silent) in sorted(found.items())
    }


def write_forms(folder: Path, forms: Forms) -> None:
    """Put them beside a model."""
    write_text(folder / FORMS_FILE, json.dumps(forms, indent=1, ensure_ascii=False) + "\n")


def read_forms(folder: Path) -> Forms:
    """Those of a model; empty for one that was trained before they were noted. Raises :class:`UserError`."""
    path = Path(folder) / FORMS_FILE
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError:
        raise UserError(f"{path}: damaged; restore it, or remove it: answers are then free text") from None


class Constraints:
    """Makes the constraint of each question; questions of one kind share what they have found out."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, forms: Forms, *, closed: bool = True) -> None:
        """Not ``closed``: an answer may name any class; one that is a class alone is then free text."""
        self._tokenizer, self._forms, self._closed = tokenizer, forms, closed
        self._vocabulary: Vocabulary | None = None
        self._made: dict[Any, Constraint | None] = {}
        self._trees: dict[Any, NameTree] = {}

    def of(
        self, task: TaskType, residues: int, data_names: tuple[str, ...], question: str = ""
    ) -> Constraint | None:
        """That of a question about a window of ``residues``, to a model that knows the classes of ``data_names``.

        None of them known: the classes of all data sets. An answer may point to a line of evidence in the ``question``
        where the model has learnt to. ``None`` where all is valid.
        """
        key = self._key(task, data_names, question)
        if key not in self._made:
            self._made[key] = self._make(*key)
        made = self._made[key]
        return made.of_window(residues) if made and task in GROUNDING_TASKS else made

    def searched(
        self, task: TaskType, residues: int, data_names: tuple[str, ...], question: str = ""
    ) -> Constraint | NameTree | None:
        """What the candidates of a question are searched in: the same, for a class the tree of all names."""
        constraint = self.of(task, residues, data_names, question)
        if constraint is None or task != "referring_class":
            return constraint
        key = self._key(task, data_names, question)
        if key not in self._trees:
            cut = ChatEncoder(self._tokenizer, 0).answer
            self._trees[key] = NameTree(cut(name.decode()) for name in constraint.automaton.names)
        return self._trees[key]

    def _key(self, task: TaskType, data_names: tuple[str, ...], question: str) -> tuple:
        points = any(forms.get("points") for forms in self._forms.values())
        return task, data_names, pointers(question) if points else 0

    def _make(self, task: TaskType, data_names: tuple[str, ...], lines: int) -> Constraint | None:
        """That of windows of any length."""
        known: Mapping[str, dict[str, Any]] = {
            name: self._forms[name] for name in data_names if name in self._forms
        }
        chosen = list((known or self._forms).values())
        automaton = valid_answers(
            task,
            classes=[name for forms in chosen for name in forms["classes"]] if self._closed else (),
            may_be_none=any(task in forms["none"] for forms in chosen),
            pointers=[pointer(number) for number in range(1, lines + 1)],
            any_class=not self._closed,
        )
        if automaton is None:
            return None
        self._vocabulary = self._vocabulary or Vocabulary(self._tokenizer)
        return Constraint(automaton, self._vocabulary)
