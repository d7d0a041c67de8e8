"""Rule assign_splits: proteins without published splits are dealt by cluster."""

from pathlib import Path

from fragmodel.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.data.splits import assign_splits

    counts = assign_splits(
        [Path(path) for path in snakemake.input.raw],
        data_name=snakemake.wildcards.data_name,
        output=Path(snakemake.output.assignment),
        format=snakemake.params.format,
        identity=snakemake.params.identity,
        seed=snakemake.params.seed,
        threads=snakemake.threads,
    )
    print(", ".join(f"{split}: {count} proteins" for split, count in counts.items()))
