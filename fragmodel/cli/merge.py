"""`fragmodel merge`: one standalone model folder."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app, hush


@app.command()
def merge(
    model: Annotated[Path, typer.Option(help="Folder of a trained model or a checkpoint.")],
    output: Annotated[Path, typer.Option(help="New folder of the merged model.")],
) -> None:
    """Fold LoRA into the decoder and write a folder that transformers loads by itself."""
    from fragmodel.prediction.merged_model import merge as run

    hush()
    run(model, output)
    print(f"{output}: merged model; load it with AutoModelForCausalLM after `import fragmodel`")
