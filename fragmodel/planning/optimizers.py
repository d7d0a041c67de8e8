"""What each optimizer keeps of a trained weight between two steps."""

import math
from typing import NamedTuple

# Of bitsandbytes: smaller tensors keep states of 32 bits, larger ones a float32 for each block.
_SMALLEST, _BLOCK = 4096, 256


class States(NamedTuple):
    """Numbers kept for each weight, their bits, and whether they may lie in the host's memory."""

    moments: int
    bits: int = 32
    paged: bool = False


ADAMW = "adamw_torch_fused"  # transformers' default
STATES = {
    ADAMW: States(2),
    "adamw_torch": States(2),
    "adamw_bnb_8bit": States(2, 8),
    "adamw_8bit": States(2, 8),
    "paged_adamw_32bit": States(2, 32, paged=True),
    "paged_adamw_8bit": States(2, 8, paged=True),
    "lion_32bit": States(1),
    "lion_8bit": States(1, 8),
    "paged_lion_32bit": States(1, 32, paged=True),
    "paged_lion_8bit": States(1, 8, paged=True),
    "ademamix": States(3),
    "ademamix_8bit": States(3, 8),
    "paged_ademamix_32bit": States(3, 32, paged=True),
    "paged_ademamix_8bit": States(3, 8, paged=True),
    "rmsprop": States(1),
    "rmsprop_bnb": States(1),
    "rmsprop_bnb_8bit": States(1, 8),
    "rmsprop_bnb_32bit": States(1),
    "adagrad": States(1),
    "sgd": States(0),
}


def states_of(optimizer: str) -> States:
    """By the name that ``--optim`` takes. One that is not listed is counted as AdamW."""
    return STATES.get(optimizer, STATES[ADAMW])


def state_bytes(optimizer: str, weights: int) -> int:
    """Bytes kept for a tensor of so many float32 ``weights``, wherever they lie."""
    moments, bits, _ = states_of(optimizer)
    if bits == 8 and weights >= _SMALLEST:
        return moments * (weights + 4 * math.ceil(weights / _BLOCK))
    return 4 * moments * weights
