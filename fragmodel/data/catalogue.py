"""Which classes the files of a data set hold, and which of them a protein is without.

Absence of an annotation is no proof of absence. What counts as one is in docs/formats.md; in short: the source says
that it annotates all that the protein has, it knows the class, and no class that the protein has is of a like name.
Everything is read once before, so that each record's draw depends on the seed and the record, never on the order.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import Literal, NamedTuple

import numpy as np

from fragmodel.data.prompts import plain
from fragmodel.data.records import Fault, Protein
from fragmodel.data.validate import HARMLESS
from fragmodel.files import text_digest

Claim = Literal["stated", "all", "none"]
Kind = Literal["random", "frequent", "namesake", "relative"]
_HARD: tuple[Kind, ...] = ("relative", "namesake", "frequent")
_COMPLETE_WITH = {*HARMLESS, "duplicate"}  # faults after which nothing is missing from a protein
# Words that tell no class: a "divalent metal cation" may be any, and a "substrate" too.
_GENERAL = frozenset(
    re.findall(
        r"\w+",
        "a an and the of or in for domain region site repeat motif family superfamily active binding conserved like "
        "type related protein substrate metal divalent cation ion",
    )
)
_CURRENT, _RETIRED = "UniProtKB-FT", "UniProtKB-FT until 2022"  # whose ligands have other names
_RETIRED_KEYS = ("UniProtKB-FT:METAL", "UniProtKB-FT:NP_BIND", "UniProtKB-FT:CA_BIND")
_TELLING = 0.1  # part of the classes that have a word at most, for it to make namesakes


class Negatives(NamedTuple):
    """What is asked about classes that a protein does not have."""

    share: float = 0.0  # negative records for each positive one
    hard: float = 0.5  # part of them whose class is drawn among the likelier ones
    complete: Claim = "stated"  # proteins whose annotation is whole: those that the files say, all, or none


NO_NEGATIVES = Negatives()


class Class(NamedTuple):
    """A class as it is asked about."""

    name: str
    class_id: str
    key: str  # see Fragment.class_key


def is_complete(protein: Protein, faults: Iterable[Fault], claim: Claim) -> bool:
    """Whether what a checked protein has no fragment of is absent: claimed, and no fragment was rejected."""
    claimed = claim == "all" or (claim == "stated" and protein.complete)
    return claimed and all(fault.reason in _COMPLETE_WITH for fault in faults)


class Catalogue:
    """The classes of all checked proteins of a data set's split; first :meth:`add` them all, then ask.

    A class is known within a scope: what one search or one curation would have found (the name of a raw format, or
    the file of a scan).
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._classes: dict[Class, int] = {}
        self._proteins: Counter[int] = Counter()  # that have a class
        self._in_scope: dict[str, set[int]] = defaultdict(set)
        self._together: dict[int, set[int]] = defaultdict(set)  # classes of proteins that share one
        self._present: dict[str, set[int]] = defaultdict(
            set
        )  # by digest of the sequence, whatever the record
        self._records: Counter[str] = Counter()  # likewise
        self._digests: dict[str, str] = {}  # of each uid's sequence; "" where it has several

    def add(self, protein: Protein, scope: str) -> None:
        """Note the classes of a checked protein."""
        if not protein.uid or not protein.sequence:
            return
        digest = text_digest(protein.sequence, size=8)
        if self._digests.setdefault(protein.uid, digest) != digest:
            self._digests[protein.uid] = ""
        self._records[digest] += 1
        found = {
            self._classes.setdefault(_class(*group, members[0].class_key), len(self._classes))
            for group, members in protein.by_class()
        }
        self._proteins.update(found - self._present[digest])
        self._present[digest] |= found
        self._in_scope[scope] |= found
        for one in found:
            self._together[one] |= found

    def present(self, uid: str) -> frozenset[int] | None:
        """All classes that any record of the protein's sequence has; None where the uid names several sequences."""
        digest = self._digests.get(uid)
        return frozenset(self._present.get(digest, ())) if digest else None

    def is_alone(self, uid: str) -> bool:
        """Whether one record has all that is known of the protein's sequence."""
        return self._records[self._digests[uid]] == 1

    def lacking(self, present: frozenset[int], scope: str) -> np.ndarray:
        """The classes that a complete protein with the classes ``present`` is without; bool [classes].

        They are known to its scope and of a kind of id that it has itself, and neither their key nor their name is
        that of a present class: no name has all telling words of the other ("SH3 domain", "Domain: SH3", "SH3-like").
        """
        facts = self._facts
        own = {facts.kinds[each] for each in present}
        if _RETIRED in own:
            own.discard(_CURRENT)
        lacking = facts.in_scope[scope].copy()
        for kind, members in facts.of_kind.items():
            if kind not in own:
                lacking[members] = False
        for each in present:
            lacking[list(self._alike(each))] = False
        return lacking

    def draw(
        self, record_id: str, present: frozenset[int], lacking: np.ndarray, count: int, hard: float
    ) -> list[tuple[Class, Kind]]:
        """``count`` different classes of ``lacking`` (fewer where it has fewer), and how each was chosen.

        Each is the one with the lowest hash of (seed, record, class), so that another class in the catalogue changes a
        draw only if it is drawn itself. ``hard`` is the part of those that are drawn among classes that stand in
        proteins which share a class with this one, among classes that share a telling word with one of its own, or by
        frequency, where there are any.
        """
        left = lacking.copy()
        drawn: list[tuple[Class, Kind]] = []
        for number in range(min(count, int(left.sum()))):
            key = text_digest("negative", str(self._seed), record_id, str(number), size=8)
            first = int(key, 16) % len(_HARD)
            is_hard = unit(key, "hard") < hard
            kinds = (*_HARD[first:], *_HARD[:first], "random") if is_hard else ("random",)
            for kind in kinds:
                if (chosen := self._lowest(key, self._of_kind(kind, present) & left, kind)) is not None:
                    drawn.append((self._facts.classes[chosen], kind))
                    left[chosen] = False
                    break
        return drawn

    def _lowest(self, key: str, candidates: np.ndarray, kind: Kind) -> int | None:
        rows = np.flatnonzero(candidates)
        if not len(rows):
            return None
        facts = self._facts
        numbers = _mixed(facts.hashes[rows] ^ np.uint64(int(key, 16)))
        if (
            kind == "frequent"
        ):  # weighted rendezvous hashing: a class of twice the weight is drawn twice as often
            return int(rows[np.argmin(-np.log((numbers + 1.0) / 2.0**64) / facts.weights[rows])])
        return int(rows[np.argmin(numbers)])

    def _of_kind(self, kind: Kind, present: frozenset[int]) -> np.ndarray:
        facts = self._facts
        if kind in ("random", "frequent"):
            return np.ones(len(facts.classes), dtype=bool)
        mask = np.zeros(len(facts.classes), dtype=bool)
        for each in present:
            if kind == "relative":
                mask[list(self._together[each])] = True
            else:
                most = max(2, _TELLING * len(facts.classes))
                for word in facts.words[each]:
                    if len(facts.having[word]) <= most:
                        mask[facts.having[word]] = True
        return mask

    def _alike(self, one: int) -> set[int]:
        """Classes that may be another name for ``one``, itself included."""
        facts = self._facts
        if one not in facts.alike:
            words = facts.words[one]
            shared = Counter(each for word in words for each in facts.having[word])
            nested = {each for each, count in shared.items() if count in (len(words), len(facts.words[each]))}
            untold = range(len(facts.classes)) if not words else facts.untold
            facts.alike[one] = nested | facts.same_key[facts.classes[one].key] | set(untold)
        return facts.alike[one]

    @cached_property
    def _facts(self) -> "_Facts":
        return _Facts(list(self._classes), self._proteins, self._in_scope)


class _Facts:
    """What is computed once of all classes, by number."""

    def __init__(
        self, classes: Sequence[Class], proteins: Counter[int], scopes: Mapping[str, set[int]]
    ) -> None:
        self.classes = classes
        self.kinds = [_kind(each.class_id) for each in classes]
        self.of_kind: dict[str, list[int]] = defaultdict(list)
        self.in_scope = {scope: np.zeros(len(classes), dtype=bool) for scope in scopes}
        for scope, known in scopes.items():
            self.in_scope[scope][list(known)] = True
        self.words = [frozenset(re.findall(r"\w+", each.name.casefold())) - _GENERAL for each in classes]
        self.having: dict[str, list[int]] = defaultdict(list)
        self.same_key: dict[str, set[int]] = defaultdict(set)
        self.untold = [number for number, words in enumerate(self.words) if not words]
        for number, each in enumerate(classes):
            self.of_kind[self.kinds[number]].append(number)
            self.same_key[each.key].add(number)
            for word in self.words[number]:
                self.having[word].append(number)
        self.hashes = np.array(
            [int(text_digest(each.name, each.class_id, size=8), 16) for each in classes], dtype=np.uint64
        )
        # Powers of two: one more protein rarely changes a weight.
        self.weights = np.array([2.0 ** (proteins[n].bit_length() - 1) for n in range(len(classes))])
        self.alike: dict[int, set[int]] = {}


def unit(*parts: str) -> float:
    """A number in [0, 1) that depends on the texts alone."""
    return int(text_digest(*parts, size=8), 16) / 2**64


def _kind(class_id: str) -> str:
    """Whose class it is: `IPR`, `UniProtKB-FT`, … or "" of a class without an id."""
    if class_id in _RETIRED_KEYS:
        return _RETIRED
    return class_id.split(":")[0].rstrip("0123456789")


@cache
def _class(name: str, class_id: str, key: str) -> Class:
    return Class(plain(name), class_id, key)


def _mixed(values: np.ndarray) -> np.ndarray:
    """uint64 values, each bit of which depends on all bits of the given ones (finalizer of SplitMix64, Steele 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))
