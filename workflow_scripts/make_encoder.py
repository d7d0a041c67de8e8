"""Rule encoder: build or bring in the ESM encoder."""

from pathlib import Path

from fragmodel.workflow.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.model.sources import make_encoder

    shape = snakemake.params.stand_in
    make_encoder(
        snakemake.params.source,
        Path(snakemake.output.folder),
        layers=shape["encoder_layers"],
        dim=shape["encoder_dim"],
        heads=shape["encoder_heads"],
        seed=snakemake.params.seed,
    )
