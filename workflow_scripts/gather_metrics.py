"""Rule metrics: one file of all metrics."""

from pathlib import Path

from fragmodel.workflow.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.evaluation.score import gather

    gather([Path(path) for path in snakemake.input.metrics], Path(snakemake.output.metrics))
