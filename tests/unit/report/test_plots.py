"""What the figures show."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fragmodel.metric_names import metric
from fragmodel.report import plots, style
from fragmodel.report.metric_tables import Cell


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(1, 40_000), st.integers(1, 40_000)), min_size=1, max_size=30))
def test_length_figures_take_any_lengths(pairs):
    true, predicted = np.array(pairs).T
    with style.drawing():
        plots.length_calibration(true, predicted).canvas.draw()
        figure = plots.length_distribution({"train": true, "test": predicted}, "fragment length")
        figure.canvas.draw()
    # Every length lies in a bin: the shares of each split add up to one.
    for outline in figure.axes[0].patches:
        assert abs(outline.get_data().values.sum() - 1) < 1e-9


def test_comparison_draws_every_system_once_a_data_set():
    groups = {"A": {"model": Cell(0.5, 0.4, 0.6), "majority": Cell(0.1)}, "B": {"model": Cell(0.2)}}
    with style.drawing():
        axes = plots.comparison(metric("accuracy"), groups).axes[0]
    drawn = [
        (line.get_label(), line.get_xdata()[0]) for line in axes.get_lines() if line.get_marker() != "None"
    ]
    assert sorted(drawn) == [("Majority", 0.1), ("Model", 0.2), ("Model", 0.5)]
