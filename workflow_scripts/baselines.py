"""Rule baselines: answers of the baselines."""

from pathlib import Path

from fragmodel.workflow.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.embeddings.manifest import fingerprint_of
    from fragmodel.evaluation.baselines import run_baselines

    store = snakemake.params.store
    run_baselines(
        [Path(path) for path in snakemake.input.train],
        [Path(path) for path in snakemake.input.test],
        names=snakemake.params.names,
        store=Path(store) if store else None,
        fingerprint=fingerprint_of(snakemake.input.manifests) if store else None,
        output=Path(snakemake.output.predictions),
        seed=snakemake.params.seed,
        threads=snakemake.threads,
    )
