"""Rule assign_splits: proteins without published splits are dealt by cluster."""

from pathlib import Path

from fragmodel.workflow.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.config.datasets import DatasetConfig
    from fragmodel.homology.splits import assign_splits

    counts = assign_splits(
        {name: DatasetConfig(**values) for name, values in snakemake.params.datasets.items()},
        output=Path(snakemake.output.assignment),
        seed=snakemake.params.seed,
        threads=snakemake.threads,
    )
    for name, dealt in counts.items():
        print(f"{name}:", ", ".join(f"{split} {count} proteins" for split, count in dealt.items()))
