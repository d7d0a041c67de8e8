"""Stage of rules/embeddings.smk: the unique windows; `fragmodel embed` puts them into the store."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app
from fragmodel.cli.stages import PANEL


@app.command(rich_help_panel=PANEL)
def windows(
    records: Annotated[list[Path], typer.Argument(help="Records of all data sets.")],
    output: Annotated[Path, typer.Option(help="Table of the unique windows.")],
) -> None:
    """Collect the unique windows of records."""
    from fragmodel.embeddings.extract import collect_windows

    print(f"{collect_windows(records, output)} unique windows")
