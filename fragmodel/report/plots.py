"""The report's figures. Each function draws one and is called within :func:`fragmodel.report.style.drawing`."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from fragmodel.metric_names import Metric
from fragmodel.report import labels, style
from fragmodel.report.metric_tables import Cell
from fragmodel.vocabulary import MODEL

_MARKERS = "osD^vP*X"
_STATUS_STYLE = {  # colour and hatch: colour alone must not tell
    "well-formed": (style.GOOD, None),
    "mended": (style.MIDDLE, "////"),
    "not usable": (style.BAD, "xxxx"),
}


def curve(
    points: Sequence[tuple[float, float]], name: str, other: Sequence[tuple[float, float]] = ()
) -> Figure:
    """A quantity by optimiser step; ``other`` are its values in validation."""
    above = {"height": 2.6, "top": 0.35} if other else {"height": 2.4}
    figure, axes = style.new_axes(left=0.8, **above)
    steps, values = zip(*points, strict=True)
    axes.plot(steps, values, color=style.MODEL, label="training")
    if other:
        axes.plot(*zip(*other, strict=True), "o--", color=style.TRUTH, ms=4.5, lw=1.2, label="validation")
        _legend_above(figure)
    low = min(0.0, *values)
    axes.set(
        xlabel="optimiser step", ylabel=name, ylim=(low, max([*values, *(v for _, v in other)]) * 1.08 or 1)
    )
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(_small))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    return figure


def length_distribution(lengths: Mapping[str, np.ndarray], unit: str) -> Figure:
    """Shares of lengths on a logarithmic scale: one outline a split; ``lengths`` in residues by split."""
    figure, axes = style.new_axes(height=2.5, top=0.35)
    longest = max(int(values.max()) for values in lengths.values() if len(values))
    edges = _log_edges(longest)
    styles = {
        "train": (style.BASELINE, True, "-"),
        "valid": (style.TRUTH, False, ":"),
        "test": (style.MODEL, False, "-"),
    }
    for split, values in lengths.items():
        colour, filled, line = styles.get(split, (style.INK, False, "--"))
        shares = np.histogram(values, edges)[0] / max(len(values), 1)
        axes.stairs(
            shares,
            edges,
            color=colour,
            fill=filled,
            alpha=0.45 if filled else 1,
            ls=line,
            lw=1.8,
            label=split,
        )
    _log_axes(axes, "x")
    axes.set(xlabel=f"{unit} (residues)", ylabel="share", xlim=(edges[0], edges[-1]))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    _legend_above(figure)
    return figure


def class_frequencies(counts: Sequence[int]) -> Figure:
    """Records of each class, the most frequent first, both axes logarithmic."""
    figure, axes = style.new_axes(height=2.3)
    ranks = np.arange(1, len(counts) + 1)
    axes.step(ranks, sorted(counts, reverse=True), where="mid", color=style.MODEL)
    _log_axes(axes)
    axes.set(xlabel="classes by frequency", ylabel="records", xlim=(0.9, max(len(counts), 2) * 1.1))
    axes.set_ylim(bottom=0.9)
    return figure


def bars(rows: Sequence[tuple[str, float, str]], share: bool = True) -> Figure:
    """Horizontal bars under their names: (name, value, text at the end); ``share``: the axis runs from 0 to 1."""
    figure, axes = style.new_axes(height=0.36 * len(rows) + 0.45, left=0.15, bottom=0.3, top=0.05)
    end = 1.0 if share else max([value for _, value, _ in rows] + [1e-9])
    for row, (name, value, text) in enumerate(rows):
        axes.barh(row, end, height=0.2, color=style.LINE)
        axes.barh(row, value, height=0.2, color=style.MODEL)
        axes.text(0, row - 0.22, labels.shorten(name, 44), va="bottom", fontsize=9.5)
        axes.text(end, row - 0.22, text, va="bottom", ha="right", fontsize=9.5, color=style.MUTED)
    axes.set(ylim=(len(rows) - 0.6, -0.85), xlim=(0, end), yticks=[])
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=not share))
    axes.tick_params(axis="x", length=0)
    return figure


def comparison(
    metric: Metric, groups: Mapping[str, Mapping[str, Cell]], notes: Mapping[str, str] | None = None
) -> Figure:
    """Model (a filled dot, with its 95 % interval if any) and baselines by data set: group -> system -> value.

    ``notes`` are words on single groups.
    """
    baselines = sorted({system for cells in groups.values() for system in cells} - {MODEL})
    legend_rows = -(-(len(baselines) + 1) // 2)
    top = 0.22 * legend_rows + 0.12
    figure, axes = style.new_axes(height=0.52 * len(groups) + 0.55 + top, left=0.15, bottom=0.55, top=top)
    for row, (name, cells) in enumerate(groups.items()):
        axes.axhline(row, color=style.LINE, lw=0.8, zorder=0)
        axes.text(
            0,
            row - 0.2,
            labels.shorten(name, 30),
            va="bottom",
            transform=axes.get_yaxis_transform(),
            fontsize=10,
        )
        axes.text(
            1,
            row - 0.2,
            (notes or {}).get(name, ""),
            va="bottom",
            ha="right",
            transform=axes.get_yaxis_transform(),
            fontsize=9.5,
            color=style.MUTED,
        )
        for place, system in enumerate([*baselines, MODEL]):
            if system in cells:
                _point(axes, cells[system], row + (0.12 if system != MODEL else 0), system, place)
    axes.set(xlabel=metric.label, ylim=(len(groups) - 0.5, -0.75), yticks=[])
    axes.set_xlim(left=min(0, axes.get_xlim()[0]))
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    handles = {
        handle.get_label(): handle for handle in axes.get_lines() if not handle.get_label().startswith("_")
    }
    order = [name for name in map(labels.system, [MODEL, *baselines]) if name in handles]
    figure.legend(
        [handles[name] for name in order],
        order,
        ncols=2,
        loc="upper left",
        bbox_to_anchor=(0.01, 1),
        handletextpad=0.3,
    )
    return figure


def _point(axes: Axes, cell: Cell, height: float, system: str, place: int) -> None:
    own = system == MODEL
    colour = style.MODEL if own else style.BASELINE
    if own and cell.low is not None and cell.high is not None:
        axes.plot([cell.low, cell.high], [height, height], color=colour, lw=2.2, solid_capstyle="butt")
    face = colour if own else "none"
    marker = "o" if own else _MARKERS[1 + place % (len(_MARKERS) - 1)]
    axes.plot(
        [cell.value],
        [height],
        marker,
        ms=8 if own else 6.5,
        mec=colour,
        mfc=face,
        mew=1.3,
        label=labels.system(system),
    )


def iou_histogram(model: np.ndarray, baseline: np.ndarray | None, baseline_name: str) -> Figure:
    """Shares of records by IoU (0 to 1) in twenty bins, for the model and one baseline."""
    figure, axes = style.new_axes(height=2.5, top=0.35)
    edges = np.linspace(0, 1, 21)
    if baseline is not None and len(baseline):
        shares = np.histogram(baseline, edges)[0] / len(baseline)
        axes.stairs(shares, edges, color=style.BASELINE, lw=1.6, label=baseline_name, zorder=3)
    axes.stairs(
        np.histogram(model, edges)[0] / max(len(model), 1),
        edges,
        fill=True,
        color=style.MODEL,
        alpha=0.75,
        label="Model",
    )
    axes.set(xlabel="IoU with the reference", ylabel="share of records", xlim=(0, 1))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    _legend_above(figure)
    return figure


def length_calibration(true: np.ndarray, predicted: np.ndarray) -> Figure:
    """Predicted against true residues of each record, counted on a logarithmic grid; a dot's area is its count."""
    figure, axes = style.new_axes(height=3.4)
    end = max(int(true.max()), int(predicted.max()), 2) * 1.5
    cells = np.round(np.log2(np.column_stack([true, predicted])) * 4) / 4  # four cells an octave
    places, counts = np.unique(cells, axis=0, return_counts=True)
    axes.plot([0.7, end], [0.7, end], color=style.MUTED, lw=1, ls="--")
    axes.scatter(
        2 ** places[:, 0], 2 ** places[:, 1], s=14 + 180 * counts / counts.max() * (counts.max() > 1),
        color=style.MODEL, alpha=0.65, linewidths=0,
    )  # fmt: skip
    _log_axes(axes)
    axes.grid(True, axis="both")
    axes.set(xlabel="true residues", ylabel="predicted residues", xlim=(0.7, end), ylim=(0.7, end))
    return figure


def statuses(shares: Mapping[str, Mapping[str, float]]) -> Figure:
    """Stacked bars of how the model's answers could be read: data set -> group of statuses -> share."""
    top = 0.34
    figure, axes = style.new_axes(height=0.46 * len(shares) + 0.5 + top, left=0.15, bottom=0.4, top=top)
    for row, (name, parts) in enumerate(shares.items()):
        left = 0.0
        for group, (colour, hatch) in _STATUS_STYLE.items():
            axes.barh(
                row, parts.get(group, 0), left=left, height=0.3, color=colour, hatch=hatch, edgecolor=style.LINE, lw=0,
                label=group if row == 0 else None,
            )  # fmt: skip
            left += parts.get(group, 0)
        axes.text(0, row - 0.2, labels.shorten(name, 36), va="bottom")
        text = f"{parts.get('well-formed', 0):.0%} well-formed"
        axes.text(1, row - 0.2, text, va="bottom", ha="right", color=style.MUTED)
    axes.set(ylim=(len(shares) - 0.6, -0.75), xlim=(0, 1), yticks=[])
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _legend_above(figure)
    return figure


def leakage(shares: Mapping[str, Mapping[str, float]]) -> Figure:
    """Share of related test proteins: data set -> least identity (as text) -> share."""
    limits = list(next(iter(shares.values())))
    step = 0.2
    height = (0.3 + step * len(limits)) * len(shares) + 0.45
    figure, axes = style.new_axes(height=height, left=0.15, bottom=0.35, top=0.05)
    place = 0.0
    for name, parts in shares.items():
        place += 0.3
        axes.text(0, place - 0.04, labels.shorten(name, 40), va="bottom")
        for strength, (limit, share) in zip(np.linspace(1, 0.45, len(limits)), parts.items(), strict=True):
            axes.barh(place + step / 2, share, height=step * 0.75, color=style.BAD, alpha=strength)
            text = f"{share:.0%} at identity ≥ {float(limit):.0%}"
            axes.text(share + 0.015, place + step / 2, text, va="center", fontsize=9.5, color=style.MUTED)
            place += step
    axes.set(ylim=(place + 0.05, 0), xlim=(0, 1.5), yticks=[], xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_bounds(0, 1)  # the rest is room for the texts
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def _log_edges(longest: int) -> np.ndarray:
    """Half-octave bin edges from 1; the first bins hold single whole numbers."""
    return np.unique(np.ceil(2 ** np.arange(0, np.log2(longest + 1) + 0.51, 0.5))) - 0.5


def _log_axes(axes: Axes, names: str = "xy") -> None:
    """Logarithmic scales with plain numbers at the powers of ten and nothing between."""
    for name in names:
        axes.set(**{f"{name}scale": "log"})  # this resets locators and formatters, so it comes first
        axis = getattr(axes, f"{name}axis")
        axis.set_major_formatter(FuncFormatter(_plain))
        axis.set_minor_locator(NullLocator())


def _small(value: float, _: int) -> str:
    """As :func:`_plain`, but ``5e-5`` for what would need many zeros."""
    if not 0 < abs(value) < 1e-3:
        return f"{value:g}"
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits.removesuffix('.0')}e{int(power)}"


def _plain(value: float, _: int) -> str:
    return f"{value:g}"


def _legend_above(figure: Figure) -> None:
    """Three entries side by side above the axes, where they hide no data."""
    figure.legend(ncols=3, loc="upper left", bbox_to_anchor=(0.01, 1), handlelength=1.2, columnspacing=1.2)
