"""How far confidences can be trusted: reliability and risk over coverage of a task, all data sets together."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fragmodel.evaluation.metrics.confidence import BINS
from fragmodel.report import confidence_plots, labels
from fragmodel.report.confidence_plots import Outcomes
from fragmodel.report.metric_tables import Metrics
from fragmodel.report.style import Gallery
from fragmodel.vocabulary import GROUNDING_TASKS, MODEL

_MOST_SYSTEMS = 4


def confidence_section(gallery: Gallery, scored: pa.Table, metrics: Metrics, task: str) -> dict[str, Any]:
    """Figures, and for each system with confidences what calibrated it; empty where no system states any."""
    calibrations = _calibrations(metrics, task)
    systems = {name: found for name in calibrations if (found := outcomes(scored, task, name)) is not None}
    if not systems:
        return {}
    drawn = dict(list(systems.items())[:_MOST_SYSTEMS])
    unit = "places" if task in GROUNDING_TASKS else "classes"
    told = [
        f"{labels.system(name)}: {len(found.sure)} {unit}, mean confidence {found.sure.mean():.2f}, "
        f"{found.right.mean():.0%} right"
        for name, found in drawn.items()
    ]
    half = [
        f"{labels.system(name)}: {np.interp(0.5, *found.risks()):.0%} wrong among the surest half, "
        f"{1 - found.right.mean():.0%} of all"
        for name, found in drawn.items()
    ]
    return {
        "unit": unit,
        "systems": {name: _said(calibrations[name], unit) for name in systems},
        "pictures": [
            gallery.add(
                f"reliability-{task}",
                "Share right by confidence",
                f"By confidence, all data sets together. {'; '.join(told)}.",
                confidence_plots.reliability(drawn, BINS),
            ),
            gallery.add(
                f"coverage-{task}",
                "Wrong among the surest",
                f"Risk over coverage. {'; '.join(half)}.",
                confidence_plots.risk_coverage(drawn),
            ),
        ],
    }


def outcomes(scored: pa.Table, task: str, system: str) -> Outcomes | None:
    """The confidences of a system's classes or places that count, and which are right; ``None`` without any."""
    own = scored.filter(pc.and_(pc.equal(scored["task_type"], task), pc.equal(scored["system"], system)))
    if task in GROUNDING_TASKS:
        pairs = [
            pair
            for row in own.select(["place_confidences", "place_right"]).to_pylist()
            for pair in zip(row["place_confidences"] or (), row["place_right"] or (), strict=False)
        ]
    else:
        right = pc.map_lookup(own["metrics"], pa.scalar("accuracy"), "first")
        pairs = list(zip(own["confidence"].to_pylist(), right.to_pylist(), strict=True))
    kept = [pair for pair in pairs if None not in pair]
    if not kept:
        return None
    sure, right = np.array(kept, dtype=np.float64).T
    return Outcomes(sure, right)


def _calibrations(metrics: Metrics, task: str) -> dict[str, Mapping[str, Any] | None]:
    """What calibrated each system with confidences, the model first."""
    found: dict[str, Mapping[str, Any] | None] = {}
    for tasks in metrics.values():
        found |= tasks.get(task, {}).get("calibration", {})
    return {name: found[name] for name in sorted(found, key=lambda name: (name != MODEL, name))}


def _said(calibration: Mapping[str, Any] | None, unit: str) -> str:
    if calibration is None:
        return "uncalibrated"
    curve = {"isotonic": "isotonic regression", "platt": "Platt's curve"}[calibration["method"]]
    return (
        f"calibrated by {curve} on {labels.count(calibration['outcomes'])} {unit} of validation records, "
        f"{labels.count(calibration['right'])} of them right"
    )
