"""The search for evidence: the nearest annotated relatives of each question's window."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from fragmodel.data.grammar import NONE
from fragmodel.evidence.library import Known, Relative
from fragmodel.evidence.transfer import Asked, suggest
from fragmodel.homology.search import Hit, search

PROFILE = "profile"  # stands where a relative's name or identity would
_TRIED = 50  # hits of a window that are asked for what they suggest


class Line(NamedTuple):
    """What one relative suggests, or the profiles of the training fragments."""

    text: str
    """An answer, as the model would write it."""
    uid: str
    """Of the relative; empty where profiles speak."""
    identity: float
    """Of the alignment, or of the best hit with its profile's consensus."""
    coverage: float
    """Part of the window that the alignment spans, or the hits."""
    e_value: float
    fragments: Sequence[Known]
    overlap: float | None


class Question(NamedTuple):
    """A question about a window of a protein."""

    uid: str
    sequence: str
    asked: Asked


Kept = Callable[[Question, Relative, Hit], bool]


def find(
    questions: Sequence[Question],
    library: Sequence[Relative],
    *,
    max_lines: int,
    max_e_value: float,
    keep: Kept = lambda question, relative, hit: True,
    threads: int = 1,
) -> Iterator[tuple[int, list[Line]]]:
    """Numbers of questions (in any order, each once) and up to ``max_lines`` different suggestions, best hit first.

    ``keep`` tells which relatives may speak on a question.
    """
    by_window: dict[str, list[int]] = defaultdict(list)
    for number, question in enumerate(questions):
        by_window[question.sequence].append(number)
    known: dict[str, list[Relative]] = defaultdict(list)
    for relative in library:
        known[relative.sequence].append(relative)
    queries, targets = sorted(by_window), sorted(known)
    silent = set(range(len(questions)))
    hits = search(queries, targets, blocks=True, max_e_value=max_e_value, threads=threads)
    for query, found in groupby(hits, key=lambda hit: queries[hit.query]):
        ranked = list(found)
        for number in by_window[query]:
            silent.discard(number)
            yield number, _lines(questions[number], ranked, known, targets, keep, max_lines)
    yield from ((number, []) for number in sorted(silent))


def _lines(
    question: Question,
    ranked: Sequence[Hit],
    known: dict[str, list[Relative]],
    targets: Sequence[str],
    keep: Kept,
    max_lines: int,
) -> list[Line]:
    lines: dict[str, Line] = {}
    tried = 0
    for hit in ranked:
        for relative in known[targets[hit.target]]:
            if not of_one_kind(question.asked.kind, relative.kind) or not keep(question, relative, hit):
                continue
            tried += 1
            said = suggest(question.asked, relative, hit.blocks or ())
            if said is not None and said.text not in lines:
                lines[said.text] = Line(
                    said.text,
                    relative.uid,
                    hit.identity,
                    hit.query_coverage,
                    hit.e_value,
                    said.fragments,
                    said.overlap,
                )
        if len(lines.keys() - {NONE}) >= max_lines or tried >= _TRIED:
            break
    # That a relative lacks the class says less than that another has it.
    return sorted(lines.values(), key=lambda line: line.text == NONE)[:max_lines]


def of_one_kind(*kinds: str) -> bool:
    """A protein of some kind of fragment knows nothing of another; `fragment` stands for any."""
    return len(set(kinds) - {"fragment"}) < 2
