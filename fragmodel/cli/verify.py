"""`fragmodel verify`: are the files of a run those that were written?"""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder (`results` in its config).")],
    store: Annotated[
        Path | None, typer.Option(help="Its store, where that lies elsewhere (`embeddings.store`).")
    ] = None,
) -> None:
    """Read tables, weights, checkpoints and the store of a run; exit status 1 when something is damaged."""
    from fragmodel.workflow.verify import verify_run

    verdicts = verify_run(run, store)
    for verdict in verdicts:
        state = f"{len(verdict.faults)} damaged" if verdict.faults else "whole"
        print(f"{verdict.kind:12}  {verdict.files:6} files  {verdict.size / 1e6:10,.1f} MB  {state}")
    faults = [fault for verdict in verdicts for fault in verdict.faults]
    for fault in faults:
        print(fault)
    print(f"{len(faults)} faults" if faults else "Everything that has a checksum is as it was written.")
    raise typer.Exit(1 if faults else 0)
