"""Stages of rules/data.smk: the deal of proteins to splits, and the audit of the splits."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app
from fragmodel.cli.stages import PANEL


@app.command(rich_help_panel=PANEL)
def split(
    datasets: Annotated[str, typer.Option(help="Section `datasets` of the config as JSON.")],
    output: Annotated[Path, typer.Option(help="Table of data set, protein and split.")],
    seed: Annotated[int, typer.Option(help="Seed of the deal.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the search for relatives.")] = 1,
) -> None:
    """Deal the proteins of data sets with `split: by_cluster`, so that relatives stay together."""
    import json

    from fragmodel.config.datasets import DatasetConfig
    from fragmodel.homology.splits import assign_splits

    sections = {name: DatasetConfig(**values) for name, values in json.loads(datasets).items()}
    for name, dealt in assign_splits(sections, output=output, seed=seed, threads=threads).items():
        print(f"{name}:", ", ".join(f"{each} {count} proteins" for each, count in dealt.items()))


@app.command(rich_help_panel=PANEL)
def audit(
    train: Annotated[list[Path], typer.Option(help="Records of training; repeat for several tables.")],
    test: Annotated[list[Path], typer.Option(help="Records that are scored; repeat for several tables.")],
    summary: Annotated[Path, typer.Option(help="Counts as JSON.")],
    table: Annotated[Path, typer.Option(help="Highest identities of each record, as Parquet.")],
    identity: Annotated[
        list[float] | None, typer.Option(min=0, max=1, help="Identities to count at; repeat for several.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the search for relatives.")] = 1,
) -> None:
    """Find the nearest training relatives of every test record: of its protein, and of its fragment."""
    from fragmodel.homology.leakage import audit_leakage

    audit_leakage(
        train, test, thresholds=identity or [], json_output=summary, table_output=table, threads=threads
    )
