"""Stage of rules/training.smk: LoRA training."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app
from fragmodel.cli.stages import PANEL, section


@app.command(rich_help_panel=PANEL)
def train(
    encoder: Annotated[Path, typer.Option(help="Folder of the encoder.")],
    decoder: Annotated[Path, typer.Option(help="Folder of the decoder.")],
    train: Annotated[list[Path], typer.Option(help="Records of training; repeat for several tables.")],
    weight: Annotated[
        list[float], typer.Option(help="Sampling weight of each training table, in their order.")
    ],
    checkpoints: Annotated[
        Path, typer.Option(help="Folder of this and earlier runs, with their checkpoints.")
    ],
    model: Annotated[Path, typer.Option(help="Folder of the trained model.")],
    training_log: Annotated[Path, typer.Option(help="Log of the training.")],
    adapter: Annotated[str, typer.Option(help="Section `adapter` of the config as JSON.")],
    lora: Annotated[str, typer.Option(help="Section `lora` of the config as JSON.")],
    training: Annotated[str, typer.Option(help="Section `training` of the config as JSON.")],
    code: Annotated[str, typer.Option(help="Digest of the code; another one makes another run.")],
    valid: Annotated[list[Path] | None, typer.Option(help="Records of validation.")] = None,
    store: Annotated[
        Path | None, typer.Option(help="Store of encoder states; without it the encoder runs.")
    ] = None,
    manifest: Annotated[list[Path] | None, typer.Option(help="What the embedding jobs wrote.")] = None,
    aligned: Annotated[Path | None, typer.Option(help="Aligned adapters to start from.")] = None,
    relatives: Annotated[
        Path | None,
        typer.Option(help="Table of the proteins that evidence comes from, to go with the model."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the run.")] = 1,
) -> None:
    """Train, or go on where an interrupted training stopped."""
    from fragmodel.config.training import AdapterConfig, LoraConfig, TrainingConfig
    from fragmodel.embeddings.manifest import embedded
    from fragmodel.training.launch import launch
    from fragmodel.workflow.jobs import is_forced

    with embedded(manifest or [], store) as fingerprint:
        launch(
            encoder=encoder,
            decoder=decoder,
            train=train,
            valid=valid or [],
            weights=weight,
            store=store,
            fingerprint=fingerprint,
            checkpoints=checkpoints,
            model=model,
            log=training_log,
            adapter=section(AdapterConfig, adapter, "--adapter"),
            lora=section(LoraConfig, lora, "--lora"),
            training=section(TrainingConfig, training, "--training"),
            seed=seed,
            code=code,
            anew=is_forced(),
            aligned=aligned,
            relatives=relatives,
        )
