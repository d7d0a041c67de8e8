"""Rule decoder: build or bring in the LLaMA decoder."""

from pathlib import Path

from fragmodel.workflow.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.model.sources import make_decoder

    shape = snakemake.params.stand_in
    make_decoder(
        snakemake.params.source,
        Path(snakemake.output.folder),
        records=[Path(path) for path in snakemake.input.get("records", [])],
        vocab_size=shape["vocab_size"],
        layers=shape["decoder_layers"],
        dim=shape["decoder_dim"],
        heads=shape["decoder_heads"],
        epochs=shape["decoder_epochs"],
        seed=snakemake.params.seed,
    )
