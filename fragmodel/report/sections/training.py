"""The section on training: the curves of its log."""

from collections.abc import Sequence
from typing import Any

from fragmodel.report import plots
from fragmodel.report.run_files import Log
from fragmodel.report.style import Gallery, Picture


def training_section(gallery: Gallery, log: Log) -> dict[str, Any]:
    """Curves of the training log; ``more`` are of what few ask for."""
    pictures: list[Picture] = []
    more: list[Picture] = []

    def add(
        to: list[Picture], key: str, title: str, axis: str, entries: Sequence[dict[str, float]], other=()
    ) -> None:
        points = [(entry["step"], entry[key]) for entry in entries if key in entry]
        if points:
            (first, start), (last, end) = points[0], points[-1]
            alt = f"{title}: {start:.4g} at step {first}, {end:.4g} at step {last}."
            if other:
                alt += f" In validation {other[-1][1]:.4g} at step {other[-1][0]}."
            to.append(gallery.add(f"training-{key}", title, alt, plots.curve(points, axis, other)))

    add(
        pictures,
        "loss",
        "Loss",
        "loss",
        log.train,
        [(entry["step"], entry["eval_loss"]) for entry in log.valid],
    )
    add(more, "learning_rate", "Learning rate", "learning rate", log.train)
    add(more, "tokens_per_second", "Speed", "tokens a second", log.train)
    add(pictures, "well_formed", "Well-formed answers", "share", log.well_formed)
    add(pictures, "score", "Score of answers", "mean score", log.score)
    return {"pictures": pictures, "more": more, "log": log}
