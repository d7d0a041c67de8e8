"""The annotated training proteins that evidence comes from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fragmodel.data.grammar import read_groups
from fragmodel.data.prompts import plain
from fragmodel.tables import RECORDS, RELATIVES, iter_columns, read_rows, write_table
from fragmodel.vocabulary import GROUNDING_TASKS, REFERRING_TASKS, Span

_COLUMNS = (
    *("uid", "data_name", "task_type", "sequence", "answer"),
    *("classes", "position_ref", "position_grd"),
)


class Known(NamedTuple):
    """An annotated fragment of a relative, within its window (0-based, half-open)."""

    class_name: str
    span: Span
    description: str = ""


@dataclass(slots=True)
class Relative:
    """A window of a training protein and what is known of it."""

    uid: str
    kind: str  # what its fragments are: they are evidence for questions of the same kind alone
    sequence: str
    fragments: list[Known] = field(default_factory=list)
    function: str = ""


def read_library(records: Sequence[Path], kind_of: Callable[[str], str]) -> list[Relative]:
    """What the training records (tables of RECORDS) know of their windows, in the order of the tables.

    ``kind_of`` is the kind of fragments of a data set's name. What several tasks and data sets of one kind say of one
    window of a protein is one relative.
    """
    relatives: dict[tuple[str, str, str], Relative] = {}
    for path in records:
        for uid, data_name, task, sequence, answer, classes, place, groups in iter_columns(
            path, RECORDS, _COLUMNS
        ):
            kind = kind_of(data_name)
            relative = relatives.setdefault((kind, uid, sequence), Relative(uid, kind, sequence))
            if task == "function":
                relative.function = relative.function or answer
            elif task in REFERRING_TASKS:
                name = plain(classes[0]) if classes else ""
                _add(relative, name, place, answer if task == "referring_desc" else "")
            elif task in GROUNDING_TASKS:
                stated = [name for name, _ in read_groups(answer)]
                names = classes if len(classes) == len(groups or ()) else stated
                for name, spans in zip(names, groups or (), strict=False):
                    for span in spans:
                        _add(relative, plain(name), span, "")
    return [relative for relative in relatives.values() if relative.fragments or relative.function]


def write_library(path: Path, library: Sequence[Relative], metadata: dict[str, Any]) -> None:
    """Write them as a table RELATIVES."""
    write_table(
        path,
        RELATIVES,
        (
            {
                "uid": relative.uid,
                "kind": relative.kind,
                "sequence": relative.sequence,
                "fragments": [
                    {
                        "class_name": known.class_name,
                        "start": known.span.start,
                        "end": known.span.end,
                        "description": known.description,
                    }
                    for known in relative.fragments
                ],
                "function": relative.function,
            }
            for relative in library
        ),
        metadata,
    )


def load_library(path: Path) -> list[Relative]:
    """Read a table RELATIVES. Raises :class:`fragmodel.errors.UserError` as every table does."""
    return [
        Relative(
            row["uid"],
            row["kind"],
            row["sequence"],
            [
                Known(each["class_name"], Span(each["start"], each["end"]), each["description"])
                for each in row["fragments"]
            ],
            row["function"],
        )
        for row in read_rows(path, RELATIVES)
    ]


def _add(relative: Relative, name: str, span: Span | None, description: str) -> None:
    if span is None:
        return
    for index, known in enumerate(relative.fragments):
        if known.span == span and known.class_name == name:
            if description and not known.description:
                relative.fragments[index] = known._replace(description=description)
            return
    relative.fragments.append(Known(name, span, description))
