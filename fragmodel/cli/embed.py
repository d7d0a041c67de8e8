"""`fragmodel embed`: put the states of sequences into a store."""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli.app import app


@app.command()
def embed(
    input_file: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Parquet with a `sequence` column, or FASTA.")
    ],
    encoder: Annotated[
        str, typer.Option(help="fair-esm .pt file or model name, transformers folder, or hub id.")
    ],
    store: Annotated[Path, typer.Option(help="Folder of the store.")],
    dtype: Annotated[str, typer.Option(help="Stored number format: bfloat16, float32 or int8.")] = "bfloat16",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    layer: Annotated[int, typer.Option(help="Encoder layer; -1 is the last, after its layer norm.")] = -1,
    compute_dtype: Annotated[
        str, typer.Option(help="Number format of the forward pass: float32 or bfloat16.")
    ] = "float32",
    tokens_per_batch: Annotated[
        int, typer.Option(min=0, help="Residues in one forward pass. 0: 4096 on a CPU, 16384 on a GPU.")
    ] = 0,
    manifest: Annotated[
        Path | None,
        typer.Option(
            help="INPUT is a table of windows; write where the states of each lie. The workflow does so."
        ),
    ] = None,
    states: Annotated[
        Path | None,
        typer.Option(help="With --manifest: a folder for a store of these windows alone, to hand on."),
    ] = None,
    shard: Annotated[
        int, typer.Option(min=0, help="With --manifest: the part to embed, counted from 0.")
    ] = 0,
    shards: Annotated[
        int, typer.Option(min=1, help="With --manifest: parts among which the windows are dealt.")
    ] = 1,
) -> None:
    """Embed the sequences of INPUT that the store lacks."""
    from fragmodel.embeddings.extract import embed_sequences, embed_windows
    from fragmodel.embeddings.sequences import read_sequences

    options = {
        "encoder": encoder,
        "store": store,
        "dtype": dtype,
        "layer": layer,
        "compute_dtype": compute_dtype,
        "device": device,
        "tokens_per_batch": tokens_per_batch,
    }
    if manifest:
        parts = {"shard": shard, "shards": shards}
        summary = embed_windows(input_file, manifest=manifest, states=states, **parts, **options)
    else:
        summary = embed_sequences(read_sequences(input_file), **options)
    print(
        f"embedded {summary.embedded}, already there {summary.requested - summary.embedded}, "
        f"fingerprint {summary.fingerprint}"
    )
