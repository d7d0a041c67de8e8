"""Stages of rules/models.smk: encoder and decoder brought into one place."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app
from fragmodel.cli.stages import PANEL, section

Shapes = Annotated[str, typer.Option(help="Section `models.stand_in` of the config as JSON.")]
Output = Annotated[Path, typer.Option(help="Folder to write.")]
Revision = Annotated[str | None, typer.Option(help="Commit, tag or branch, where SOURCE is a hub id.")]
Seed = Annotated[int, typer.Option(help="Seed of a stand-in's weights.")]


@app.command("make-encoder", rich_help_panel=PANEL)
def make_encoder(
    source: Annotated[str, typer.Argument(help="As `models.encoder` in the config.")],
    output: Output,
    revision: Revision = None,
    stand_in: Shapes = "",
    seed: Seed = 1,
) -> None:
    """Write an encoder as a transformers folder."""
    from fragmodel.config.models import StandInConfig
    from fragmodel.model.sources import make_encoder as make

    shape = section(StandInConfig, stand_in, "--stand-in")
    make(
        source,
        output,
        layers=shape.encoder_layers,
        dim=shape.encoder_dim,
        heads=shape.encoder_heads,
        seed=seed,
        revision=revision,
    )


@app.command("make-decoder", rich_help_panel=PANEL)
def make_decoder(
    source: Annotated[str, typer.Argument(help="As `models.decoder` in the config.")],
    output: Output,
    records: Annotated[
        list[Path] | None,
        typer.Option(help="Records whose text a stand-in learns; repeat for several tables."),
    ] = None,
    revision: Revision = None,
    stand_in: Shapes = "",
    seed: Seed = 1,
) -> None:
    """Write a decoder as a transformers folder."""
    from fragmodel.config.models import StandInConfig
    from fragmodel.model.sources import make_decoder as make

    shape = section(StandInConfig, stand_in, "--stand-in")
    make(
        source,
        output,
        records=records or [],
        vocab_size=shape.vocab_size,
        layers=shape.decoder_layers,
        dim=shape.decoder_dim,
        heads=shape.decoder_heads,
        epochs=shape.decoder_epochs,
        seed=seed,
        revision=revision,
    )
