"""Figures about confidences. Each function is called within :func:`fragmodel.report.style.drawing`."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fragmodel.report import labels, style
from fragmodel.vocabulary import MODEL

_LINES = ("-", "--", ":", "-.")


class Outcomes(NamedTuple):
    """Confidences of a system, 0 to 1, and whether each outcome was right; [n] each."""

    sure: np.ndarray
    right: np.ndarray

    def bins(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean confidence, share right and size of the bins of equal width that are not empty."""
        places = np.minimum((self.sure * number).astype(np.int64), number - 1)
        sizes = np.bincount(places, minlength=number)
        kept = sizes > 0
        sums = (np.bincount(places, weights=part, minlength=number)[kept] for part in (self.sure, self.right))
        sure, right = (part / sizes[kept] for part in sums)
        return sure, right, sizes[kept]

    def risks(self) -> tuple[np.ndarray, np.ndarray]:
        """Share of the outcomes that are at least as sure as each different confidence, and the share wrong of them."""
        levels, places = np.unique(-self.sure, return_inverse=True)
        sizes = np.bincount(places, minlength=len(levels)).cumsum()
        found = np.bincount(places, weights=self.right, minlength=len(levels)).cumsum()
        return sizes / len(self.sure), 1 - found / sizes


def reliability(systems: Mapping[str, Outcomes], bins: int) -> Figure:
    """Share right by confidence in bins of equal width; a dot's area is the bin's share of all outcomes."""
    figure, axes = style.new_axes(height=3.2, top=0.35)
    axes.plot([0, 1], [0, 1], color=style.MUTED, lw=1, ls="--")
    for line, (name, outcomes) in zip(_LINES, systems.items(), strict=False):
        sure, right, sizes = outcomes.bins(bins)
        colour = _colour(name)
        axes.plot(sure, right, color=colour, ls=line, lw=1.4, label=labels.system(name))
        axes.scatter(
            sure, right, s=16 + 160 * sizes / sizes.sum(), color=colour, alpha=0.75, linewidths=0, zorder=3
        )
    axes.set(xlabel="confidence", ylabel="share right", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.grid(True, axis="both")
    _finish(figure, axes)
    return figure


def risk_coverage(systems: Mapping[str, Outcomes]) -> Figure:
    """Share wrong among the surest part of the outcomes, by the size of that part."""
    figure, axes = style.new_axes(height=3.2, top=0.35)
    for line, (name, outcomes) in zip(_LINES, systems.items(), strict=False):
        covered, risk = outcomes.risks()
        axes.step(covered, risk, where="pre", color=_colour(name), ls=line, lw=1.6, label=labels.system(name))
    axes.set(
        xlabel="share of the answers, the surest first", ylabel="share wrong", xlim=(0, 1), ylim=(0, 1.02)
    )
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _finish(figure, axes)
    return figure


def _colour(system: str) -> str:
    return style.MODEL if system == MODEL else style.BASELINE


def _finish(figure: Figure, axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(5))
    figure.legend(ncols=2, loc="upper left", bbox_to_anchor=(0.01, 1), handlelength=1.6, columnspacing=1.2)
