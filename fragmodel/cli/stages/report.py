"""Stage of rules/report.smk: the page."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app
from fragmodel.cli.stages import PANEL


@app.command(rich_help_panel=PANEL)
def report(
    records: Annotated[
        list[Path], typer.Argument(help="Records of all splits, `…/data/NAME/TASK/SPLIT.parquet`.")
    ],
    rejects: Annotated[
        Path, typer.Option(help="Folder of the tables of rejects, laid out as that of the records.")
    ],
    metrics: Annotated[Path, typer.Option(help="Metrics of all data sets.")],
    scored: Annotated[list[Path], typer.Option(help="Scored records of a data set; repeat for several.")],
    leakage: Annotated[Path, typer.Option(help="The audit's JSON.")],
    model: Annotated[Path, typer.Option(help="Folder of the model.")],
    encoder: Annotated[Path, typer.Option(help="Folder of the encoder.")],
    decoder: Annotated[Path, typer.Option(help="Folder of the decoder.")],
    config: Annotated[str, typer.Option(help="The config of the run as JSON.")],
    output: Annotated[Path, typer.Option(help="The page.")],
    figures: Annotated[Path, typer.Option(help="Folder of its figures.")],
    tables: Annotated[Path, typer.Option(help="Folder of its tables.")],
    training_log: Annotated[
        Path | None, typer.Option(help="Log of the training, where there was one.")
    ] = None,
    alignment_log: Annotated[
        Path | None, typer.Option(help="Log of the alignment, where there was one.")
    ] = None,
    alignment_metrics: Annotated[Path | None, typer.Option(help="Metrics of the alignment.")] = None,
    benchmarks: Annotated[Path | None, typer.Option(help="Folder of the benchmarks of the jobs.")] = None,
) -> None:
    """Make the report of a run from its files."""
    import json

    from fragmodel.model.sources import describe_run
    from fragmodel.report.page import make_report
    from fragmodel.workflow.environment import describe_making, recorded_packages

    settings = json.loads(config)
    run = describe_run(settings, encoder=encoder, decoder=decoder, model=model)
    run |= {"packages": recorded_packages(output.parent), **describe_making(output.parent)}
    make_report(
        records=records,
        rejects=[rejects.joinpath(*path.parts[-3:]) for path in records],
        training_log=training_log,
        metrics=metrics,
        scored=scored,
        leakage=leakage,
        output=output,
        figures_dir=figures,
        tables_dir=tables,
        title=settings["report"]["title"],
        examples=settings["report"]["examples"],
        run=run,
        alignment=(alignment_log, alignment_metrics) if alignment_log and alignment_metrics else None,
        benchmarks=benchmarks,
    )


@app.command(rich_help_panel=PANEL)
def report_experiment(
    experiment: Annotated[
        str,
        typer.Option(help="JSON: `runs` (variant, seed and files of each), `reference`, `changes`, `title`."),
    ],
    output: Annotated[Path, typer.Option(help="The page.")],
    figures: Annotated[Path, typer.Option(help="Folder of its figures.")],
    tables: Annotated[Path, typer.Option(help="Folder of its tables.")],
    identity_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Records below this identity to training are clean.")
    ] = 0.3,
) -> None:
    """Make the page that compares the variants of an experiment."""
    import json

    from fragmodel.report.experiment import RunFiles, make_experiment_page

    known = json.loads(experiment)
    files = ("page", "metrics", "scored", "leakage", "training_log")
    make_experiment_page(
        [
            RunFiles(**run | {name: Path(run[name]) for name in files if run[name] is not None})
            for run in known["runs"]
        ],
        reference=known["reference"],
        changes=known["changes"],
        threshold=identity_threshold,
        title=known["title"],
        output=output,
        figures_dir=figures,
        tables_dir=tables,
    )
