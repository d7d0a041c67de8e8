"""How a command loads a trained model and asks it: the options that `predict` and `serve` share."""

from typing import Annotated

import typer

Constrained = Annotated[
    bool, typer.Option("--constrained/--free", help="Answer by what is valid alone, or by any text.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
DecoderDtype = Annotated[
    str | None,
    typer.Option(help="Number format of the decoder: float32 or bfloat16. Default: as trained."),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Questions that are answered at once.")]
Window = Annotated[
    int | None, typer.Option(min=1, help="Residues of the longest window. Default: as trained.")
]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="Longest answer.")]
StoredDtype = Annotated[str, typer.Option(help="The run's embeddings.dtype: bfloat16, float32 or int8.")]
