"""What may be heard of relatives: about a new protein all of it, in training no more than new proteins will have."""

import math
from collections.abc import Callable, Mapping, Sequence

from fragmodel.evidence.find import Kept, Line, Question, find
from fragmodel.evidence.library import Relative
from fragmodel.evidence.profiles import Profiles, suggest_held_out, with_profile
from fragmodel.homology.search import Hit

IDENTICAL = 0.999  # identity from which two aligned sequences are the same


class EvidenceSearch:
    """Finds evidence in a library of training proteins; ask about validation before training.

    A training record hears nothing from its own protein, nor from another of the same sequence. Where training
    proteins have nearer relatives among themselves than those of validation have in training, each is kept from
    relatives above an identity, so that its nearest are as near as those of the validation protein at the same place
    in the order. Profiles speak on it without its protein, and where they are no more certain than on validation.
    """

    def __init__(
        self,
        library: Sequence[Relative],
        *,
        max_lines: int,
        max_e_value: float,
        profiles: bool,
        threads: int = 1,
    ) -> None:
        """``max_lines`` are those of relatives; with ``profiles`` there may be one more."""
        self._library, self._threads = library, threads
        self._limits = {"max_lines": max_lines, "max_e_value": max_e_value, "threads": threads}
        self._profiles = Profiles(library, threads=threads) if profiles else None
        self._nearest: dict[str, float] = {}
        self._surest: dict[str, float] = {}

    def about(self, questions: Sequence[Question]) -> list[list[Line]]:
        """The lines of each question, the nearest relative's first."""
        return self._joined(*self._heard(questions))

    def of_validation(self, questions: Sequence[Question]) -> list[list[Line]]:
        """As :meth:`about`; how near evidence is here is how near it will be in training."""
        said, added = self._heard(questions)
        self._nearest, self._surest = _nearest(questions, said), _surest(questions, added)
        return self._joined(said, added)

    def of_training(self, questions: Sequence[Question]) -> list[list[Line]]:
        """As :meth:`about`, for the library's own proteins."""
        said = self._find(questions, _is_another)
        limits = limits_like(_nearest(questions, said), self._nearest)
        again = [n for n, each in enumerate(questions) if each.uid in limits and said[n]]
        repeated = self._find([questions[n] for n in again], _is_another_below(limits))
        said |= {again[n]: each for n, each in repeated.items()}
        added: dict[int, Line] = {}
        if self._profiles:
            added = suggest_held_out(questions, self._library, threads=self._threads)
            limits = limits_like(_surest(questions, added), self._surest)
            added = {
                n: line
                for n, line in added.items()
                if _certainty(line) <= limits.get(questions[n].uid, math.inf)
            }
        return self._joined(said, added)

    def _heard(self, questions: Sequence[Question]) -> tuple[dict[int, list[Line]], dict[int, Line]]:
        """What relatives and what profiles say."""
        said = self._find(questions, lambda question, relative, hit: True)
        return said, self._profiles.suggest(questions) if self._profiles else {}

    @staticmethod
    def _joined(said: Mapping[int, list[Line]], added: Mapping[int, Line]) -> list[list[Line]]:
        return [with_profile(said[number], added.get(number)) for number in range(len(said))]

    def _find(self, questions: Sequence[Question], keep: Kept) -> dict[int, list[Line]]:
        return dict(find(questions, self._library, keep=keep, **self._limits))


def limits_like(ours: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, float]:
    """Limits that bring the values of ``ours`` down to those of ``theirs``, quantile by quantile.

    Only the proteins that stand above their counterpart have one. Without ``theirs`` there are none.
    """
    wanted = sorted(theirs.values())
    ranked = sorted(ours, key=lambda uid: (ours[uid], uid))
    limits = {uid: wanted[place * len(wanted) // len(ranked)] for place, uid in enumerate(ranked) if wanted}
    return {uid: limit for uid, limit in limits.items() if ours[uid] > limit}


def _nearest(questions: Sequence[Question], lines: Mapping[int, Sequence[Line]]) -> dict[str, float]:
    """Highest identity of the relatives that speak about each protein, 0 where none does."""
    return _best(questions, lambda number: max((line.identity for line in lines[number]), default=0.0))


def _surest(questions: Sequence[Question], lines: Mapping[int, Line]) -> dict[str, float]:
    """Highest certainty of the profiles that speak about each protein, 0 where none does."""
    return _best(questions, lambda number: _certainty(lines[number]) if number in lines else 0.0)


def _best(questions: Sequence[Question], value: Callable[[int], float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for number, question in enumerate(questions):
        found[question.uid] = max(found.get(question.uid, 0.0), value(number))
    return found


def _certainty(line: Line) -> float:
    """Minus the logarithm of the E-value."""
    return -math.log10(max(line.e_value, 1e-300))


def _is_another(question: Question, relative: Relative, hit: Hit) -> bool:
    return relative.uid != question.uid and hit.identity < IDENTICAL


def _is_another_below(limits: Mapping[str, float]) -> Callable[[Question, Relative, Hit], bool]:
    return lambda question, relative, hit: (
        _is_another(question, relative, hit) and hit.identity <= limits[question.uid]
    )
