"""The relatives that go with a model, and what they say about new proteins."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fragmodel.evidence.find import Line, find
from fragmodel.evidence.find import Question as AskedAbout
from fragmodel.evidence.library import Relative, load_library, write_library
from fragmodel.evidence.transfer import Asked
from fragmodel.prediction.questions import Question
from fragmodel.tables import read_metadata
from fragmodel.vocabulary import RELATIVES_FILE

logger = logging.getLogger(__name__)


class Evidence:
    """Finds evidence as the run did that trained the model; made by :meth:`of`."""

    def __init__(self, library: Sequence[Relative], *, max_lines: int, max_e_value: float) -> None:
        self._library, self._max_lines, self._max_e_value = library, max_lines, max_e_value

    @classmethod
    def of(cls, folder: Path) -> "Evidence | None":
        """What goes with the model in ``folder``; None where it was trained without evidence.

        Relatives may have been left out of a shared folder: the model is then asked as about proteins without any.
        """
        path = Path(folder) / RELATIVES_FILE
        if not path.is_file():
            return None
        library, about = load_library(path), read_metadata(path)
        if not library:
            logger.warning(
                "%s: relatives were left out of this model's folder; it answers without evidence", folder
            )
        return cls(library, max_lines=about["max_lines"], max_e_value=about["max_e_value"])

    def about(self, questions: Sequence[Question]) -> list[list[Line]]:
        """The evidence of each question, the nearest relative's first, by one search for all of them."""
        found = find(
            [
                AskedAbout("", each.sequence, Asked(each.task, each.family, each.class_name, each.span))
                for each in questions
            ],
            self._library,
            max_lines=self._max_lines,
            max_e_value=self._max_e_value,
            threads=os.cpu_count() or 1,
        )
        lines = dict(found)
        return [lines[number] for number in range(len(questions))]


def carry_relatives(source: Path, target: Path, *, with_proteins: bool = True) -> bool | None:
    """Copy the relatives of a model's folder to another, or without their proteins a table that is empty.

    Returns whether proteins go with it; None for a model without evidence.
    """
    path = source / RELATIVES_FILE
    if not path.is_file():
        return None
    about = read_metadata(path)
    kept = {key: about[key] for key in ("tool", "max_lines", "max_e_value", "records_sha256")}
    write_library(target / RELATIVES_FILE, load_library(path) if with_proteins else [], kept)
    return with_proteins


def as_rows(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Evidence as predictions tell it."""
    return [
        {
            "id": line.uid,
            "identity": round(line.identity, 4),
            "coverage": round(line.coverage, 4),
            "e_value": line.e_value,
            "text": line.text,
        }
        for line in lines
    ]
