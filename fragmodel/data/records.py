"""What the readers produce and the tasks are made from: proteins with annotated fragments.

All spans are 0-based and half-open: ``sequence[start:end]`` is the fragment. The readers convert once; nothing
after them knows another convention.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

TaskType = Literal["referring_desc", "referring_class", "grounding_single", "grounding_group", "function"]
TASK_TYPES: tuple[TaskType, ...] = get_args(TaskType)
REFERRING_TASKS = ("referring_desc", "referring_class")
GROUNDING_TASKS = ("grounding_single", "grounding_group")


class Span(NamedTuple):
    """Residues ``start`` (included) to ``end`` (excluded), counted from 0."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Number of residues."""
        return self.end - self.start


@dataclass(frozen=True, kw_only=True, slots=True)
class Fragment:
    """One annotated place of a class in a protein."""

    class_name: str
    class_id: str
    span: Span
    description: str = ""
    text: str | None = None  # the fragment's residues as the file states them, to check against the slice


@dataclass(frozen=True, kw_only=True, slots=True)
class Protein:
    """A protein as a file describes it, before any check."""

    uid: str
    sequence: str
    fragments: list[Fragment] = field(default_factory=list)
    function: str = ""  # whole-protein description; task `function`
    record: int = 0  # position of the record in its file, counted from 1
    flags: tuple[str, ...] = ()  # named normalisations that were applied

    def by_class(self) -> Iterator[tuple[tuple[str, str], list[Fragment]]]:
        """Fragments grouped by (class name, class id), classes and spans in order of place."""
        groups: dict[tuple[str, str], list[Fragment]] = {}
        for fragment in sorted(self.fragments, key=lambda f: (f.span, f.class_name, f.class_id)):
            groups.setdefault((fragment.class_name, fragment.class_id), []).append(fragment)
        yield from groups.items()
