"""Rule audit_leakage: how close test proteins are to training."""

from pathlib import Path

from fragmodel.workflow.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.homology.leakage import audit_leakage

    audit_leakage(
        [Path(path) for path in snakemake.input.train],
        [Path(path) for path in snakemake.input.test],
        thresholds=snakemake.params.thresholds,
        json_output=Path(snakemake.output.summary),
        table_output=Path(snakemake.output.table),
        threads=snakemake.threads,
    )
