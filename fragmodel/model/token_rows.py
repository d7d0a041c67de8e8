"""Embeddings and head of a vocabulary of which only a few rows are trained.

``peft`` puts the trained rows into a copy of the whole matrix at every call, and its gradient has the size of the
matrix too. Here the frozen matrix is used as it is, and the trained rows beside it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def token_rows(layer: nn.Module) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Frozen weight ``[vocabulary, dim]`` of an embedding or head, and ids ``[k]`` and values ``[k, dim]`` of the rows
    that are trained in its place; None where there are none.
    """
    adapter = getattr(layer, "token_adapter", None)
    if adapter is None:
        return layer.weight, None, None
    weight = adapter.base_layer.weight
    if adapter.merged or adapter.disable_adapters:
        return weight, None, None
    (name,) = adapter.active_adapters
    ids = torch.tensor(adapter.token_indices[name], device=weight.device)
    return weight, ids, adapter.trainable_tokens_delta[name]


def embed_tokens(input_ids: Tensor, weight: Tensor, ids: Tensor | None, rows: Tensor | None) -> Tensor:
    """``[..., dim]`` rows of ``weight`` for ``input_ids``, with ``rows`` in place of those named by ``ids``."""
    embeddings = F.embedding(input_ids, weight)
    if ids is None or rows is None:
        return embeddings
    found = input_ids[..., None] == ids
    chosen = F.embedding(found.long().argmax(-1), rows.to(weight.dtype))
    return torch.where(found.any(-1, keepdim=True), chosen, embeddings)
