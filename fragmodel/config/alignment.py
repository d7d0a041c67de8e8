"""Section of the optional alignment before training."""

from typing import Annotated, Literal

from pydantic import Field

from fragmodel.config.section import Folder, Pooling, Positive
from fragmodel.config.training import LearningConfig


class AlignmentConfig(LearningConfig):
    """Stage 1, optional: contrastive alignment of the adapters with the text of descriptions, before training."""

    enabled: bool = False
    """Align first and start training from the aligned adapters. Takes the records of the tasks `function` (protein \
and function text) and `referring_desc` (fragment and description)."""
    layer: int | None = None
    """Decoder layer whose states stand for a text: 0 the token embeddings, -1 the last after its norm; without a \
number the middle one (16 of 32 in Prot2Text-V2)."""
    pooling: Pooling = "mean_std"
    """How states become one vector: `mean`, `mean_std` (mean and standard deviation, as Prot2Text-V2) or \
`segment_means` (means of consecutive parts)."""
    segments: Positive = 4
    """Parts of `segment_means`."""
    store: Folder | None = None
    """Folder of the text vectors, which many runs may share; `texts` in `results` unless given."""
    max_text_tokens: Positive = 512
    """Tokens of a description that are read."""
    text_batch_size: Positive = 16
    """Descriptions in one pass through the frozen decoder."""
    epochs: Annotated[float, Field(gt=0)] = 10.0
    """Passes over the pairs."""
    temperature: Annotated[float, Field(ge=0.01, le=10)] = 0.05
    """Temperature of the loss at the start; it is learnt."""
    batch_size: Annotated[int, Field(ge=2)] = 256
    """Pairs of one optimiser step over all processes: each is a negative of all others."""
    chunk_size: Positive = 32
    """Pairs whose activations a process holds at once; changes memory and time, not the result."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of the forward passes (mixed precision)."""
    checkpoint_steps: Positive = 50
    """Steps between checkpoints; each also tells loss and recall in validation."""
