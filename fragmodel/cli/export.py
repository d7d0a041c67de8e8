"""`fragmodel export`: a trained model as a folder to share."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app, hush


@app.command()
def export(
    model: Annotated[Path, typer.Option(help="Model folder of a run (results/training/model).")],
    output: Annotated[Path, typer.Option(help="Folder to make.")],
    metrics: Annotated[Path | None, typer.Option(help="The run's metrics.json, for the model card.")] = None,
    title: Annotated[str | None, typer.Option(help="Name in the model card. Default: the folder's.")] = None,
    license_name: Annotated[
        str, typer.Option("--license", help="Licence of the trained weights, as hubs name it.")
    ] = "other",
    adapter_only: Annotated[
        bool, typer.Option("--adapter-only", help="Leave encoder and decoder out; the card names them.")
    ] = False,
    without_relatives: Annotated[
        bool,
        typer.Option(
            "--without-relatives",
            help="Leave the training proteins out that evidence comes from; the card says so.",
        ),
    ] = False,
) -> None:
    """Make a folder that others can load: weights, tokenizer, base model, generation settings and model card."""
    from fragmodel.prediction.export import export_model

    hush()
    export_model(
        model,
        output,
        metrics=metrics,
        title=title,
        license_name=license_name,
        adapter_only=adapter_only,
        with_relatives=not without_relatives,
    )
    print(f"{output}: README.md is its model card")
