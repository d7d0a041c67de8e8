"""Rule ingest_task: raw files to validated records and rejects."""

from pathlib import Path

from fragmodel.workflow.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.data.ingest import ingest

    summary = ingest(
        [Path(path) for path in snakemake.input.raw],
        task=snakemake.wildcards.task,
        data_name=snakemake.wildcards.data_name,
        output=Path(snakemake.output.records),
        rejects=Path(snakemake.output.rejects),
        format=snakemake.params.format,
        split=snakemake.wildcards.split,
        family=snakemake.params.family,
        assignment=Path(snakemake.input.assignment) if snakemake.input.assignment else None,
        max_sequence_length=snakemake.params.ingest["max_sequence_length"],
        min_visible_fraction=snakemake.params.ingest["min_visible_fraction"],
        max_rejected_fraction=snakemake.params.ingest["max_rejected_fraction"],
        seed=snakemake.params.seed,
        allow_empty=False,  # told before anything is embedded
    )
    print(f"accepted {summary.accepted}, rejected {summary.rejected}")
