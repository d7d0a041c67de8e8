"""Stages of rules/data.smk and evidence.smk: the deal of proteins to splits, their audit, evidence."""

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


@app.command(rich_help_panel=PANEL)
def evidence(
    records: Annotated[list[Path], typer.Option(help="Records of a split; repeat for all tables.")],
    questions: Annotated[
        list[Path], typer.Option(help="The same with evidence, to be written; as many, in the same order.")
    ],
    lines: Annotated[Path, typer.Option(help="Table of all lines of evidence.")],
    relatives: Annotated[Path, typer.Option(help="Table of the proteins that they come from.")],
    kind: Annotated[
        list[str] | None,
        typer.Option(help="DATA_NAME=FAMILY where the name of a data set tells none; repeat for several."),
    ] = None,
    max_lines: Annotated[int, typer.Option(min=1, help="Lines of relatives in a question at most.")] = 3,
    max_e_value: Annotated[float, typer.Option(min=0, help="Less certain relatives are left out.")] = 1.0,
    profiles: Annotated[
        bool, typer.Option("--profiles", help="Add a line of what profiles of the training fragments find.")
    ] = False,
    pointers: Annotated[
        bool, typer.Option("--pointers", help="Let answers point to a line that agrees with them.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the search for relatives.")] = 1,
) -> None:
    """Put what the nearest training proteins suggest into the questions of the records."""
    from fragmodel.evidence.stage import Tables, add_evidence
    from fragmodel.vocabulary import family_of

    kinds = dict(text.rpartition("=")[::2] for text in kind or [])
    counts = add_evidence(
        [Tables(old.stem, old, new) for old, new in zip(records, questions, strict=True)],
        lines=lines,
        relatives=relatives,
        kind_of=lambda name: kinds.get(name) or family_of(name),
        max_lines=max_lines,
        max_e_value=max_e_value,
        profiles=profiles,
        pointers=pointers,
        threads=threads,
    )
    for split, (asked, helped) in counts.items():
        print(f"{split}: {asked} questions, {helped} with evidence")
