"""Calibration from answers to validation records: what of them was right, by how sure the model was."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import logit

from fragmodel.digests import write_noted
from fragmodel.evaluation.answers import Sureness, read_answers
from fragmodel.evaluation.calibration import ISOTONIC, NONE, PLATT, TASKS, Calibration, Curve, log_odds
from fragmodel.evaluation.judge import as_item, read_knowledge
from fragmodel.evaluation.metrics.places import place_hits, place_outcomes
from fragmodel.evaluation.parse import ClassNames, normalise, parse_spans
from fragmodel.evaluation.references import Reference, read_references
from fragmodel.tables import read_metadata
from fragmodel.vocabulary import GROUNDING_TASKS, MODEL, TaskType

FEWEST = 30
"""Of fewer outcomes, or none right or none wrong, nothing is learnt: confidences stay as they are."""
FEWEST_ISOTONIC = 200
"""Of fewer outcomes the two numbers of Platt's curve are learnt instead of a curve of any form."""

Outcomes = tuple[np.ndarray, np.ndarray]  # confidences [n], and whether each was right [n]


def calibrate(
    answers: Path, records: Sequence[Path], output: Path, *, train: Sequence[Path] = ()
) -> Calibration:
    """Fit a curve for each task to a model's ``answers`` and write them as JSON.

    ``answers`` is a PREDICTIONS table about some of ``records``; ``train`` names the classes that answers may give.
    Data sets count together. Raises :class:`UserError` for what :func:`read_answers` refuses.
    """
    made_from = read_metadata(answers)
    curves = _curves(answers, records, train) if made_from["rows"] else {}
    made = Calibration(MODEL, made_from["model_sha256"], curves)
    write_noted(output, made.as_json())
    return made


def _curves(answers: Path, records: Sequence[Path], train: Sequence[Path]) -> dict[TaskType, Curve]:
    references = read_references(records)
    found = read_answers([answers], references)
    known = read_knowledge(train).classes
    curves = {}
    for task in TASKS:
        asked = [key for key in references if key.task_type == task and key in found.texts[MODEL]]
        answered = (
            [references[key] for key in asked],
            [found.texts[MODEL][key] for key in asked],
            [found.sureness.get((MODEL, key), Sureness()) for key in asked],
        )
        if asked:
            grounding = task in GROUNDING_TASKS
            curves[task] = fit(*(_of_places(task, *answered) if grounding else _of_classes(*answered, known)))
    return curves


def fit(confidences: np.ndarray, right: np.ndarray) -> Curve:
    """The curve of outcomes: isotonic regression, Platt's for few, none for too few.

    An isotonic curve is constant over blocks of outcomes; each block stands at its mean, so that it rises between them
    (centred isotonic regression). No probability is 0 or 1.
    """
    number, hits = len(right), int(right.sum())
    if number < FEWEST or hits in (0, number):
        return Curve(NONE, number, hits)
    odds = log_odds(confidences)
    if number < FEWEST_ISOTONIC:
        return _platt(odds, right)
    from sklearn.isotonic import IsotonicRegression

    least = 1 / (number + 2)
    fitted = IsotonicRegression(y_min=least, y_max=1 - least).fit_transform(odds, right)
    levels, block = np.unique(fitted, return_inverse=True)
    centres = np.bincount(block, weights=odds) / np.bincount(block)
    return Curve(ISOTONIC, number, hits, tuple(map(_short, centres)), tuple(map(_short, levels)))


def _platt(odds: np.ndarray, right: np.ndarray) -> Curve:
    """Logistic regression on Platt's targets, which are not quite 0 and 1: what tells all apart is not certain."""
    from sklearn.linear_model import LogisticRegression

    number, hits = len(right), int(right.sum())
    target = np.where(right, (hits + 1) / (hits + 2), 1 / (number - hits + 2))
    model = LogisticRegression(C=np.inf)  # each outcome is right by its target, and wrong by the rest of it
    model.fit(
        np.tile(odds, 2)[:, None],
        np.repeat([True, False], number),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope, start = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:  # surer and less often right: what is left is how often answers are right at all
        slope, start = 0.0, float(logit(hits / number))
    return Curve(PLATT, number, hits, (_short(slope),), (_short(start),))


def _of_classes(
    references: Sequence[Reference],
    texts: Sequence[str],
    sureness: Sequence[Sureness],
    known: dict[str, set[str]],
) -> Outcomes:
    asked: dict[str, set[str]] = {}
    for reference in references:
        asked.setdefault(reference.key.data_name, set()).add(reference.class_name)
    names = {name: ClassNames([*known.get(name, ()), *classes]) for name, classes in asked.items()}
    rows = [
        (sure.answer, names[reference.key.data_name].find(text) == normalise(reference.class_name))
        for reference, text, sure in zip(references, texts, sureness, strict=True)
        if sure.answer is not None
    ]
    sure, right = np.array(rows, dtype=np.float64).reshape(-1, 2).T
    return sure, right == 1


def _of_places(
    task: TaskType, references: Sequence[Reference], texts: Sequence[str], sureness: Sequence[Sureness]
) -> Outcomes:
    items = [
        as_item(reference, parse_spans(text, reference.length), sure)
        for reference, text, sure in zip(references, texts, sureness, strict=True)
    ]
    hits = [place_hits(item, task == "grounding_group") for item in items]
    _, sure, right = place_outcomes(items, hits)
    return sure, right


def _short(value: float) -> float:
    return float(f"{value:.8g}")
