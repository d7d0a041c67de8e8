"""How a figure looks, and how it goes into the page (inline SVG that follows light and dark) and into files."""

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fragmodel.files import atomic_path

_RIGHT = 0.25  # inches; half of the last tick's label is there
WIDTH = 4.8  # inches; at 72 units an inch about the width of a phone, so that text never shrinks

# The page's custom properties by the colour that stands for each in files. No two colours may be equal.
INK, MUTED, LINE = "#1d2126", "#595f69", "#d8d5ce"
MODEL, TRUTH, BASELINE = "#b3450e", "#2b5b9f", "#868c96"
GOOD, MIDDLE, BAD = "#2e7d5c", "#d9a441", "#8d3b4a"
_PROPERTIES = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    MODEL: "model",
    TRUTH: "truth",
    BASELINE: "baseline",
    GOOD: "good",
    MIDDLE: "middle",
    BAD: "bad",
}

_STYLE = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's own font
    "svg.hashsalt": "fragmodel",  # the same ids in every run
    "text.parse_math": False,  # a class name may hold dollar signs
    "font.family": "DejaVu Sans",  # comes with matplotlib, so files are the same everywhere
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10.5,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "ytick.major.size": 0,
    "xtick.major.size": 3,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.linewidth": 1.8,
    "hatch.linewidth": 0.6,
}


def drawing() -> AbstractContextManager[None]:
    """Context in which a figure is drawn and saved."""
    return mpl.rc_context({**mpl.rcParamsDefault, **_STYLE, "backend": "agg"})


def new_axes(
    height: float = 2.6, left: float = 0.62, bottom: float = 0.55, top: float = 0.15
) -> tuple[Figure, Axes]:
    """A figure of the one width, ``height`` inches high, with margins in inches."""
    figure = Figure(figsize=(WIDTH, height))
    box = (left / WIDTH, bottom / height, 1 - (left + _RIGHT) / WIDTH, 1 - (bottom + top) / height)
    return figure, figure.add_axes(box)


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure as the template needs it; ``alt`` says in words what it shows."""

    name: str
    title: str
    alt: str
    svg: Markup


@dataclass(slots=True)
class Gallery:
    """Saves each figure as ``folder/NAME.svg`` and ``.png`` (the same bytes for the same data)."""

    folder: Path
    pictures: dict[str, Picture] = field(default_factory=dict)

    def add(self, name: str, title: str, alt: str, figure: Figure) -> Picture:
        """Save ``figure``, drawn within :func:`drawing`, and return it for the page."""
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
        with atomic_path(self.folder / f"{name}.svg") as path:
            figure.savefig(
                path, format="svg", transparent=True, metadata={"Date": None, "Creator": "fragmodel"}
            )
            svg = path.read_text(encoding="utf-8")
        with atomic_path(self.folder / f"{name}.png") as path:
            figure.savefig(path, format="png", dpi=180, facecolor="white", metadata={"Software": "fragmodel"})
        self.pictures[name] = Picture(name, title, alt, inline(svg, name, alt))
        return self.pictures[name]


def inline(svg: str, name: str, alt: str) -> Markup:
    """SVG of matplotlib as part of an HTML page: own ids, the page's colours and font, a text alternative."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    # Only in tags: text between them is data and stays as it is.
    svg = re.sub(r"<[^>]+>", lambda tag: _in_page(tag.group(), name), svg)
    head = f'<svg role="img" aria-label="{escape(alt)}" viewBox='
    svg = re.sub(r"<svg [^>]*?viewBox=", lambda _: head, svg, count=1)
    return Markup(re.sub(r"\n\s*", "\n", svg).strip())


def _in_page(tag: str, name: str) -> str:
    tag = re.sub(
        r' id="(?:[^"]*)"', lambda m: f' id="{name}-{m.group()[5:-1]}"' if _is_target(tag) else "", tag
    )
    tag = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", tag)
    tag = re.sub(r"font-family: [^;\"]+", "font-family: var(--sans)", tag)
    return re.sub(
        r"#[0-9a-f]{6}",
        lambda m: f"var(--{_PROPERTIES[m.group()]})" if m.group() in _PROPERTIES else m.group(),
        tag,
    )


def _is_target(tag: str) -> bool:
    """Whether other elements refer to this one: clip paths, markers and hatches; groups need no id."""
    return not tag.startswith(("<g ", "<svg "))
