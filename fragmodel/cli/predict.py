"""`fragmodel predict`: annotations and texts for new proteins."""

from enum import StrEnum
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


class PredictTask(StrEnum):
    """Tasks that can be asked of new proteins."""

    referring_desc = "referring_desc"
    referring_class = "referring_class"
    grounding_single = "grounding_single"
    grounding_group = "grounding_group"
    function = "function"


class OutputFormat(StrEnum):
    """Formats of the results."""

    gff3 = "gff3"
    bed = "bed"
    jsonl = "jsonl"
    tsv = "tsv"


@app.command()
def predict(
    model: Annotated[
        Path, typer.Option(help="Model folder: of a run (results/training/model), exported or merged.")
    ],
    fasta: Annotated[Path, typer.Option(help="Proteins: FASTA, also gzip-compressed; - for standard input.")],
    task: Annotated[PredictTask, typer.Option(help="What to ask.")],
    output: Annotated[
        Path, typer.Option(help="Results; the suffix tells the format; - for standard output.")
    ],
    fragments: Annotated[
        list[str] | None,
        typer.Option(
            help="Referring tasks: id:start-end (from 1, end included), or a file of such lines, BED or GFF3."
        ),
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="grounding_single: a class to find; repeat for several.")
    ] = None,
    family: Annotated[
        list[str] | None,
        typer.Option(
            help="Kind of fragment: domain, 'active site', 'binding site', 'conserved site' or motif. Default: "
            "those of the training data (referring: the first of them)."
        ),
    ] = None,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Grounding tasks: leave out places of less confidence.")
    ] = 0.0,
    candidates: Annotated[
        int,
        typer.Option(
            min=1, help="Ranked answers to keep beside each valid one, in JSON Lines; 1 keeps none."
        ),
    ] = 1,
    constrained: Constrained = True,
    file_format: Annotated[
        OutputFormat | None, typer.Option("--format", help="Instead of the output's suffix.")
    ] = None,
    device: Device = "auto",
    dtype: DecoderDtype = None,
    batch_size: BatchSize = 8,
    window: Window = None,
    max_new_tokens: MaxNewTokens = 256,
    stored_dtype: StoredDtype = "bfloat16",
) -> None:
    """Ask a trained model about the proteins of a FASTA file.

    Grounding tasks write GFF3, BED, TSV or JSON Lines; referring tasks and `function` TSV or JSON Lines. An interrupted
    command goes on where it ended when it is given again. Exit status: 0 done, 2 a mistake in the input (one line on
    standard error tells it), 130 interrupted.
    """
    import sys

    from fragmodel.embeddings.shards import check_dtype
    from fragmodel.prediction.model import FragModel
    from fragmodel.prediction.provenance import calibration_of
    from fragmodel.prediction.run import make_task
    from fragmodel.prediction.run import predict as run

    hush()
    check_dtype(stored_dtype)
    settings = {
        "dtype": dtype,
        "window": window,
        "max_new_tokens": max_new_tokens,
        "stored_dtype": stored_dtype,
        "constrained": constrained,
        "candidates": candidates,
    }

    def load() -> FragModel:
        return FragModel.load(model, device=device, batch_size=batch_size, **settings)

    try:
        counts = run(
            load,
            model,
            fasta,
            make_task(task.value, name or [], family or [], fragments or [], min_confidence),
            output,
            file_format=file_format and file_format.value,
            settings=settings,
        )
    except KeyboardInterrupt:
        print("fragmodel: interrupted; the same command goes on where this one ended", file=sys.stderr)
        raise typer.Exit(130) from None
    done = f"{counts['proteins']} proteins ({counts['resumed']} done before), {counts['found']} results"
    if task in (PredictTask.grounding_single, PredictTask.grounding_group):
        done += f", {counts['unreadable']} answers without a readable place"
        if min_confidence:
            done += f", {counts['left_out']} places left out (--min-confidence {min_confidence:g})"
    if constrained and task not in (PredictTask.referring_desc, PredictTask.function):
        calibration = calibration_of(model)
        calibrated = calibration is not None and calibration.calibrates(task.value)
        done += f"; confidences are {'' if calibrated else 'not '}calibrated"
    print(done, file=sys.stderr)
