"""Stages of rules/evaluation.smk: answers of the model and of the baselines; `fragmodel score` scores them."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app
from fragmodel.cli.stages import PANEL

Store = Annotated[Path | None, typer.Option(help="Store of encoder states.")]
Manifests = Annotated[
    list[Path] | None, typer.Option("--manifest", help="What the embedding jobs wrote; repeat for several.")
]


@app.command(rich_help_panel=PANEL)
def generate(
    records: Annotated[list[Path], typer.Argument(help="Records to answer.")],
    model: Annotated[Path, typer.Option(help="Folder of the trained model.")],
    output: Annotated[Path, typer.Option(help="Table of the answers.")],
    store: Store = None,
    manifest: Manifests = None,
    check_encoder: Annotated[
        Path | None,
        typer.Option(help="Folder of the encoder that made the store; the model must have the same."),
    ] = None,
    constrained: Annotated[
        bool, typer.Option("--constrained/--free", help="Answer by what is valid alone.")
    ] = True,
    classes: Annotated[
        str, typer.Option(help="Classes of answers: closed (those of training) or open.")
    ] = "closed",
    without_evidence: Annotated[
        bool, typer.Option("--without-evidence", help="Ask as if no relative were known, as another system.")
    ] = False,
    candidates: Annotated[int, typer.Option(min=1, help="Ranked answers to keep; 1 keeps none.")] = 1,
    place_draws: Annotated[
        int, typer.Option(min=0, help="Answers about places that are drawn where none is likely.")
    ] = 16,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 128,
    batch_size: Annotated[int, typer.Option(min=1, help="Records answered together.")] = 32,
    shard: Annotated[int, typer.Option(min=0, help="The part that is answered, counted from 0.")] = 0,
    shards: Annotated[int, typer.Option(min=1, help="Parts among which the batches are dealt.")] = 1,
    at_most: Annotated[
        int | None,
        typer.Option(min=1, help="Records of each data set and task, spread evenly. Default: all."),
    ] = None,
) -> None:
    """Answer records with a trained model."""
    from fragmodel.embeddings.manifest import embedded
    from fragmodel.evaluation.generate import generate as run

    with embedded(manifest or [], store) as fingerprint:
        run(
            model,
            records,
            output,
            store=store,
            encoder=check_encoder,
            fingerprint=fingerprint,
            constrained=constrained,
            classes="open" if classes == "open" else "closed",
            without_evidence=without_evidence,
            candidates=candidates,
            place_draws=place_draws,
            max_new_tokens=max_new_tokens,
            batch_size=batch_size,
            shard=shard,
            shards=shards,
            at_most=at_most,
        )


@app.command(rich_help_panel=PANEL)
def calibrate(
    answers: Annotated[Path, typer.Argument(help="The model's answers to validation records.")],
    records: Annotated[list[Path], typer.Option(help="These records; repeat for several tables.")],
    output: Annotated[Path, typer.Option(help="The calibration as JSON.")],
    train: Annotated[
        list[Path] | None, typer.Option(help="Records of training: the known classes; repeat for several.")
    ] = None,
) -> None:
    """Learn from a model's answers how often it is right when it is so sure."""
    from fragmodel.evaluation.calibrate import calibrate as run

    for task, curve in run(answers, records, output, train=train or []).curves.items():
        print(f"{task}: {curve.method}, {curve.right} of {curve.outcomes} right")


@app.command(rich_help_panel=PANEL)
def baselines(
    train: Annotated[list[Path], typer.Option(help="Records of training; repeat for several tables.")],
    test: Annotated[list[Path], typer.Option(help="Records to answer; repeat for several tables.")],
    output: Annotated[Path, typer.Option(help="Table of the answers.")],
    name: Annotated[list[str] | None, typer.Option(help="A baseline; repeat for several.")] = None,
    store: Store = None,
    manifest: Manifests = None,
    seed: Annotated[int, typer.Option(help="Seed of random answers.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the search for relatives.")] = 1,
    annotations: Annotated[
        list[str] | None, typer.Option(help="A file of a system: NAME=PATH; repeat for several.")
    ] = None,
) -> None:
    """Answer records with systems that need no language model."""
    from fragmodel.embeddings.manifest import embedded
    from fragmodel.errors import UserError
    from fragmodel.evaluation.baselines import run_baselines

    files: dict[str, list[Path]] = {}
    for text in annotations or []:
        system, equals, path = text.partition("=")
        if not (system and equals and path):
            raise UserError(f"--annotations {text}: expected NAME=PATH")
        files.setdefault(system, []).append(Path(path))
    with embedded(manifest or [], store) as fingerprint:
        run_baselines(
            train,
            test,
            names=name or [],
            store=store,
            fingerprint=fingerprint,
            output=output,
            seed=seed,
            threads=threads,
            annotations=files,
        )
