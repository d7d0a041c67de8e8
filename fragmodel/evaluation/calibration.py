"""From how probable a model finds its answers to how often such answers are right.

A curve for each task lies in ``calibration.json``: of the class in classification, of a place (right from IoU 0.5 on)
in grounding. :mod:`fragmodel.evaluation.calibrate` makes it from answers to validation records. It lies in an exported
or merged model folder, and beside a run's.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from fragmodel.digests import read_json
from fragmodel.errors import UserError
from fragmodel.evaluation.answers import Sureness
from fragmodel.vocabulary import GROUNDING_TASKS, TaskType

CALIBRATION_FILE = "calibration.json"
TASKS: tuple[TaskType, ...] = ("referring_class", *GROUNDING_TASKS)  # whose answers have confidences
ISOTONIC, PLATT, NONE = "isotonic", "platt", "none"


@dataclass(frozen=True, slots=True)
class Curve:
    """The probability of being right by the log-odds of a confidence.

    Isotonic: ``y`` at ``x``, ascending, linear between and constant beyond. Platt: the logistic function of
    ``y[0] + x[0]`` times the log-odds. None: too few outcomes, a confidence stays as it is.
    """

    method: str
    outcomes: int
    right: int
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()

    def __call__(self, confidence: float) -> float:
        """The calibrated confidence, 0 to 1; it never falls where ``confidence`` rises."""
        if self.method == NONE:
            return confidence
        odds = log_odds(np.array(confidence))
        if self.method == PLATT:
            return float(expit(self.y[0] + self.x[0] * odds))
        return float(np.interp(odds, self.x, self.y))


def log_odds(confidences: np.ndarray) -> np.ndarray:
    """Log-odds of probabilities; 0 and 1 are brought a hair's breadth inside."""
    return logit(np.clip(confidences, 1e-13, 1 - 1e-13))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The curves of one system: ``curves`` by task."""

    system: str
    model_sha256: str
    curves: Mapping[TaskType, Curve]

    def calibrates(self, task: TaskType) -> bool:
        """Whether confidences of ``task`` are changed."""
        return task in self.curves and self.curves[task].method != NONE

    def applied(self, task: TaskType, sure: Sureness) -> Sureness:
        """Calibrated: the confidence of a class, or those of places. That something is there stays as it is."""
        if not self.calibrates(task):
            return sure
        curve = self.curves[task]
        if task in GROUNDING_TASKS:
            return sure._replace(places=tuple(map(curve, sure.places)))
        return sure._replace(answer=None if sure.answer is None else curve(sure.answer))

    def told(self, task: TaskType) -> dict[str, Any] | None:
        """Method, and how many outcomes it was fitted to; ``None`` where there is no calibration."""
        if not self.calibrates(task):
            return None
        curve = self.curves[task]
        return {"method": curve.method, "outcomes": curve.outcomes, "right": curve.right}

    def as_json(self) -> str:
        """The content of the file."""
        tasks = {task: asdict(curve) for task, curve in self.curves.items()}
        content = {"system": self.system, "model_sha256": self.model_sha256, "tasks": tasks}
        return json.dumps(content, indent=1) + "\n"


def read_calibration(path: Path) -> Calibration:
    """Read the file. Raises :class:`UserError` when it is none."""
    stated = read_json(path)
    try:
        curves = {
            task: Curve(**{**curve, "x": tuple(curve["x"]), "y": tuple(curve["y"])})
            for task, curve in stated["tasks"].items()
        }
        return Calibration(stated["system"], stated["model_sha256"], curves)
    except (AttributeError, ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not a {CALIBRATION_FILE} of a run; remove it, or make it anew") from None
