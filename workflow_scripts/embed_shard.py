"""Rule embed_shard: states of one shard of the windows into the store."""

from pathlib import Path

from fragmodel.workflow.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.embeddings.extract import embed_windows

    options = snakemake.params.embeddings
    summary = embed_windows(
        Path(snakemake.input.windows),
        encoder=Path(snakemake.input.encoder),
        store=Path(options["store"]),
        manifest=Path(snakemake.output.manifest),
        shard=int(snakemake.wildcards.shard),
        shards=options["shards"],
        dtype=options["dtype"],
        layer=options["layer"],
        compute_dtype=options["compute_dtype"],
        tokens_per_batch=options["tokens_per_batch"],
    )
    print(summary)
