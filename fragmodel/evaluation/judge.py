"""The one place that knows which metrics a task has: records and answers in, scores out."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from fragmodel.evaluation import parse
from fragmodel.evaluation.answers import Sureness
from fragmodel.evaluation.candidates import ranked_places
from fragmodel.evaluation.metrics.bootstrap import Values, Weights
from fragmodel.evaluation.metrics.classification import ClassScores
from fragmodel.evaluation.metrics.grounding import GroundingScores
from fragmodel.evaluation.metrics.places import GroundingItem
from fragmodel.evaluation.metrics.text import TextScores
from fragmodel.evaluation.parse import ClassNames, ParsedSpans, normalise
from fragmodel.evaluation.references import Reference, as_reference
from fragmodel.metric_names import record_metric
from fragmodel.tables import RECORDS, Record, iter_columns
from fragmodel.vocabulary import GROUNDING_TASKS, Span


class Scores(Protocol):
    """Scores of one system on the records of one task."""

    def values(self, weights: Weights) -> Values:
        """Metric -> [resamples], for weights [resamples, records]."""

    def per_record(self) -> Values:
        """Metric -> [records]; nan where it is undefined."""


class Comparer(Protocol):
    """Compares free texts by meaning."""

    def metrics(
        self, texts: Sequence[str], references: Sequence[str], classes: Sequence[str | None]
    ) -> Values:
        """Metric -> [records]; ``classes`` names the true class of each record where there is one."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A system's scores on a task, and what was read from each answer."""

    scores: Scores
    statuses: list[str]
    groups: list[
        list[tuple[str, list[Span]]]
    ]  # predicted spans by class; a class without spans in classification
    places: list[Sequence[float]] | None = None  # confidence of each predicted span, where stated
    place_hits: list[list[bool | None]] | None = None  # whether each is right, None where ignored


@dataclass(slots=True)
class Knowledge:
    """What the training records of each data set tell: class names, and the descriptions of each class."""

    classes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    descriptions: dict[str, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(dict))


def read_knowledge(train: Sequence[Path]) -> Knowledge:
    """Class names and descriptions in RECORDS tables of the training split."""
    knowledge = Knowledge()
    for path in train:
        columns = ["data_name", "task_type", "classes", "answer"]
        for data_name, task, classes, answer in iter_columns(path, RECORDS, columns):
            knowledge.classes[data_name].update(classes)
            if task == "referring_desc" and classes:
                knowledge.descriptions[data_name].setdefault(classes[0], []).append(answer)
    return knowledge


def judge(
    task: str,
    references: Sequence[Reference],
    texts: Sequence[str | None],
    names: ClassNames,
    comparers: Sequence[Comparer],
    sureness: Sequence[Sureness] = (),
) -> Judged:
    """Score one system's ``texts`` (``None`` for a missing one) against ``references`` of one task.

    ``names`` are the classes that an answer may name; ``comparers`` add metrics of free text. ``sureness`` is the
    system's own of each answer.
    """
    sureness = sureness or [Sureness()] * len(texts)
    if task in GROUNDING_TASKS:
        return _judge_grounding(task, references, texts, sureness)
    if task == "referring_class":
        return _judge_class(references, texts, names, sureness)
    return _judge_text(references, texts, comparers)


def mean_score(records: Sequence[Record], texts: Sequence[str], classes: Iterable[str]) -> float:
    """The mean over tasks of the metric that decides each (:func:`fragmodel.metric_names.primary`), 0 to 1.

    ``classes`` are those that an answer may name, beside those of the records themselves.
    """
    references = [as_reference(record) for record in records]
    names = ClassNames([*classes, *(reference.class_name for reference in references)])
    scores = []
    for task in sorted({reference.key.task_type for reference in references}):
        pairs = [(r, text) for r, text in zip(references, texts, strict=True) if r.key.task_type == task]
        found = judge(task, *zip(*pairs, strict=True), names, ()).scores.per_record()
        values = found[record_metric(task).key]
        if "specificity" in found:  # where there is nothing to find, saying so is right
            values = np.where(np.isnan(values), found["specificity"], values)
        scores.append(np.nan_to_num(values).mean())
    return float(np.mean(scores))


def _judge_grounding(
    task: str,
    references: Sequence[Reference],
    texts: Sequence[str | None],
    sureness: Sequence[Sureness],
) -> Judged:
    answers = [
        ParsedSpans(parse.MISSING) if text is None else parse.parse_spans(text, reference.length)
        for reference, text in zip(references, texts, strict=True)
    ]
    items = [
        as_item(reference, answer, sure)
        for reference, answer, sure in zip(references, answers, sureness, strict=True)
    ]
    scores = GroundingScores(items, grouped=task == "grounding_group")
    return Judged(
        scores,
        [answer.status for answer in answers],
        [answer.groups for answer in answers],
        [item.places for item in items],
        scores.place_hits,
    )


def as_item(reference: Reference, answer: ParsedSpans, sure: Sureness) -> GroundingItem:
    """What grounding is scored by. Confidences that do not go with the places that were read are left out."""
    places = sure.places if len(sure.places) == len(answer.spans) else ()
    return GroundingItem(
        reference.groups,
        answer.groups,
        answer.status,
        reference.length,
        reference.ignored,
        sure.answer,
        places,
        [(name, [span]) for name, span, _ in ranked_places(sure.candidates, reference.length)],
        sure.residues,
    )


def _judge_class(
    references: Sequence[Reference],
    texts: Sequence[str | None],
    names: ClassNames,
    sureness: Sequence[Sureness],
) -> Judged:
    predicted = [None if text is None else names.find(text) for text in texts]
    exact = [
        text is not None and normalise(text) in (normalise(reference.class_name), normalise(reference.answer))
        for reference, text in zip(references, texts, strict=True)
    ]
    statuses = [
        _text_status(text) if found or not (text or "").strip() else parse.UNKNOWN
        for text, found in zip(texts, predicted, strict=True)
    ]
    groups = [[(name, [])] if name else [] for name in predicted]
    true = [reference.class_name for reference in references]
    ranked = [[names.find(text) for text, _ in sure.candidates] for sure in sureness]
    scores = ClassScores(true, predicted, exact, [sure.answer for sure in sureness], ranked)
    return Judged(scores, statuses, groups)


def _judge_text(
    references: Sequence[Reference], texts: Sequence[str | None], comparers: Sequence[Comparer]
) -> Judged:
    plain = [text or "" for text in texts]
    answers = [reference.answer for reference in references]
    classes = [reference.classes[0] if reference.classes else None for reference in references]
    extra: Values = {}
    for comparer in comparers:
        extra |= comparer.metrics(plain, answers, classes)
    scores = TextScores(plain, answers, extra)
    return Judged(scores, [_text_status(text) for text in texts], [[] for _ in texts])


def _text_status(text: str | None) -> str:
    if text is None:
        return parse.MISSING
    return parse.OK if text.strip() else parse.EMPTY
