"""The model card: what a model is made of, what it was trained on, and how well it does."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fragmodel.digests import read_json
from fragmodel.errors import UserError
from fragmodel.evaluation.calibration import TASKS, Calibration
from fragmodel.evaluation.claims import by_data_set, standings, together, told, told_together
from fragmodel.evaluation.metrics.bootstrap import FEWEST_PROTEINS
from fragmodel.metric_names import GIVEN_PRESENCE, HEADLINE, Metric, metric
from fragmodel.model.trained import ModelSpec
from fragmodel.vocabulary import MODEL, OURS, STAND_IN

_EXAMPLE = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQ"


def model_card(
    spec: ModelSpec,
    data: list[dict[str, Any]],
    metrics: Mapping[str, Any],
    *,
    title: str,
    license_name: str,
    parts: Mapping[str, str],
    weights_digest: str,
    window: int,
    has_base: bool,
    relatives: bool | None = None,
    calibration: Calibration | None = None,
) -> str:
    """The card as Markdown with the front matter of a hub.

    ``data`` is :func:`fragmodel.prediction.provenance.trained_on`, ``metrics`` the run's metrics.json (may be empty),
    ``parts`` the names of encoder and decoder, ``window`` the longest window in residues, ``relatives``
    whether the proteins that evidence comes from go with the model (None: it was trained without).
    """
    page = Environment(loader=PackageLoader("fragmodel.prediction"), undefined=StrictUndefined)
    return page.get_template("model_card.md").render(
        title=title,
        license=license_name,
        version=version("fragmodel"),
        example=_EXAMPLE,
        spec=spec,
        data=data,
        results=headline_rows(metrics),
        claim=" ".join(filter(None, [told_together(together(metrics)), told(standings(metrics).values())])),
        fewest=FEWEST_PROTEINS,
        clean_below=clean_below(metrics),
        window=window,
        has_base=has_base,
        relatives=relatives,
        calibrated={
            task: calibration.told(task) for task in TASKS if calibration and calibration.calibrates(task)
        },
        weights_digest=weights_digest,
        encoder=parts["encoder"],
        decoder=parts["decoder"],
        stand_in=any(STAND_IN in name for name in parts.values()),
    )


def clean_below(metrics: Mapping[str, Any]) -> float | None:
    """The identity to training below which the scored records lie by `evaluation.clean_only`; ``None`` without it."""
    summaries = [each for tasks in by_data_set(metrics).values() for each in tasks.values()]
    return next((each["clean_below"] for each in summaries if "clean_below" in each), None)


def headline_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each data set, task and headline metric: the model's value and that of the best baseline."""
    return [
        {
            "data_name": data_name,
            "task": task,
            "n": metric(key).records(summary["n"], summary.get("absent", 0)),
            "metric": _marked(metric(key)),
            "model": _written(metric(key), summary[MODEL][key]),
            "baseline": _best(metric(key), summary["baselines"]),
        }
        for data_name, tasks in by_data_set(metrics).items()
        for task, summary in tasks.items()
        for key in HEADLINE[task]
        if key in summary[MODEL]
    ]


def _marked(metric: Metric) -> str:
    """The metric's key, and what the card says of it by signs."""
    signs = [GIVEN_PRESENCE] * metric.given_presence + ["↓"] * (not metric.higher_is_better)
    return " ".join([metric.key, *signs])


def _best(metric: Metric, baselines: Mapping[str, Any]) -> str:
    """Value and name of the best baseline; of equal ones the first by name."""
    values = {
        name: _value(found.get(metric.key)) for name, found in sorted(baselines.items()) if name not in OURS
    }
    known = {name: value for name, value in values.items() if value is not None}
    if not known:
        return "–"
    name = (max if metric.higher_is_better else min)(known, key=known.__getitem__)
    return f"{_written(metric, baselines[name][metric.key])}, {name}"


def _value(found: Any) -> float | None:
    """Of a number or ``{"value", "low", "high"}``."""
    return found["value"] if isinstance(found, dict) else found


def _written(metric: Metric, found: Any) -> str:
    value = _value(found)
    if value is None:
        return "–"
    if not isinstance(found, dict) or found.get("low") is None:
        return metric.text(value)
    return f"{metric.text(value)} [{metric.text(found['low'])}, {metric.text(found['high'])}]"


def read_metrics(path: Path) -> dict[str, Any]:
    """A run's metrics.json. Raises :class:`UserError` when it is none."""
    try:
        metrics = read_json(path)
        headline_rows(metrics)
        standings(metrics)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: not the metrics.json of a run") from None
    return metrics
