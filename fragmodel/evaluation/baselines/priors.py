"""Baselines that never look at a residue: the most frequent answer, the usual place, a random place."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean, median_low

from fragmodel.data.grammar import NONE, grounding_answer
from fragmodel.data.prompts import plain
from fragmodel.evaluation.references import Key, Reference
from fragmodel.files import text_digest
from fragmodel.vocabulary import GROUNDING_TASKS, REFERRING_TASKS, Span

Texts = dict[Key, str]
_Relative = tuple[float, float]  # start and length of a span, as parts of its window


def majority(known: Sequence[Reference], asked: Sequence[Reference]) -> Texts:
    """The most frequent class, or the most frequent description of that class; no grounding, no function."""
    task = asked[0].key.task_type
    if task not in REFERRING_TASKS:
        return {}
    name = most_common(record.class_name for record in known)
    if task == "referring_class":
        answer = plain(name)
    else:
        answer = most_common(record.answer for record in known if record.class_name == name)
    return {record.key: answer for record in asked}


def position_prior(known: Sequence[Reference], asked: Sequence[Reference]) -> Texts:
    """The mean relative start and length of the class in training, or of all classes for an unseen one.

    For `grounding_group` the most frequent classes are named, as many as a training record has in the median. It
    always names a place, whatever the protein lacks.
    """
    known = [record for record in known if not record.absent]
    if asked[0].key.task_type not in GROUNDING_TASKS or not known:
        return {}
    places = _relative_places(known)
    everywhere = [place for found in places.values() for place in found]

    # Of each class once: there may be very many places, and as many questions.
    usual = {name: _mean(found) for name, found in places.items() if found}
    anywhere = _mean(everywhere)
    common = _common_classes(known)
    return {
        record.key: _answer(
            record,
            [(name, _absolute(*usual.get(name, anywhere), record.length)) for name in _names(record, common)],
        )
        for record in asked
    }


def random_span(known: Sequence[Reference], asked: Sequence[Reference], seed: int) -> Texts:
    """A uniform place for a span as long as one drawn from the class in training (of all for an unseen
    class).

    For `grounding_group` the classes are drawn too, by their frequency in training. As often as in training
    the answer is that there is nothing. A record's draw depends on ``seed`` and the record alone.
    """
    present = [record for record in known if not record.absent]
    if asked[0].key.task_type not in GROUNDING_TASKS or not present:
        return {}
    none_share = 1 - len(present) / len(known)
    known = present
    places = _relative_places(known)
    everywhere = [place for name in sorted(places) for place in places[name]]
    frequent = sorted(name for record in known for name, _ in record.groups)
    count = len(_common_classes(known))
    texts = {}
    for record in asked:
        draw = random.Random(int(text_digest("random_span", str(seed), *record.key), 16))
        chosen = []
        for name in _names(record, [draw.choice(frequent) for _ in range(count)]):
            length = _absolute(0, draw.choice(places.get(name, everywhere))[1], record.length).length
            start = draw.randint(0, record.length - length)
            chosen.append((name, Span(start, start + length)))
        # Drawn last, so that the places are those of a run without negative records.
        texts[record.key] = NONE if draw.random() < none_share else _answer(record, chosen)
    return texts


def most_common(values: Iterable[str]) -> str:
    """The most frequent value; the first in alphabetical order of several."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value))


def scaled(span: Span, old: int, new: int) -> Span:
    """The span at the same relative place in a window of ``new`` instead of ``old`` residues."""
    return _absolute(span.start / old, span.length / old, new)


def _mean(places: Sequence[_Relative]) -> _Relative:
    starts, lengths = zip(*places, strict=True)
    return fmean(starts), fmean(lengths)


def _absolute(start: float, size: float, length: int) -> Span:
    """Relative to absolute: at least one residue, inside the window."""
    residues = min(max(1, round(size * length)), length)
    first = min(max(0, round(start * length)), length - residues)
    return Span(first, first + residues)


def _relative_places(known: Sequence[Reference]) -> dict[str, list[_Relative]]:
    places: dict[str, list[_Relative]] = defaultdict(list)
    for record in known:
        for name, spans in record.groups:
            places[name].extend((span.start / record.length, span.length / record.length) for span in spans)
    return places


def _common_classes(known: Sequence[Reference]) -> list[str]:
    """The most frequent classes, as many as a record has in the median."""
    counts = Counter(name for record in known for name, _ in record.groups)
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    return ordered[: median_low(len(record.groups) for record in known)]


def _names(record: Reference, guessed: Sequence[str]) -> Sequence[str]:
    """Classes to place: the question of `grounding_single` names the class, a group's have to be guessed."""
    return [record.class_name] if record.key.task_type == "grounding_single" else list(dict.fromkeys(guessed))


def _answer(record: Reference, places: Sequence[tuple[str, Span]]) -> str:
    return grounding_answer(record.key.task_type, [(name, [span]) for name, span in places])
