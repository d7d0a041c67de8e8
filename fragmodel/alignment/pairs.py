"""The pairs that are aligned: a protein and its function text, a fragment and its description."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch.nn.utils.rnn import pad_sequence

from fragmodel.embeddings.store import EmbeddingStore
from fragmodel.tables import RECORDS, iter_columns
from fragmodel.vocabulary import DESCRIBING_TASKS, Span

Kind = Literal["protein", "fragment"]
KINDS: dict[str, Kind] = dict(zip(DESCRIBING_TASKS, ("protein", "fragment"), strict=True))
Item = tuple[str, Span | None]  # window and place in it; None: the whole of it


@dataclass(frozen=True, slots=True)
class Batch:
    """Encoder states of some items: ``states [n, rows, dim]``, ``mask [n, rows]`` (bool), ``places [n, 2]`` or None.

    Proteins have all rows of their window. Fragments have their residues alone behind one row that nothing reads,
    since the modality adapter takes each residue by itself; ``places`` says so to the fragment adapter.
    """

    states: torch.Tensor
    mask: torch.Tensor
    places: torch.Tensor | None

    def to(self, device: torch.device | str) -> "Batch":
        """The same on another device."""
        places = None if self.places is None else self.places.to(device)
        return Batch(self.states.to(device), self.mask.to(device), places)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of one kind, each once."""

    kind: Kind
    items: list[Item]
    texts: list[str]

    def __len__(self) -> int:
        return len(self.items)

    def rows(self, index: int) -> int:
        """Rows of states that the item's adapters work on."""
        sequence, place = self.items[index]
        return len(sequence) + 2 if place is None else place.length + 1

    def batch(self, indices: Sequence[int], store: EmbeddingStore) -> Batch:
        """States of the items at ``indices`` from the store of encoder states."""
        blocks = [_states(self.items[index], store) for index in indices]
        mask = pad_sequence([torch.ones(len(block), dtype=torch.bool) for block in blocks], batch_first=True)
        places = None
        if self.kind == "fragment":
            places = torch.tensor([[0, len(block) - 1] for block in blocks])
        return Batch(pad_sequence(blocks, batch_first=True), mask, places)


def read_pairs(records: Sequence[Path]) -> list[Pairs]:
    """Pairs of the RECORDS tables of describing tasks, at most one :class:`Pairs` a kind; other tasks have none.

    A pair that several data sets hold counts once.
    """
    found: dict[Kind, dict[tuple[Item, str], None]] = {kind: {} for kind in KINDS.values()}
    for path in records:
        columns = ["task_type", "sequence", "position_ref", "answer"]
        for task, sequence, place, answer in iter_columns(path, RECORDS, columns):
            if kind := KINDS.get(task):
                found[kind][(sequence, place if kind == "fragment" else None), answer] = None
    return [
        Pairs(kind, [item for item, _ in pairs], [text for _, text in pairs])
        for kind, pairs in found.items()
        if pairs
    ]


def _states(item: Item, store: EmbeddingStore) -> torch.Tensor:
    sequence, place = item
    states = store.view(sequence)
    return states if place is None else states[place.start : place.end + 1]  # residue i is row i + 1
