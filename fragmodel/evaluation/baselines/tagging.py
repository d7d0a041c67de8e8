"""Residue tagging with a linear head, and its decoding into places."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from fragmodel.data.grammar import grounding_answer
from fragmodel.evaluation.baselines.priors import Texts
from fragmodel.evaluation.baselines.segments import maximal_segments
from fragmodel.evaluation.baselines.softmax import SoftmaxRegression
from fragmodel.evaluation.baselines.states import Store, residue_states
from fragmodel.evaluation.parse import normalise
from fragmodel.evaluation.references import Key, Reference
from fragmodel.vocabulary import Span

_SAMPLED = 1_000_000  # residues that the head is fitted on, at most about
_PER_SPAN = 32  # of a class in a window, and of what is annotated as nothing in it
_CLIP = 4.0  # most that one residue's log-odds can say for or against

Places = dict[str, list[Span]]


class ResidueTagger:
    """Softmax over the classes and "none" for each residue, on the encoder's states.

    Fitted on residues drawn from each class of each window and as many that are annotated as nothing there: time and
    memory of the fit are bounded. With balanced weights the logits are log-likelihood ratios; the frequencies of the
    classes in training make log-odds of them. Places are the maximal scoring segments of these.

    Args:
        store: encoder states.
        known: training records of a grounding task, at least one of which has a place.
        seed: seed of the drawn residues and of the fit.
    """

    def __init__(self, store: Store, known: Sequence[Reference], *, seed: int = 1) -> None:
        self._store = store
        windows = _by_window(known)
        self._names = sorted({name for places in windows.values() for name in places})
        self._column = {normalise(name): place for place, name in enumerate(self._names, start=1)}
        label = {name: place for place, name in enumerate(self._names, start=1)}
        covered = np.zeros(len(self._names) + 1)  # residues of each class
        beside = np.zeros(len(self._names) + 1)  # residues of the windows that have the class
        lengths: dict[int, list[int]] = defaultdict(list)
        for sequence, places in windows.items():
            covered[0] += len(sequence)
            for name, spans in places.items():
                residues = sum(span.length for span in spans)
                covered[label[name]] += residues
                beside[label[name]] += len(sequence)
                lengths[label[name]] += [span.length for span in spans]
        beside[0] = covered[0]
        covered[0] = max(covered[0] - covered[1:].sum(), 1)
        # Log-odds of a class against none before the residue is seen: in any window, and in one that has the class.
        self._prior = np.log(np.maximum(covered, 1) / covered[0])
        share = np.clip(covered / np.maximum(beside, 1), 1e-3, 1 - 1e-3)
        self._prior_inside = np.log(share / (1 - share))
        self._shortest = {place: min(found) for place, found in lengths.items()}
        self._usual = {place: int(np.median(found)) for place, found in lengths.items()}
        rows, labels = self._sample(windows, label, seed)
        self._head = SoftmaxRegression(rows, labels, len(self._names) + 1, seed=seed)

    def answer(self, asked: Sequence[Reference]) -> tuple[Texts, dict[Key, np.ndarray]]:
        """An answer for each record, and the score of each residue of its window, float32 [residues].

        The score is the log-odds of the class that the question names, or of any class, against none.
        """
        records: dict[str, list[Reference]] = defaultdict(list)
        for record in asked:
            records[record.sequence].append(record)
        texts: Texts = {}
        scores: dict[Key, np.ndarray] = {}
        for sequence, found in records.items():
            logits = self._head.logits(residue_states(self._store, sequence))
            odds = logits[:, 1:] - logits[:, :1]
            for record in found:
                if record.key.task_type == "grounding_single":
                    groups, own = self._place(record, odds)
                else:
                    groups, own = self._places(odds), np.logaddexp.reduce(odds + self._prior[1:], axis=1)
                texts[record.key] = grounding_answer(record.key.task_type, groups)
                scores[record.key] = own.astype(np.float32)
        return texts, scores

    def _place(self, record: Reference, odds: np.ndarray) -> tuple[list[tuple[str, list[Span]]], np.ndarray]:
        """Places of the class in question, at least one, and the residues' log-odds; of an unseen class any's."""
        column = self._column.get(normalise(record.class_name))
        if column is None:
            scores = np.logaddexp.reduce(odds + self._prior[1:], axis=1)
            shortest, usual = min(self._shortest.values()), int(np.median(list(self._usual.values())))
        else:
            scores = odds[:, column - 1] + self._prior_inside[column]
            shortest, usual = self._shortest[column], self._usual[column]
        spans = _decoded(scores, shortest)
        spans = spans or [_around(int(scores.argmax()), usual, len(scores))]
        return [(record.class_name, spans)], scores

    def _places(self, odds: np.ndarray) -> list[tuple[str, list[Span]]]:
        """Places of every class that is the most probable label of a residue; of the likeliest where none is."""
        scores = odds + self._prior[1:]
        groups = []
        for column in np.unique(scores.argmax(axis=1)[scores.max(axis=1) > 0]):
            if spans := _decoded(scores[:, column], self._shortest[column + 1]):
                groups.append((self._names[column], spans))
        if not groups:
            residue, column = np.unravel_index(scores.argmax(), scores.shape)
            groups = [
                (self._names[column], [_around(int(residue), self._usual[int(column) + 1], len(scores))])
            ]
        return groups

    def _sample(
        self, windows: dict[str, Places], label: dict[str, int], seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """States of drawn residues, float16 [n, dim], and their labels [n]."""
        draw = np.random.default_rng(seed)
        most = int(np.clip(_SAMPLED // sum(len(places) + 1 for places in windows.values()), 1, _PER_SPAN))
        chosen: dict[str, list[tuple[int, np.ndarray]]] = {}
        for sequence, places in windows.items():
            nothing = np.ones(len(sequence), dtype=bool)
            residues = {}
            for name, spans in places.items():
                residues[label[name]] = np.concatenate([np.arange(*span) for span in spans])
                nothing[residues[label[name]]] = False
            residues[0] = np.flatnonzero(nothing)
            chosen[sequence] = [
                (place, found if len(found) <= most else draw.choice(found, most, replace=False))
                for place, found in residues.items()
            ]
        labels = np.concatenate(
            [np.full(len(found), place) for parts in chosen.values() for place, found in parts]
        )
        rows = np.empty((0, 0), dtype=np.float16)
        first = 0
        for sequence, parts in chosen.items():
            states = residue_states(self._store, sequence)
            if not rows.size:
                rows = np.empty((len(labels), states.shape[1]), dtype=np.float16)
            wanted = np.concatenate([found for _, found in parts])
            rows[first : first + len(wanted)] = states[wanted]
            first += len(wanted)
        return rows, labels


def _by_window(known: Sequence[Reference]) -> dict[str, Places]:
    """All places of each window by class, whichever records ask for them."""
    windows: dict[str, Places] = defaultdict(dict)
    for record in known:
        for name, spans in record.groups:
            if spans:
                windows[record.sequence].setdefault(name, []).extend(spans)
    return dict(sorted(windows.items()))


def _decoded(scores: np.ndarray, shortest: int) -> list[Span]:
    """Maximal scoring segments of at least half the class's shortest span in training."""
    segments = maximal_segments(np.clip(scores, -_CLIP, _CLIP).tolist())
    return [span for span, _ in segments if 2 * span.length >= shortest]


def _around(residue: int, usual: int, length: int) -> Span:
    """A span of the usual length about a residue, inside the window."""
    size = min(usual, length)
    start = min(max(0, residue - size // 2), length - size)
    return Span(start, start + size)
