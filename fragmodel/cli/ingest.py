"""`fragmodel ingest`: raw files to validated Parquet."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli import app
from fragmodel.vocabulary import LEAST_VISIBLE, LONGEST_WINDOW


@app.command()
def ingest(
    raw: Annotated[
        list[Path], typer.Argument(help="Raw files, plain or gzip-compressed, or data set folders.")
    ],
    task: Annotated[
        str,
        typer.Option(help="referring_desc, referring_class, grounding_single, grounding_group or function."),
    ],
    data_name: Annotated[
        str, typer.Option(help="Name of the data set; a word in it tells the family (VenusX_Dom).")
    ],
    output: Annotated[Path, typer.Option(help="Parquet table of the accepted records.")],
    rejects: Annotated[Path, typer.Option(help="Parquet table of the rejected fragments, with reasons.")],
    format: Annotated[str, typer.Option(help="Raw format; auto recognises it by content.")] = "auto",
    family: Annotated[
        str | None,
        typer.Option(
            help="domain, active site, binding site, conserved site, motif, epitope or fragment (any), where the name "
            "does not tell."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="train, valid or test; train varies the questions.")] = "test",
    max_sequence_length: Annotated[
        int, typer.Option(min=1, help="Residues of the longest window.")
    ] = LONGEST_WINDOW,
    min_visible_fraction: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Part of a fragment that a window shows at least, to be asked for in it."
        ),
    ] = LEAST_VISIBLE,
    max_rejected_fraction: Annotated[
        float, typer.Option(min=0, max=1, help="Stop when more than this part of the fragments is rejected.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Seed of windows and question templates.")] = 1,
) -> None:
    """Validate raw annotation files and write the records of one task."""
    from fragmodel.data.ingest import ingest as run

    summary = run(
        raw,
        task=task,  # type: ignore[arg-type]
        data_name=data_name,
        output=output,
        rejects=rejects,
        format=format,
        split=split,
        family=family,  # type: ignore[arg-type]
        max_sequence_length=max_sequence_length,
        min_visible_fraction=min_visible_fraction,
        max_rejected_fraction=max_rejected_fraction,
        seed=seed,
    )
    for reason, count in summary.reasons.items():
        print(f"rejected as {reason}: {count}")
    print(f"accepted {summary.accepted}, rejected {summary.rejected}")
