"""Rule assign_splits: proteins without published splits are dealt by cluster."""

from pathlib import Path

from fragmodel.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.config import DatasetConfig
    from fragmodel.data.splits import assign_splits

    counts = assign_splits(
        {name: DatasetConfig(**values) for name, values in snakemake.params.datasets.items()},
        output=Path(snakemake.output.assignment),
        seed=snakemake.params.seed,
        threads=snakemake.threads,
    )
    for name, dealt in counts.items():
        print(f"{name}:", ", ".join(f"{split} {count} proteins" for split, count in dealt.items()))
