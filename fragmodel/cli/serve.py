"""`fragmodel serve`: a local page to try a model."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app, hush
from fragmodel.cli.model_options import (
    BatchSize,
    Constrained,
    DecoderDtype,
    Device,
    MaxNewTokens,
    StoredDtype,
    Window,
)


@app.command()
def serve(
    model: Annotated[
        Path, typer.Option(help="Model folder: of a run (results/training/model), exported or merged.")
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8765,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at. Whoever reaches it can use the page; it asks for no password."
        ),
    ] = "127.0.0.1",
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    max_residues: Annotated[int, typer.Option(min=1, help="Residues of one request.")] = 50_000,
    max_proteins: Annotated[int, typer.Option(min=1, help="Proteins of one request.")] = 100,
    constrained: Constrained = True,
    device: Device = "auto",
    dtype: DecoderDtype = None,
    batch_size: BatchSize = 8,
    window: Window = None,
    max_new_tokens: MaxNewTokens = 256,
    stored_dtype: StoredDtype = "bfloat16",
) -> None:
    """Try a trained model on a local page: paste proteins, see what is found in them, ask about residues.

    The page is for this machine alone unless `--host` says otherwise, and loads nothing from elsewhere. Its address is
    printed when the model is loaded. Ctrl-C ends it.
    """
    from fragmodel.embeddings.shards import check_dtype
    from fragmodel.errors import UserError

    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise UserError("serve needs starlette and uvicorn: pip install 'fragmodel[serve]'") from None

    from fragmodel.prediction.model import FragModel
    from fragmodel.serving.asked import Limits
    from fragmodel.serving.server import end
    from fragmodel.serving.server import serve as run

    hush()
    check_dtype(stored_dtype)

    def load() -> FragModel:
        return FragModel.load(
            model,
            device=device,
            dtype=dtype,
            window=window,
            max_new_tokens=max_new_tokens,
            batch_size=batch_size,
            stored_dtype=stored_dtype,
            constrained=constrained,
        )

    try:
        run(
            load,
            model,
            host=host,
            port=port,
            limits=Limits(max_residues, max_proteins),
            open_browser=open_browser,
        )
    except KeyboardInterrupt:
        end()
