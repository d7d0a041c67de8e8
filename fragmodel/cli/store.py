"""`fragmodel store`: look after an embedding store."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app

commands = typer.Typer(help="Look after an embedding store.", no_args_is_help=True)
app.add_typer(commands, name="store")

Root = Annotated[Path, typer.Argument(metavar="STORE", help="Folder of the store.")]


@commands.command()
def ls(root: Root) -> None:
    """List the fingerprints: encoder, layer, dtype and number of sequences of each."""
    from fragmodel.embeddings.maintenance import store_stats

    for stats in store_stats(root):
        print(
            f"{stats.fingerprint}  {stats.encoder}  layer {stats.layer}  {stats.dtype}  {stats.sequences} sequences"
        )


@commands.command()
def stats(root: Root) -> None:
    """Print sizes as JSON."""
    import json
    from dataclasses import asdict

    from fragmodel.embeddings.maintenance import store_stats

    print(json.dumps([asdict(item) for item in store_stats(root)], indent=2))


@commands.command()
def verify(
    root: Root,
    remove: Annotated[
        bool, typer.Option("--remove", help="Delete damaged shards; the next `embed` rebuilds them alone.")
    ] = False,
) -> None:
    """Read every byte; name what is damaged and exit with status 1 if anything is."""
    from fragmodel.embeddings.maintenance import verify as find_faults
    from fragmodel.embeddings.shards import remove_shard

    faults = 0
    for _, message, shard in find_faults(root):
        faults += 1
        if remove and shard is not None:
            remove_shard(shard)
            message += " (removed)"
        print(message)
    print(f"{faults} faults" if faults else "whole")
    if faults:
        raise typer.Exit(1)


@commands.command()
def gc(
    root: Root,
    fingerprint: Annotated[
        str | None, typer.Option(help="Also delete all states of this fingerprint.")
    ] = None,
    hours: Annotated[
        float, typer.Option(min=0, help="Leave leftovers that are younger: a writer may be at work.")
    ] = 1.0,
) -> None:
    """Delete leftovers of killed writers and shards whose sequences are all held twice."""
    from fragmodel.embeddings.maintenance import collect_garbage, remove_fingerprint

    if fingerprint:
        remove_fingerprint(root, fingerprint)
        print(f"removed {root / fingerprint}")
        if not any(root.glob("*/store.json")):
            return
    for path in collect_garbage(root, older_than=hours * 3600):
        print(f"removed {path}")
