"""Answers of systems that place classes in proteins: profiles, and annotations made elsewhere."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fragmodel.data.grammar import grounding_answer
from fragmodel.data.prompts import plain
from fragmodel.evaluation.baselines.priors import Texts, most_common
from fragmodel.evaluation.parse import normalise
from fragmodel.evaluation.references import Reference
from fragmodel.evidence.transfer import iou
from fragmodel.vocabulary import GROUNDING_TASKS, Span


class ClassHit(NamedTuple):
    """A place of a class, within a window (0-based, half-open)."""

    class_name: str
    span: Span
    e_value: float = 0.0


def answers_from_hits(
    known: Sequence[Reference],
    asked: Sequence[Reference],
    hits_of: Callable[[Reference], Sequence[ClassHit]],
) -> Texts:
    """An answer for each record, empty where no hit says anything; none to `function`.

    Referring: the class whose hit overlaps the fragment most (by IoU, then E-value), and its most frequent description
    in training. Grounding: all places of the class in question, or of all classes.
    """
    task = asked[0].key.task_type
    if task == "function":
        return {}
    descriptions: dict[str, list[str]] = defaultdict(list)
    for record in known:
        descriptions[normalise(record.class_name)].append(record.answer)
    said = {name: most_common(found) for name, found in descriptions.items()}
    texts = {}
    for record in asked:
        hits = hits_of(record)
        if task in GROUNDING_TASKS:
            texts[record.key] = _places(record, hits)
            continue
        best = max(hits, key=lambda hit: (_overlap(record, hit), -hit.e_value), default=None)
        name = best.class_name if best and _overlap(record, best) else ""
        texts[record.key] = plain(name) if task == "referring_class" else said.get(normalise(name), "")
    return texts


def _overlap(record: Reference, hit: ClassHit) -> float:
    return iou(record.position_ref, hit.span) if record.position_ref else 0.0


def _places(record: Reference, hits: Sequence[ClassHit]) -> str:
    wanted = normalise(record.class_name) if record.key.task_type == "grounding_single" else None
    groups: dict[str, set[Span]] = defaultdict(set)
    for hit in sorted(hits, key=lambda hit: (hit.e_value, hit.span)):
        if wanted in (None, normalise(hit.class_name)):
            groups[hit.class_name].add(hit.span)
    found = [(name, sorted(spans)) for name, spans in groups.items()]
    return grounding_answer(record.key.task_type, found)
