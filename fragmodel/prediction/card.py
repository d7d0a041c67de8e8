"""The model card: what a model is made of, what it was trained on, and how well it does."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fragmodel.errors import UserError
from fragmodel.model.trained import ModelSpec

# The metrics that say most about a task; the rest stays in metrics.json.
HEADLINES = {
    "referring_desc": ("rouge_l", "similarity"),
    "referring_class": ("accuracy", "macro_f1"),
    "grounding_single": ("iou_at_1", "f1_50"),
    "grounding_group": ("f1_50", "ap_50"),
    "function": ("rouge_l", "similarity"),
}
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
) -> str:
    """The card as Markdown with the front matter of a hub.

    ``data`` is :func:`fragmodel.prediction.provenance.trained_on`, ``metrics`` the run's metrics.json (may be empty),
    ``parts`` the names of encoder and decoder, ``window`` the longest window in residues.
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
        window=window,
        has_base=has_base,
        weights_digest=weights_digest,
        encoder=parts["encoder"],
        decoder=parts["decoder"],
        stand_in="stand-in" in parts["encoder"] or "stand-in" in parts["decoder"],
    )


def headline_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each data set, task and headline metric: the model's value and that of the best baseline."""
    rows = []
    for data_name, tasks in metrics.items():
        for task, summary in tasks.items():
            for metric in HEADLINES[task]:
                if metric not in summary["model"]:
                    continue
                others = [
                    (_value(values[metric]), name, values[metric])
                    for name, values in summary["baselines"].items()
                    if metric in values
                ]
                best = max(others, key=lambda other: (other[0], other[1]), default=None)
                rows.append(
                    {
                        "data_name": data_name,
                        "task": task,
                        "n": summary["n"],
                        "metric": metric,
                        "model": _written(summary["model"][metric]),
                        "baseline": f"{_written(best[2])}, {best[1]}" if best else "–",
                    }
                )
    return rows


def read_metrics(path: Path) -> dict[str, Any]:
    """A run's metrics.json. Raises :class:`UserError` when it is none."""
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        headline_rows(metrics)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: not the metrics.json of a run") from None
    return metrics


def _value(metric: Any) -> float:
    value = metric["value"] if isinstance(metric, dict) else metric
    return float("-inf") if value is None else value


def _written(metric: Any) -> str:
    if not isinstance(metric, dict):
        return "–" if metric is None else f"{metric:.3f}"
    if metric["value"] is None:
        return "–"
    if metric.get("low") is None:
        return f"{metric['value']:.3f}"
    return f"{metric['value']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}]"
