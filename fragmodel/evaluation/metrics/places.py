"""A grounding record and what was read from an answer to it: which places are right, and how sure each was."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fragmodel.evaluation import parse
from fragmodel.evaluation.metrics.confidence import Ranked, joined
from fragmodel.evaluation.metrics.spans import counted_rows, hit_rows
from fragmodel.pairing import Labelled, overlaps
from fragmodel.vocabulary import Span

Groups = Sequence[tuple[str, Sequence[Span]]]
RIGHT = 0.5
"""IoU with a true span from which on a place is right."""


@dataclass(frozen=True, slots=True)
class GroundingItem:
    """A record's true groups (class name, spans), what was read from the answer, and the window's length.

    What an answer says of the ``ignored`` regions is neither right nor wrong.
    """

    true: Groups
    predicted: Groups
    status: str
    length: int
    ignored: Groups = ()
    confidence: float | None = None  # that something is there, where the system states one
    places: Sequence[float] = ()  # confidence of each predicted span in order, where stated; 0 to 1
    ranked: Groups = ()  # a group for each place of all candidates, the most probable first
    residues: np.ndarray | None = None  # [length], the higher the surer that a residue is asked for

    @property
    def absent(self) -> bool:
        """Whether there is nothing to find."""
        return not any(spans for _, spans in self.true)


def label(groups: Groups, aware: bool) -> list[Labelled]:
    """Spans with their normalised class, or all with the same label when not ``aware`` of classes."""
    return [
        Labelled(parse.normalise(name) if aware else "", span) for name, spans in groups for span in spans
    ]


def place_hits(item: GroundingItem, aware: bool) -> list[bool | None]:
    """Whether each predicted span, in order, is right: one of the most pairs at IoU :data:`RIGHT`.

    ``None`` for one in an ignored region; ``aware`` of classes or not.
    """
    predicted, true, ignored = (label(side, aware) for side in (item.predicted, item.true, item.ignored))
    rows = counted_rows(predicted, true, ignored)
    sure = [item.places[row] for row in rows] if item.places else ()
    found = hit_rows(overlaps([predicted[row] for row in rows], true), RIGHT, sure)
    hits: list[bool | None] = [None] * len(predicted)
    for row, hit in zip(rows, found, strict=True):
        hits[row] = bool(hit)
    return hits


def place_outcomes(
    items: Sequence[GroundingItem], hits: Sequence[Sequence[bool | None]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Record, confidence and rightness of each place that counts and has a confidence; each [n]."""
    rows = [
        (record, sure, hit)
        for record, (item, found) in enumerate(zip(items, hits, strict=True))
        for sure, hit in zip(item.places, found, strict=bool(item.places))
        if hit is not None
    ]
    owners, sure, right = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(owners, dtype=np.int64), np.array(sure, dtype=np.float64), np.array(right, dtype=bool)


def ranked_residues(items: Sequence[GroundingItem]) -> Ranked | None:
    """The residues of all windows by how sure a system is of each; ``None`` where it never says.

    Without a score of its own a residue has the confidence of the surest place that covers it, else 0. Classes are
    not told apart; ignored residues that are not true are left out.
    """
    if not any(item.places or item.residues is not None for item in items):
        return None
    scores, truth = [], []
    for item in items:
        right, ignored = (np.zeros(item.length, dtype=bool) for _ in range(2))
        for mask, groups in ((right, item.true), (ignored, item.ignored)):
            for start, end in (span for _, spans in groups for span in spans):
                mask[start:end] = True
        judged = right | ~ignored
        scores.append(_residue_scores(item)[judged])
        truth.append(right[judged])
    owners = joined(range(len(items)), truth)
    return Ranked(owners, np.concatenate(scores), np.concatenate(truth), len(items))


def _residue_scores(item: GroundingItem) -> np.ndarray:
    if item.residues is not None:
        return item.residues
    scores = np.zeros(item.length)
    spans = [span for _, spans in item.predicted for span in spans]
    for (start, end), sure in zip(spans, item.places, strict=bool(item.places)):
        scores[start:end] = np.maximum(scores[start:end], sure)
    return scores
