"""What the readers produce and the tasks are made from: proteins with annotated fragments.

All spans are 0-based and half-open: ``sequence[start:end]`` is the fragment. The readers convert once;
nothing after them knows another convention.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from fragmodel.vocabulary import Span


@dataclass(frozen=True, kw_only=True, slots=True)
class Fragment:
    """One annotated place of a class in a protein."""

    class_name: str
    class_id: str
    span: Span
    description: str = ""
    text: str | None = None  # the fragment's residues as the file states them, to check against the slice
    length: int | None = None  # its length as the file states it, to check against the span
    written: str = ""  # class and place as they stand in the file, for the rejects table
    record: int = 0  # position of the fragment's record in its file, counted from 1; 0: the protein's
    flags: tuple[str, ...] = ()  # notes on this fragment alone, e.g. "overlap"

    @property
    def class_key(self) -> str:
        """What identifies the class in every format: the InterPro accession, else the class name."""
        return self.class_id if self.class_id.startswith("IPR") else self.class_name


class Fault(NamedTuple):
    """Why a fragment (or a record without fragments) is rejected."""

    reason: str  # code, see fragmodel.data.validate
    detail: str  # a sentence that names the field and the remedy
    fragment: str | None = None  # class and place as they stand in the file
    record: int = 0  # as in Fragment


@dataclass(frozen=True, kw_only=True, slots=True)
class Protein:
    """A protein as a file describes it, before any check."""

    uid: str
    sequence: str
    fragments: list[Fragment] = field(default_factory=list)
    function: str = ""  # whole-protein description; task `function`
    record: int = 0  # position of the record in its file, counted from 1
    flags: tuple[str, ...] = ()  # named normalisations that were applied
    faults: tuple[Fault, ...] = ()  # fragments that the reader could not make sense of
    complete: bool = False  # the source says that these are all fragments of the asked family

    def by_class(self) -> Iterator[tuple[tuple[str, str], list[Fragment]]]:
        """Fragments grouped by (class name, class id), classes and spans in order of place."""
        groups: dict[tuple[str, str], list[Fragment]] = {}
        for fragment in sorted(self.fragments, key=lambda f: (f.span, f.class_name, f.class_id)):
            groups.setdefault((fragment.class_name, fragment.class_id), []).append(fragment)
        yield from groups.items()


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """A record with its own question and answer, before any check. Spans are within ``sequence``."""

    uid: str
    sequence: str
    start: int = 0  # first residue of ``sequence`` in the whole protein
    full_length: int | None = None  # residues of the whole protein, where the file knows
    turns: list[dict[str, str]] = field(default_factory=list)  # role and content
    answer: str | None = None
    position_ref: Span | None = None
    position_grd: list[list[Span]] | None = None
    record: int = 0
    flags: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()  # fields that could not be read; the record is then rejected

    def spans(self, referring: bool) -> list[Span]:
        """The spans that a task is about: the referred one, or the grounded ones."""
        if referring:
            return [self.position_ref] if self.position_ref else []
        return [span for group in self.position_grd or [] for span in group]
