"""A profile hidden Markov model of each class (HMMER 3; Eddy 2011), and its hits as places.

A profile is made of up to 100 different fragments of its class, aligned by HMMER: to the single-sequence profile of
the fragment of middle length, then again to the profile of that alignment. Columns that half of them fill are match
states. A class of one fragment keeps its single-sequence profile. A site is modelled with its neighbours
(:mod:`fragmodel.homology.stretches`), and its place is that of the states of the site.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from statistics import median_low
from typing import NamedTuple

import pyhmmer
from pyhmmer.easel import Alphabet, DigitalSequence, DigitalSequenceBlock, TextSequence
from pyhmmer.plan7 import HMM, Background, Builder, Domain

from fragmodel.files import text_digest
from fragmodel.homology.stretches import FLANK, SHORT
from fragmodel.vocabulary import Span

MAX_E_VALUE = 1e-3
_MEMBERS = 100  # fragments of a class that its profile is made of, at most
_ROUNDS = 2  # of alignment to the profile of the round before
_SEED = 42  # of HMMER's own sampling, as its programs have it
_ALPHABET = Alphabet.amino()
_RARE = re.compile("[UOJ]")


class Member(NamedTuple):
    """A fragment of training as the profile sees it: a site with its neighbours."""

    residues: str
    place: Span  # of the fragment in ``residues``


class Profile(NamedTuple):
    """A class's model, and the match states that are the fragment itself (0-based, half-open)."""

    class_name: str
    hmm: HMM
    core: Span


class ClassHit(NamedTuple):
    """A place of a class, within a window (0-based, half-open)."""

    class_name: str
    span: Span
    e_value: float = 0.0
    identity: float = 0.0
    """Part of the residues of a profile's alignment that are those of its consensus, 0 to 1."""


def profiles_of(fragments: Iterable[tuple[str, str, Span]]) -> list[Profile]:
    """A profile for each class, in alphabetical order.

    ``fragments`` are class, window and place within it; those without a class are passed over.
    """
    members: dict[str, set[Member]] = defaultdict(set)
    for name, sequence, span in fragments:
        if name:
            members[name].add(_member(sequence, span))
    return [build_profile(name, found) for name, found in sorted(members.items())]


def build_profile(class_name: str, members: set[Member]) -> Profile:
    """The profile of a class; of more than 100 members those with the lowest digests."""
    chosen = sorted(sorted(members), key=lambda member: text_digest(member.residues))[:_MEMBERS]
    # The fragment of middle length is the first profile; all are aligned to it, then to what that makes of them.
    first = sorted(chosen, key=lambda member: len(member.residues))[(len(chosen) - 1) // 2]
    hmm, _, _ = Builder(_ALPHABET, seed=_SEED).build(_digital(first.residues), Background(_ALPHABET))
    if len(chosen) == 1:
        return Profile(class_name, hmm, first.place)
    for _ in range(_ROUNDS):
        hmm, core = _rebuilt(hmm, chosen)
    return Profile(class_name, hmm, core)


def _rebuilt(hmm: HMM, members: Sequence[Member]) -> tuple[HMM, Span]:
    """The profile of the members' alignment to a profile, and the match states of the fragment."""
    msa = pyhmmer.hmmalign(hmm, [_digital(member.residues) for member in members], cpus=1)
    rows = msa.alignment
    match = [
        2 * sum(letter.isalpha() for letter in column) >= len(rows) for column in zip(*rows, strict=True)
    ]
    states = [0, *accumulate(match)]
    starts, ends = [], []
    for row, member in zip(rows, members, strict=True):
        columns = [column for column, letter in enumerate(row) if letter.isalpha()]
        starts.append(states[columns[member.place.start]])
        ends.append(states[columns[member.place.end - 1] + 1])
    msa.reference = "".join("x" if each else "." for each in match)
    builder = Builder(_ALPHABET, seed=_SEED, architecture="hand")
    msa.name = hmm.name
    hmm, _, _ = builder.build_msa(msa.digitize(_ALPHABET), Background(_ALPHABET))
    start, end = median_low(starts), median_low(ends)
    return hmm, Span(start, max(end, start + 1))


def _digital(residues: str, name: str = "class") -> DigitalSequence:
    return TextSequence(name=name.encode(), sequence=_standard(residues)).digitize(_ALPHABET)


def search_profiles(
    profiles: Sequence[Profile], windows: Sequence[str], *, threads: int = 1
) -> dict[str, list[ClassHit]]:
    """Domain hits with an independent E-value up to :data:`MAX_E_VALUE`, by window.

    A place, 0-based and half-open within the window, is the envelope, or that of the residues that are aligned to a
    site's states. E-values are hmmscan's: of a library of this many profiles, whatever the number of windows.
    """
    block = DigitalSequenceBlock(
        _ALPHABET, [_digital(window, str(number)) for number, window in enumerate(windows)]
    )
    found: dict[str, list[ClassHit]] = defaultdict(list)
    searches = pyhmmer.hmmsearch(
        [profile.hmm for profile in profiles],
        block,
        cpus=threads,
        seed=_SEED,
        Z=len(profiles),
        E=MAX_E_VALUE,
        domE=MAX_E_VALUE,
    )
    for profile, hits in zip(profiles, searches, strict=True):
        for hit in hits:
            window = windows[int(hit.name)]
            for domain in hit.domains:
                if domain.i_evalue <= MAX_E_VALUE and (span := _place(profile, domain)):
                    found[window].append(
                        ClassHit(profile.class_name, span, domain.i_evalue, _identity(domain))
                    )
    return dict(found)


def _place(profile: Profile, domain: Domain) -> Span | None:
    """The envelope, or the residues that are aligned to a site's states, if to half of them."""
    if profile.core.length == profile.hmm.M:
        return Span(domain.env_from - 1, domain.env_to)
    inside = [
        residue for state, residue in _aligned(domain) if profile.core.start <= state < profile.core.end
    ]
    if not inside or 2 * len(inside) < profile.core.length:
        return None
    return Span(inside[0], inside[-1] + 1)


def _identity(domain: Domain) -> float:
    """Of the residues that are aligned to match states."""
    alignment = domain.alignment
    pairs = zip(alignment.hmm_sequence.upper(), alignment.target_sequence.upper(), strict=True)
    aligned = [model == letter for model, letter in pairs if model != "." and letter != "-"]
    return sum(aligned) / len(aligned)


def _aligned(domain: Domain) -> Iterator[tuple[int, int]]:
    """Pairs of match state and residue, both from 0."""
    alignment = domain.alignment
    state, residue = alignment.hmm_from - 1, alignment.target_from - 1
    for model, letter in zip(alignment.hmm_sequence, alignment.target_sequence, strict=True):
        if model != "." and letter != "-":
            yield state, residue
        state += model != "."
        residue += letter != "-"


def _member(sequence: str, span: Span) -> Member:
    left = min(FLANK, span.start) if span.length < SHORT else 0
    right = FLANK if span.length < SHORT else 0
    residues = sequence[span.start - left : span.end + right]
    return Member(residues, Span(left, left + span.length))


def _standard(residues: str) -> str:
    return _RARE.sub("X", residues)
