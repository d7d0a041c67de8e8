"""`fragmodel ingest`: raw files to validated Parquet."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fragmodel.cli.app import app
from fragmodel.errors import UserError
from fragmodel.vocabulary import LEAST_VISIBLE, LONGEST_WINDOW, MANY_REJECTED, MOST_REJECTED, told_family

if TYPE_CHECKING:
    from fragmodel.data.ingest import IngestSummary


@app.command()
def ingest(
    task: Annotated[
        list[str],
        typer.Option(
            help="referring_desc, referring_class, grounding_single, grounding_group or function. Repeat it, and with "
            "it --output and --rejects, to make several tasks in one pass."
        ),
    ],
    data_name: Annotated[
        str, typer.Option(help="Name of the data set; a word in it tells the family (VenusX_Dom).")
    ],
    output: Annotated[list[Path], typer.Option(help="Parquet table of the accepted records.")],
    rejects: Annotated[
        list[Path], typer.Option(help="Parquet table of the rejected fragments, with reasons.")
    ],
    raw: Annotated[
        list[Path] | None, typer.Argument(help="Raw files, plain or gzip-compressed, or data set folders.")
    ] = None,
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
        float, typer.Option(min=0, max=1, help="Stop when more than this part of the fragments is at fault.")
    ] = MOST_REJECTED,
    negatives: Annotated[
        float, typer.Option(min=0, help="Records about what a protein lacks, for each positive one.")
    ] = 0.0,
    hard_negatives: Annotated[
        float, typer.Option(min=0, max=1, help="Part of them that asks for likelier classes.")
    ] = 0.5,
    complete: Annotated[
        str,
        typer.Option(help="Proteins that have no fragment beside those of the files: stated, all or none."),
    ] = "stated",
    seed: Annotated[int, typer.Option(help="Seed of windows, question templates and negative records.")] = 1,
    assignment: Annotated[
        Path | None, typer.Option(help="Table of `fragmodel split`: take the proteins of --split only.")
    ] = None,
    refuse_empty: Annotated[
        bool, typer.Option("--refuse-empty", help="Stop when the files give a task no record at all.")
    ] = False,
    no_files: Annotated[bool, typer.Option("--no-files", help="There are none: write empty tables.")] = False,
) -> None:
    """Validate raw annotation files and write the records of one task, or of several."""
    from fragmodel.data.catalogue import Negatives
    from fragmodel.data.ingest import TaskTables, ingest_tasks
    from fragmodel.workflow.jobs import tell

    if complete not in ("stated", "all", "none"):
        raise UserError(f"--complete '{complete}' is none of stated, all and none")
    if bool(raw) == no_files:
        raise UserError("name raw files, or say --no-files")
    if not len(set(task)) == len(task) == len(output) == len(rejects):
        raise UserError("give --task, --output and --rejects equally often, and each task once")
    summaries = ingest_tasks(
        raw or [],
        {each: TaskTables(*paths) for each, *paths in zip(task, output, rejects, strict=True)},  # type: ignore[misc]
        data_name=data_name,
        format=format,
        split=split,
        family=family,  # type: ignore[arg-type]
        max_sequence_length=max_sequence_length,
        min_visible_fraction=min_visible_fraction,
        max_rejected_fraction=max_rejected_fraction,
        seed=seed,
        assignment=assignment,
        allow_empty=not refuse_empty,
        negatives=Negatives(negatives, hard_negatives, complete),  # type: ignore[arg-type]
    )
    taken = family or told_family(data_name)
    if task != ["function"]:
        print(f"family: {taken or 'fragment'}")
        if taken is None:
            tell(
                f"warning: neither the name '{data_name}' nor --family tells what the fragments are; "
                "questions say 'fragment'"
            )
    for (each, summary), table in zip(summaries.items(), rejects, strict=True):
        if summary.rejected_fraction > MANY_REJECTED:
            tell(
                f"warning: {summary.rejected_fraction:.1%} of the fragments of {data_name} / {each} ({split}) are at "
                f"fault; {table} has each with its reason"
            )
        if len(summaries) > 1:
            print(f"{each}:")
        print("\n".join([*_reasons(summary), f"accepted {summary.accepted}, rejected {summary.rejected}"]))


def _reasons(summary: "IngestSummary") -> Iterator[str]:
    """A line for each reason: count, part of all that was read, meaning; then one for each flag of the records."""
    from fragmodel.data.validate import HARMLESS, REASONS

    width = max((len(reason) for reason in summary.reasons), default=0)
    for reason, count in summary.reasons.items():
        part = count / (summary.accepted + summary.rejected)
        note = " (no fault of the file)" if reason in HARMLESS else ""
        yield f"rejected as {reason:{width}}  {count:6,}  {part:6.1%}  {REASONS[reason]}{note}"
    for flag, count in summary.flags.most_common():
        yield f"noted as {flag}: {count:,} of {summary.records:,} records"
