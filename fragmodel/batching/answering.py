"""Answers of a model to a batch of prompts."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from fragmodel.batching.packing import PackedCollator, micro_batches
from fragmodel.model.decoding import greedy

READ_AT_ONCE = 4096  # prompt tokens


def greedy_answers(
    model: nn.Module, items: Sequence[dict[str, Any]], *, end: int, max_new_tokens: int
) -> list[list[int]]:
    """Greedy answers, in the order of ``items`` (prompts as :class:`fragmodel.batching.dataset.FragRefDataset` gives
    them). The end-of-turn token ``end`` is left out: an answer of ``max_new_tokens`` tokens was cut.
    """
    batch = {name: values.to(model.device) for name, values in PackedCollator()(items).items()}
    parts = micro_batches(batch, READ_AT_ONCE)
    return greedy(model, parts, max_new_tokens=max_new_tokens, end_ids=[end])
