"""`fragmodel summary`: a run in a few lines."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app


@app.command()
def summary(
    results: Annotated[Path, typer.Argument(help="The run's folder (`results` in its config).")] = Path(
        "results"
    ),
) -> None:
    """Print a run in a few lines: its scores, report and metrics, or how far it is and where its logs are."""
    from fragmodel.report.summary import summarise

    print("\n".join(summarise(results)))
