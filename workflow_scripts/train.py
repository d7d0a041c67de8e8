"""Rule train_model: start the training program and collect the model."""

import os
from pathlib import Path

from fragmodel.workflow.stage import ANEW, stage

with stage(snakemake.log[0]):
    from fragmodel.config.training import AdapterConfig, LoraConfig, TrainingConfig
    from fragmodel.embeddings.manifest import fingerprint_of
    from fragmodel.training.launch import launch

    store = snakemake.params.store
    launch(
        programs=Path(snakemake.scriptdir),
        encoder=Path(snakemake.input.encoder),
        decoder=Path(snakemake.input.decoder),
        train=[Path(path) for path in snakemake.input.train],
        valid=[Path(path) for path in snakemake.input.valid],
        weights=snakemake.params.weights,
        store=Path(store) if store else None,
        fingerprint=fingerprint_of(snakemake.input.manifests) if store else None,
        checkpoints=Path(snakemake.params.checkpoints),
        model=Path(snakemake.output.model),
        log=Path(snakemake.output.log),
        adapter=AdapterConfig(**snakemake.params.adapter),
        lora=LoraConfig(**snakemake.params.lora),
        training=TrainingConfig(**snakemake.params.training),
        seed=snakemake.params.seed,
        code=snakemake.params.code,
        anew=bool(os.environ.get(ANEW)),
        aligned=Path(snakemake.input.aligned) if snakemake.input.aligned else None,
    )
