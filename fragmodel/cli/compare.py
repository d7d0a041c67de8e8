"""`fragmodel compare`: is one run better than another?"""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(help="A results folder, or a scored table (Parquet).")],
    run_b: Annotated[Path, typer.Argument(help="Another one, on the same records.")],
    system_a: Annotated[str, typer.Option(help="What to take of run A: model or a baseline.")] = "model",
    system_b: Annotated[str, typer.Option(help="What to take of run B.")] = "model",
    samples: Annotated[int, typer.Option(min=100, help="Permutations, where there are more.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Their seed.")] = 1,
) -> None:
    """Compare two runs on the same records: paired differences, intervals and permutation tests.

    Give the same run twice with two systems to compare the model with a baseline.
    """
    from fragmodel.evaluation.compare import compare as run
    from fragmodel.evaluation.compare import format_table

    options = {"system_a": system_a, "system_b": system_b, "samples": samples, "seed": seed}
    print(format_table(run(run_a, run_b, **options)))
