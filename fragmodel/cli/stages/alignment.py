"""Stages of rules/alignment.smk: text vectors, the alignment of the adapters, retrieval by them."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app
from fragmodel.cli.stages import PANEL, section

Decoder = Annotated[Path, typer.Option(help="Folder of the decoder.")]
Encoder = Annotated[Path, typer.Option(help="Folder of the encoder.")]
Store = Annotated[Path, typer.Option(help="Store of encoder states.")]
Manifests = Annotated[
    list[Path], typer.Option("--manifest", help="What the embedding jobs wrote; repeat for several.")
]
Texts = Annotated[Path, typer.Option(help="What `embed-texts` wrote.")]
Alignment = Annotated[str, typer.Option(help="Section `alignment` of the config as JSON.")]
Adapter = Annotated[str, typer.Option(help="Section `adapter` of the config as JSON.")]
Seed = Annotated[int, typer.Option(help="Seed of the run.")]


@app.command("embed-texts", rich_help_panel=PANEL)
def embed_texts(
    records: Annotated[list[Path], typer.Argument(help="Records whose answers are descriptions.")],
    decoder: Decoder,
    manifest: Annotated[Path, typer.Option(help="File that names the vectors in the store.")],
    alignment: Alignment,
) -> None:
    """Put the frozen decoder's vectors of all descriptions into the text store."""
    from fragmodel.alignment.pairs import read_pairs
    from fragmodel.alignment.texts import embed_texts as embed
    from fragmodel.alignment.texts import write_manifest
    from fragmodel.config.alignment import AlignmentConfig

    options = section(AlignmentConfig, alignment, "--alignment")
    fingerprint = embed(
        [text for part in read_pairs(records) for text in part.texts],
        decoder=decoder,
        store=Path(options.store),
        layer=options.layer,
        pooling=options.pooling,
        segments=options.segments,
        max_text_tokens=options.max_text_tokens,
        batch_size=options.text_batch_size,
        precision=options.precision,
    )
    write_manifest(manifest, Path(options.store), fingerprint)


@app.command(rich_help_panel=PANEL)
def align(
    encoder: Encoder,
    decoder: Decoder,
    train: Annotated[list[Path], typer.Option(help="Records of training; repeat for several tables.")],
    store: Store,
    manifest: Manifests,
    texts: Texts,
    checkpoints: Annotated[
        Path, typer.Option(help="Folder of this and earlier runs, with their checkpoints.")
    ],
    model: Annotated[Path, typer.Option(help="Folder of the aligned adapters.")],
    training_log: Annotated[Path, typer.Option(help="Log of the alignment.")],
    adapter: Adapter,
    alignment: Alignment,
    code: Annotated[str, typer.Option(help="Digest of the code; another one makes another run.")],
    valid: Annotated[list[Path] | None, typer.Option(help="Records of validation.")] = None,
    seed: Seed = 1,
) -> None:
    """Align the adapters with the descriptions, or go on where an interrupted alignment stopped."""
    from fragmodel.alignment.program import launch_alignment
    from fragmodel.alignment.texts import fingerprint_in
    from fragmodel.config.alignment import AlignmentConfig
    from fragmodel.config.training import AdapterConfig
    from fragmodel.embeddings.manifest import embedded
    from fragmodel.workflow.jobs import is_forced

    options = section(AlignmentConfig, alignment, "--alignment")
    with embedded(manifest, store) as fingerprint:
        launch_alignment(
            encoder=encoder,
            decoder=decoder,
            train=train,
            valid=valid or [],
            store=store,
            fingerprint=fingerprint,
            texts_fingerprint=fingerprint_in(texts, Path(options.store)),
            checkpoints=checkpoints,
            model=model,
            log=training_log,
            adapter=section(AdapterConfig, adapter, "--adapter"),
            alignment=options,
            seed=seed,
            code=code,
            anew=is_forced(),
        )


@app.command("score-alignment", rich_help_panel=PANEL)
def score_alignment(
    records: Annotated[list[Path], typer.Argument(help="Records whose answers are descriptions.")],
    model: Annotated[Path, typer.Option(help="Folder of the aligned adapters.")],
    encoder: Encoder,
    decoder: Decoder,
    store: Store,
    manifest: Manifests,
    texts: Texts,
    output: Annotated[Path, typer.Option(help="Metrics as JSON.")],
    adapter: Adapter,
    alignment: Alignment,
    seed: Seed = 1,
) -> None:
    """Retrieval of descriptions by the aligned adapters and by baselines."""
    from fragmodel.alignment.evaluate import evaluate
    from fragmodel.alignment.texts import fingerprint_in
    from fragmodel.config.alignment import AlignmentConfig
    from fragmodel.config.training import AdapterConfig
    from fragmodel.embeddings.manifest import embedded

    options = section(AlignmentConfig, alignment, "--alignment")
    with embedded(manifest, store) as fingerprint:
        evaluate(
            model,
            records,
            encoder=encoder,
            decoder=decoder,
            store=store,
            fingerprint=fingerprint,
            texts_fingerprint=fingerprint_in(texts, Path(options.store)),
            adapter=section(AdapterConfig, adapter, "--adapter"),
            alignment=options,
            seed=seed,
            output=output,
        )
