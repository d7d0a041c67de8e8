"""`fragmodel plan`: what a run will need, before it starts."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app, hush


@app.command()
def plan(
    config: Annotated[Path, typer.Option(help="Config of the run.")] = Path("config.yaml"),
    proteins: Annotated[
        int | None, typer.Option(min=1, help="Windows to embed, in place of counting the raw files.")
    ] = None,
    mean_length: Annotated[
        float | None, typer.Option(min=1, help="Their mean length in residues; with --proteins.")
    ] = None,
    records: Annotated[
        int | None,
        typer.Option(
            min=1, help="Records of all splits; default: one for each protein and task; with --proteins."
        ),
    ] = None,
    tflops: Annotated[
        float,
        typer.Option(min=0.001, help="What a card sustains, in 10^12 operations a second (A100: about 125)."),
    ] = 125.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, sizes in bytes.")] = False,
) -> None:
    """Estimate GPU memory by part, the cheapest setting for 16 to 80 GB cards, disk and GPU hours of a run.

    Of an experiment, its runs one by one and their sum, with what they share counted once.

    Nothing is run or fetched: the models' shapes come from the config, a folder or their published names.
    """
    import json

    from fragmodel.config.variants import load_runs
    from fragmodel.errors import UserError
    from fragmodel.planning.data import count, given

    runs = load_runs(config)
    hush()
    if (proteins is None) != (mean_length is None):
        raise UserError("--proteins and --mean-length go together")
    if records is not None and proteins is None:
        raise UserError("--records needs --proteins and --mean-length")
    from fragmodel.planning.experiment import add_up, sum_as_text
    from fragmodel.planning.plan import make_plan
    from fragmodel.planning.shapes import decoder_shape, encoder_shape
    from fragmodel.planning.text import as_text

    sizes, plans = {}, []
    for run in (each.config for each in runs):
        # Runs with the same data are counted once.
        data = json.dumps([run.model_dump(include={"datasets", "ingest"}), run.training.max_text_tokens])
        if data not in sizes:
            sizes[data] = (
                count(run, Path.cwd())
                if proteins is None
                else given(run, proteins=proteins, mean_length=mean_length, records=records)
            )
        shapes = encoder_shape(run.models), decoder_shape(run.models)
        plans.append(make_plan(run, *shapes, sizes[data], tflops=tflops))
    if len(runs) > 1:
        summed = add_up(runs, plans)
        print(json.dumps(summed.as_dict(), indent=2) if as_json else "\n".join(sum_as_text(summed)))
    elif as_json:
        print(json.dumps(plans[0].as_dict(), indent=2))
    else:
        print("\n".join(as_text(plans[0], runs[0].config)))
