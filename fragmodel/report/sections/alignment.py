"""The section on stage 1: curves of its log, and retrieval by the aligned adapters and by baselines."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fragmodel.report import plots, style
from fragmodel.report.style import Gallery, Picture

KINDS = {"protein": "Protein and function text", "fragment": "Fragment and description"}
SYSTEMS = {
    "aligned": "Aligned adapters",
    "unaligned": "Adapters before",
    "nearest_embedding": "Nearest embedding",
    "random": "Random",
}
WAYS = {"to_text": "finds its text", "from_text": "is found by its text"}
METRICS = {"recall_at_1": "R@1", "recall_at_5": "R@5", "recall_at_10": "R@10", "mrr": "MRR"}
SPLIT_NAMES = {"valid": "validation", "test": "test"}


def alignment_section(
    gallery: Gallery, entries: Sequence[Mapping[str, Any]], scores: Mapping[str, Any]
) -> dict[str, Any]:
    """Figures and tables from the entries of the stage's ``log.jsonl`` and from its ``metrics.json``."""
    kinds = [kind for kind in KINDS if any(entry.get("kind") == kind for entry in entries)]
    pictures = [
        picture
        for kind in kinds
        for picture in _curves(gallery, kind, [entry for entry in entries if entry.get("kind") == kind])
    ]
    trained = [entry for entry in entries if "loss" in entry]
    tables = [
        _table(kind, split, scores[split][kind])
        for split in SPLIT_NAMES
        for kind in KINDS
        if kind in scores.get(split, {})
    ]
    header = ["split", "kind", "system", "way", *METRICS]
    rows = [
        [split, kind, system, way, *(values[key] for key in METRICS)]
        for split, parts in scores.items()
        for kind, found in parts.items()
        for system, ways in found["systems"].items()
        for way, values in ways.items()
    ]
    return {
        "ways": WAYS,
        "metrics": METRICS,
        "pictures": pictures,
        "tables": tables,
        "steps": trained[-1]["step"] if trained else 0,
        "temperature": trained[-1]["temperature"] if trained else None,
        "csv": {"alignment": (header, rows)},
    }


def _curves(gallery: Gallery, kind: str, entries: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """Loss, and recall in validation."""
    name = KINDS[kind]
    losses = [(entry["step"], entry["loss"]) for entry in entries if "loss" in entry]
    checked = [entry for entry in entries if "eval_loss" in entry]
    pictures = []
    if losses:
        (first, start), (last, end) = losses[0], losses[-1]
        alt = f"{name}: contrastive loss {start:.3g} at step {first}, {end:.3g} at step {last}."
        validation = [(entry["step"], entry["eval_loss"]) for entry in checked]
        if validation:
            alt += f" In validation {validation[0][1]:.3g} at first and {validation[-1][1]:.3g} at last."
        figure = plots.curve(losses, "contrastive loss", validation)
        pictures.append(gallery.add(f"alignment-loss-{kind}", f"{name}: loss", alt, figure))
    if len(checked) > 1:
        series = {way: [(entry["step"], entry[way]["recall_at_10"]) for entry in checked] for way in WAYS}
        ends = "; ".join(
            f"{kind} {WAYS[way]} {points[0][1]:.0%} at first, {points[-1][1]:.0%} at last"
            for way, points in series.items()
        )
        alt = f"Recall among the first 10 in validation: {ends}."
        figure = recall_curves({f"{kind} {WAYS[way]}": points for way, points in series.items()})
        pictures.append(
            gallery.add(f"alignment-recall-{kind}", f"{name}: recall@10 in validation", alt, figure)
        )
    return pictures


def recall_curves(series: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Shares (0 to 1) by optimiser step; one line for each name, told apart by marker and line too."""
    figure, axes = style.new_axes(height=2.6, left=0.8, top=0.45)
    for (name, points), colour, line in zip(
        series.items(), (style.MODEL, style.TRUTH), ("o-", "s--"), strict=False
    ):
        axes.plot(*zip(*points, strict=True), line, color=colour, ms=4, lw=1.5, label=name)
    axes.set(xlabel="optimiser step", ylabel="recall@10", ylim=(-0.02, 1.02))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    figure.legend(ncols=1, loc="upper left", bbox_to_anchor=(0.12, 1.01), handlelength=2)
    return figure


def _table(kind: str, split: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """A row for each system: its metrics both ways, and which are the best of their column."""
    systems = [name for name in SYSTEMS if name in found["systems"]]
    columns = [(way, key) for way in WAYS for key in METRICS]
    values = {name: [found["systems"][name][way][key] for way, key in columns] for name in systems}
    best = [max(column) for column in zip(*values.values(), strict=True)]
    return {
        "title": f"{KINDS[kind]}, {SPLIT_NAMES[split]}",
        "kind": kind,
        "things": found["items"],
        "texts": found["texts"],
        "rows": [
            (SYSTEMS[name], name == "aligned", [(v, v == b) for v, b in zip(values[name], best, strict=True)])
            for name in systems
        ],
    }
