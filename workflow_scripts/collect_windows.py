"""Rule windows: the unique windows of all records."""

from pathlib import Path

from fragmodel.workflow.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.embeddings.extract import collect_windows

    count = collect_windows([Path(path) for path in snakemake.input.records], Path(snakemake.output.windows))
    print(f"{count} unique windows")
