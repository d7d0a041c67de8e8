"""Rule align_adapters: start the alignment program and collect the adapters."""

import os
from pathlib import Path

from fragmodel.workflow.stage import ANEW, stage

with stage(snakemake.log[0]):
    from fragmodel.alignment.program import launch_alignment
    from fragmodel.alignment.texts import fingerprint_in
    from fragmodel.config.alignment import AlignmentConfig
    from fragmodel.config.training import AdapterConfig
    from fragmodel.embeddings.manifest import fingerprint_of

    launch_alignment(
        programs=Path(snakemake.scriptdir),
        encoder=Path(snakemake.input.encoder),
        decoder=Path(snakemake.input.decoder),
        train=[Path(path) for path in snakemake.input.train],
        valid=[Path(path) for path in snakemake.input.valid],
        store=Path(snakemake.params.store),
        fingerprint=fingerprint_of(snakemake.input.manifests),
        texts_fingerprint=fingerprint_in(snakemake.input.texts),
        checkpoints=Path(snakemake.params.checkpoints),
        model=Path(snakemake.output.model),
        log=Path(snakemake.output.log),
        adapter=AdapterConfig(**snakemake.params.adapter),
        alignment=AlignmentConfig(**snakemake.params.alignment),
        seed=snakemake.params.seed,
        code=snakemake.params.code,
        anew=bool(os.environ.get(ANEW)),
    )
