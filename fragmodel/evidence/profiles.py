"""What profiles of the training fragments suggest: a line that may speak where no single relative is near enough."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from scipy.cluster.hierarchy import DisjointSet

from fragmodel.data.grammar import NONE
from fragmodel.evidence.find import Line, Question, of_one_kind
from fragmodel.evidence.library import Known, Relative
from fragmodel.evidence.transfer import answer_from
from fragmodel.files import text_digest
from fragmodel.homology.profiles import ClassHit, Profile, profiles_of, search_profiles

FOLDS = 5  # parts of the training proteins, each asked of the profiles of the others


class Profiles:
    """Profiles of a library's classes, by kind of fragment; made when a question first needs them."""

    def __init__(self, library: Sequence[Relative], *, threads: int = 1) -> None:
        self._library, self._threads = library, threads
        self._made: dict[str, tuple[list[Profile], dict[str, str]]] = {}

    def suggest(self, questions: Sequence[Question]) -> dict[int, Line]:
        """Lines by the number of the question; questions of whose window no profile knows anything have none."""
        by_kind: dict[str, list[int]] = defaultdict(list)
        for number, question in enumerate(questions):
            if question.asked.task != "function":
                by_kind[question.asked.kind].append(number)
        lines = {}
        for kind, numbers in by_kind.items():
            profiles, descriptions = self._of(kind)
            windows = sorted({questions[number].sequence for number in numbers})
            hits = search_profiles(profiles, windows, threads=self._threads)
            for number in numbers:
                line = _line(questions[number], hits.get(questions[number].sequence, ()), descriptions)
                if line is not None:
                    lines[number] = line
        return lines

    def _of(self, kind: str) -> tuple[list[Profile], dict[str, str]]:
        """The profiles of a kind, and the most frequent description of each class."""
        if kind not in self._made:
            told = [
                (relative.sequence, known)
                for relative in self._library
                if of_one_kind(kind, relative.kind)
                for known in relative.fragments
            ]
            said: dict[str, Counter[str]] = defaultdict(Counter)
            for _, known in told:
                if known.description:
                    said[known.class_name][known.description] += 1
            self._made[kind] = (
                profiles_of((known.class_name, sequence, known.span) for sequence, known in told),
                {name: min(counts, key=lambda text: (-counts[text], text)) for name, counts in said.items()},
            )
        return self._made[kind]


def suggest_held_out(
    questions: Sequence[Question], library: Sequence[Relative], *, threads: int = 1
) -> dict[int, Line]:
    """As :meth:`Profiles.suggest` about the library's own proteins, from profiles in which they have no part.

    Proteins are dealt to :data:`FOLDS` parts, those of one sequence to the same; the profiles that speak on a part are
    made of the others.
    """
    fold = _folds([(each.uid, each.sequence) for each in (*library, *questions)])
    lines = {}
    for part in range(FOLDS):
        numbers = [number for number, question in enumerate(questions) if fold[question.uid] == part]
        others = [relative for relative in library if fold[relative.uid] != part]
        found = Profiles(others, threads=threads).suggest([questions[number] for number in numbers])
        lines |= {numbers[place]: line for place, line in found.items()}
    return lines


def with_profile(lines: Sequence[Line], said: Line | None) -> list[Line]:
    """Lines of relatives and the one of profiles, behind what they suggest but before that they lack something."""
    if said is None or any(line.text == said.text for line in lines):
        return list(lines)
    return sorted([*lines, said], key=lambda line: line.text == NONE)


def _line(question: Question, hits: Iterable[ClassHit], descriptions: Mapping[str, str]) -> Line | None:
    ranked = sorted(hits, key=lambda hit: (hit.e_value, hit.span))
    found = [Known(hit.class_name, hit.span, descriptions.get(hit.class_name, "")) for hit in ranked]
    said = answer_from(question.asked, found)
    if said is None or said.text == NONE:
        return None
    spoken = [hit for hit, known in zip(ranked, found, strict=True) if known in said.fragments]
    best = spoken[0]
    residues = {residue for hit in spoken for residue in range(*hit.span)}
    covered = len(residues) / len(question.sequence)
    return Line(said.text, "", best.identity, covered, best.e_value, said.fragments, said.overlap)


def _folds(windows: Iterable[tuple[str, str]]) -> dict[str, int]:
    """The part of each protein (uid of a window, beside its residues): one for all that share a sequence."""
    joined: DisjointSet[tuple[str, str]] = DisjointSet()
    for uid, sequence in windows:
        nodes = ("uid", uid), ("sequence", sequence)
        for node in nodes:
            joined.add(node)
        joined.merge(*nodes)
    parts = {}
    for members in joined.subsets():
        uids = [text for kind, text in members if kind == "uid"]
        part = int(min(map(text_digest, uids)), 16) % FOLDS
        parts |= dict.fromkeys(uids, part)
    return parts
