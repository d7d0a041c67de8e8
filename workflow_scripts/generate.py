"""Rule generate: answers of the trained model."""

from pathlib import Path

from fragmodel.workflow.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.embeddings.manifest import fingerprint_of
    from fragmodel.evaluation.generate import generate

    store = snakemake.params.store
    generate(
        Path(snakemake.input.model),
        [Path(path) for path in snakemake.input.records],
        Path(snakemake.output.predictions),
        store=Path(store) if store else None,
        encoder=Path(snakemake.input.encoder) if snakemake.params.check_encoder else None,
        fingerprint=fingerprint_of(snakemake.input.manifests) if store else None,
        max_new_tokens=snakemake.params.max_new_tokens,
        batch_size=snakemake.params.batch_size,
        shard=int(snakemake.wildcards.shard),
        shards=snakemake.params.shards,
    )
