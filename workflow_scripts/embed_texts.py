"""Rule embed_texts: vectors of the frozen decoder for all descriptions."""

import json
from pathlib import Path

from fragmodel.workflow.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.alignment.pairs import read_pairs
    from fragmodel.alignment.texts import embed_texts
    from fragmodel.files import write_text

    pairs = read_pairs([Path(path) for path in snakemake.input.records])
    fingerprint = embed_texts(
        [text for part in pairs for text in part.texts],
        decoder=Path(snakemake.input.decoder),
        store=Path(snakemake.params.store),
        layer=snakemake.params.layer,
        pooling=snakemake.params.pooling,
        segments=snakemake.params.segments,
        max_text_tokens=snakemake.params.max_text_tokens,
        batch_size=snakemake.params.batch_size,
        precision=snakemake.params.precision,
    )
    write_text(snakemake.output.manifest, json.dumps({"fingerprint": fingerprint}))
