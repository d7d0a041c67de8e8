"""Rule score: metrics of one data set."""

from pathlib import Path

from fragmodel.workflow.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.evaluation.score import score

    score(
        [Path(path) for path in (*snakemake.input.predictions, snakemake.input.baselines)],
        [Path(path) for path in snakemake.input.references],
        metrics_output=Path(snakemake.output.metrics),
        table_output=Path(snakemake.output.table),
        leakage=Path(snakemake.input.leakage),
        train=[Path(path) for path in snakemake.input.train],
        bootstrap_samples=snakemake.params.bootstrap_samples,
        identity_threshold=snakemake.params.identity_threshold,
        clean_only=snakemake.params.clean_only,
        bertscore=Path(snakemake.params.bertscore) if snakemake.params.bertscore else None,
        seed=snakemake.params.seed,
    )
