"""`fragmodel score`: metrics of predictions, ours or anybody's."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app


@app.command()
def score(
    predictions: Annotated[
        list[Path], typer.Argument(help="Parquet or CSV files with at least record_id and text.")
    ],
    references: Annotated[
        list[Path], typer.Option(help="Ingested records that were asked; repeat for several files.")
    ],
    output: Annotated[Path, typer.Option(help="Metrics as JSON.")],
    task: Annotated[str | None, typer.Option(help="Score this task type only.")] = None,
    table: Annotated[Path | None, typer.Option(help="Also write a Parquet row for each record.")] = None,
    train: Annotated[
        list[Path] | None,
        typer.Option(help="Ingested training records: known classes and their descriptions, for retrieval."),
    ] = None,
    leakage: Annotated[
        Path | None, typer.Option(help="The audit's table: adds the metrics by identity to training.")
    ] = None,
    identity_threshold: Annotated[
        float,
        typer.Option(
            help="Records below this identity to training, by protein and fragment, are the clean part."
        ),
    ] = 0.3,
    clean_only: Annotated[bool, typer.Option(help="Score the clean part only.")] = False,
    bootstrap_samples: Annotated[
        int, typer.Option(min=0, help="Resamples of the 95 % intervals; 0 leaves them out.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.")] = 1,
    similarity: Annotated[
        bool, typer.Option(help="Sentence-embedding similarity and retrieval (all-MiniLM-L6-v2).")
    ] = True,
    calibration: Annotated[
        Path | None, typer.Option(help="A run's calibration.json: calibrates the model's confidences.")
    ] = None,
    bertscore: Annotated[
        Path | None, typer.Option(help="Folder of a transformers encoder: adds BERTScore with it.")
    ] = None,
) -> None:
    """Score predictions against ingested records."""
    from fragmodel.errors import UserError
    from fragmodel.evaluation.claims import by_data_set
    from fragmodel.evaluation.metrics.semantic import minilm
    from fragmodel.evaluation.score import score as run
    from fragmodel.vocabulary import TASK_TYPES

    if task is not None and task not in TASK_TYPES:
        raise UserError(f"--task {task}: unknown task type; one of {', '.join(TASK_TYPES)}")
    result = run(
        predictions,
        references,
        metrics_output=output,
        table_output=table,
        leakage=leakage,
        train=train or [],
        bootstrap_samples=bootstrap_samples,
        seed=seed,
        identity_threshold=identity_threshold,
        clean_only=clean_only,
        task=task,
        encode=minilm if similarity else None,
        bertscore=bertscore,
        calibration=calibration,
    )
    for data_name, tasks in by_data_set(result).items():
        for task_type, summary in tasks.items():
            missing = sum(summary["missing"].values())
            print(f"{data_name} {task_type}: {summary['n']} records, {missing} missing predictions")
