"""`fragmodel runs`: the training runs of a results folder, which stay until a person removes them."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app

commands = typer.Typer(help="List and remove training runs.", no_args_is_help=True)
app.add_typer(commands, name="runs")

Results = Annotated[Path, typer.Option(help="The run's folder (`results` in its config).")]


@commands.command("ls")
def list_all(results: Results = Path("results")) -> None:
    """List training runs: finished or at which step, size, and the settings in which they differ."""
    from fragmodel.training.runs import differing, list_runs

    runs = list_runs(results)
    if not runs:
        print(f"{results}: no training run")
    settings = differing(runs)
    for run in runs:
        state = f"finished {run.finished}" if run.finished else f"not finished, at step {run.step}"
        told = ", ".join(f"{key} {value}" for key, value in settings[run.name].items())
        print(f"{run.name}  {run.stage}  {state}  {run.size / 1e6:,.0f} MB  {told}".rstrip())


@commands.command("rm")
def remove(
    name: Annotated[str, typer.Argument(help="Name of the run, as `ls` prints it.")],
    results: Results = Path("results"),
) -> None:
    """Remove a training run with its checkpoints. The model that was taken from it stays."""
    from fragmodel.training.runs import remove_run

    run = remove_run(results, name)
    print(f"removed {run.folder} ({run.size / 1e6:,.0f} MB)")
