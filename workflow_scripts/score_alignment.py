"""Rule score_alignment: retrieval by the aligned adapters and by baselines."""

import json
from pathlib import Path

from fragmodel.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.alignment.evaluate import evaluate
    from fragmodel.config import AdapterConfig, AlignmentConfig
    from fragmodel.embeddings.manifest import fingerprint_of

    evaluate(
        Path(snakemake.input.model),
        [Path(path) for path in snakemake.input.records],
        encoder=Path(snakemake.input.encoder),
        decoder=Path(snakemake.input.decoder),
        store=Path(snakemake.params.store),
        fingerprint=fingerprint_of(snakemake.input.manifests),
        texts_fingerprint=json.loads(Path(snakemake.input.texts).read_text(encoding="utf-8"))["fingerprint"],
        adapter=AdapterConfig(**snakemake.params.adapter),
        alignment=AlignmentConfig(**snakemake.params.alignment),
        seed=snakemake.params.seed,
        output=Path(snakemake.output.metrics),
    )
