"""Figures of an experiment's page; each is drawn within :func:`fragmodel.report.style.drawing`."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fragmodel.evaluation.variants import Difference, Finding
from fragmodel.metric_names import record_metric
from fragmodel.report import labels, style

_COLOURS = (style.MODEL, style.TRUTH, style.GOOD, style.BAD, style.MIDDLE, style.BASELINE)
_LINES = ("-", "--", ":", "-.")
_ROW = 0.3  # inches


def forest(rows: Sequence[Mapping[str, Any]], reference: str) -> Figure:
    """Differences to the reference by task, better to the right: on all test records, and below on the clean ones.

    ``rows`` have ``whole`` and ``clean`` (or None). Bars are 95 % intervals, ticks single seeds; a dot is filled where
    the difference is clear.
    """
    lines = list(_lines(rows))
    top, bottom = 0.5, 0.55
    figure, axes = style.new_axes(height=_ROW * len(lines) + top + bottom, left=0.15, bottom=bottom, top=top)
    axes.axvline(0, color=style.MUTED, lw=1)
    for place, (text, difference) in enumerate(lines):
        if difference is None:
            axes.text(
                0, place + 0.3, text, va="bottom", fontweight="bold", transform=axes.get_yaxis_transform()
            )
        else:
            _difference(axes, difference, place, text)
    reach = max(map(abs, axes.get_xlim())) or 1
    # The left half has room for the names, the right one for the numbers.
    axes.set(xlim=(-2.2 * reach, 1.9 * reach), ylim=(len(lines) - 0.4, -0.6), yticks=[])
    axes.set_xlabel("difference of the means")
    axes.set_xticks([tick for tick in MaxNLocator(5).tick_values(-reach, reach) if abs(tick) <= 1.2 * reach])
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    shortened = labels.shorten(reference, 24)
    for place, side, text in (
        (-0.06 * reach, "right", f"← {shortened} is better"),
        (0.06 * reach, "left", "variant is better →"),
    ):
        transform = axes.get_xaxis_transform()
        axes.text(place, 1.01, text, ha=side, color=style.MUTED, fontsize=9.5, transform=transform)
    return figure


def _lines(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, Difference | None]]:
    """Rows of the plot: a task's heading, then its variants, each with its clean part."""
    found: list[tuple[str, Difference | None]] = []
    for task in dict.fromkeys(row["whole"].task for row in rows):
        found.append((f"{labels.task(task)}, {record_metric(task).label}", None))
        for row in rows:
            if row["whole"].task == task:
                found.append((row["whole"].variant, row["whole"]))
                if row["clean"]:
                    found.append(("clean part", row["clean"]))
    return found


def _difference(axes: Axes, own: Difference, place: int, name: str) -> None:
    sign = 1 if record_metric(own.task).higher_is_better else -1
    whole = own.part == "all"
    colour = style.MODEL if whole else style.TRUTH
    clear = own.finding in (Finding.BETTER, Finding.WORSE)
    found, size = own.found, 7.5 if whole else 5.5
    if found.low is not None and found.high is not None:
        bounds = sorted([sign * found.low, sign * found.high])
        axes.plot(bounds, [place, place], color=colour, lw=2.2 if whole else 1.4, solid_capstyle="butt")
    axes.plot(
        [sign * each for each in own.seeds], [place] * len(own.seeds), "|", color=style.INK, ms=8, mew=0.9
    )
    axes.plot(
        [sign * found.difference], [place], "o", ms=size, mec=colour, mfc=colour if clear else "none", mew=1.4
    )
    transform = axes.get_yaxis_transform()
    muted = style.INK if whole else style.MUTED
    axes.text(
        0.03, place, labels.shorten(name, 24), va="center", fontsize=9.5, color=muted, transform=transform
    )
    text = labels.signed(found.difference)
    axes.text(1, place, text, va="center", ha="right", fontsize=9.5, color=muted, transform=transform)


def curves(variants: Mapping[str, Sequence[Sequence[tuple[float, float]]]], name: str) -> Figure:
    """A quantity by step: a thin line for each run, a thick one for the mean over a variant's runs."""
    top = 0.22 * -(-len(variants) // 2) + 0.15
    figure, axes = style.new_axes(height=2.4 + top, left=0.8, top=top)
    highest, last = 0.0, 1.0
    for number, ((variant, runs), colour) in enumerate(zip(variants.items(), cycle(_COLOURS), strict=False)):
        line = _LINES[number // len(_COLOURS) % len(_LINES)]
        for run in runs:
            axes.plot(*zip(*run, strict=True), _dot(run), color=colour, ls=line, lw=0.8, ms=3, alpha=0.5)
        mean = _mean_curve(runs)
        if mean:
            axes.plot(
                *zip(*mean, strict=True), color=colour, ls=line, lw=2.2, label=labels.shorten(variant, 26)
            )
        highest = max([highest, *(value for run in runs for _, value in run)])
        last = max([last, *(step for run in runs for step, _ in run)])
    axes.set(xlabel="optimiser step", ylabel=name, xlim=(0, last * 1.03), ylim=(0, highest * 1.08 or 1))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    figure.legend(ncols=2, loc="upper left", bbox_to_anchor=(0.01, 1), handlelength=1.6)
    return figure


def _dot(points: Sequence[tuple[float, float]]) -> str:
    """A marker where points are few; one alone makes no line."""
    return "o" if len(points) < 12 else ""


def _mean_curve(runs: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """Mean over runs at the steps that all have."""
    if not runs:
        return []
    values = [dict(run) for run in runs]
    steps = sorted(set(values[0]).intersection(*values[1:]))
    return [(step, float(np.mean([each[step] for each in values]))) for step in steps]
