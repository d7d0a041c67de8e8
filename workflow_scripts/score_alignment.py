"""Rule score_alignment: retrieval by the aligned adapters and by baselines."""

from pathlib import Path

from fragmodel.workflow.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.alignment.evaluate import evaluate
    from fragmodel.alignment.texts import fingerprint_in
    from fragmodel.config.alignment import AlignmentConfig
    from fragmodel.config.training import AdapterConfig
    from fragmodel.embeddings.manifest import fingerprint_of

    evaluate(
        Path(snakemake.input.model),
        [Path(path) for path in snakemake.input.records],
        encoder=Path(snakemake.input.encoder),
        decoder=Path(snakemake.input.decoder),
        store=Path(snakemake.params.store),
        fingerprint=fingerprint_of(snakemake.input.manifests),
        texts_fingerprint=fingerprint_in(snakemake.input.texts),
        adapter=AdapterConfig(**snakemake.params.adapter),
        alignment=AlignmentConfig(**snakemake.params.alignment),
        seed=snakemake.params.seed,
        output=Path(snakemake.output.metrics),
    )
