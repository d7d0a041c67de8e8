"""The relatives that go with a model, and what they say about new proteins."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fragmodel.evidence.find import PROFILE, Line
from fragmodel.evidence.find import Question as AskedAbout
from fragmodel.evidence.library import load_library, write_library
from fragmodel.evidence.splits import EvidenceSearch
from fragmodel.evidence.transfer import Asked
from fragmodel.prediction.questions import Question
from fragmodel.tables import read_metadata
from fragmodel.vocabulary import RELATIVES_FILE

logger = logging.getLogger(__name__)
_ABOUT = ("tool", "max_lines", "max_e_value", "profiles", "records_sha256")


class Evidence:
    """Finds evidence as the run did that trained the model; made by :meth:`of`."""

    def __init__(self, search: EvidenceSearch) -> None:
        self._search = search

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
        return cls(
            EvidenceSearch(
                library,
                max_lines=about["max_lines"],
                max_e_value=about["max_e_value"],
                profiles=about.get("profiles", False),  # folders of older runs do not say
                threads=os.cpu_count() or 1,
            )
        )

    def about(self, questions: Sequence[Question]) -> list[list[Line]]:
        """The evidence of each question, the nearest relative's first, by one search for all of them."""
        return self._search.about(
            [
                AskedAbout("", each.sequence, Asked(each.task, each.family, each.class_name, each.span))
                for each in questions
            ]
        )


def carry_relatives(source: Path, target: Path, *, with_proteins: bool = True) -> bool | None:
    """Copy the relatives of a model's folder to another, or without their proteins a table that is empty.

    Returns whether proteins go with it; None for a model without evidence.
    """
    path = source / RELATIVES_FILE
    if not path.is_file():
        return None
    about = read_metadata(path)
    kept = {key: about[key] for key in _ABOUT if key in about}
    write_library(target / RELATIVES_FILE, load_library(path) if with_proteins else [], kept)
    return with_proteins


def as_rows(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Evidence as predictions tell it."""
    return [
        {
            "id": line.uid or PROFILE,
            "identity": round(line.identity, 4),
            "coverage": round(line.coverage, 4),
            "e_value": line.e_value,
            "text": line.text,
        }
        for line in lines
    ]
