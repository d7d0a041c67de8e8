"""The embedding store: frozen encoder states of whole sequences, found by the sequence alone.

A store's root holds a folder for each fingerprint (encoder weights, layer, stored dtype; see
:func:`fragmodel.embeddings.encoders.encoder_fingerprint`) with a ``store.json`` and any number of shards
(:mod:`fragmodel.embeddings.shards`).
"""

import json
import mmap
import warnings
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from fragmodel.digests import is_checked
from fragmodel.embeddings.shards import (
    ShardFile,
    block_of,
    damage,
    decode_states,
    find_shards,
    map_tensors,
    read_ahead,
    read_index,
    remove_shard,
    word_sum,
)
from fragmodel.errors import UserError
from fragmodel.files import text_digest, write_text

DESCRIPTION = "store.json"


def sequence_key(sequence: str) -> str:
    """32 hex digits that name a sequence in every store."""
    return text_digest(sequence)


class MissingEmbeddingError(UserError, KeyError):
    """The store has no states of a sequence."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


class DamagedEmbeddingError(UserError):
    """The bytes of a sequence's states are not those that were written."""

    def __init__(self, message: str) -> None:
        # A loader's worker process hands the error on with its traceback before it.
        super().__init__(message.rpartition(f"{type(self).__name__}: ")[2].strip())


class Place(NamedTuple):
    """Where a sequence's states lie."""

    file: str  # name of the shard's data file
    first_row: int
    length: int  # residues; the block has length + 2 rows


class EmbeddingStore:
    """Read access to the states of one fingerprint.

    ``root`` is the store's folder, or a folder of stores that jobs handed on. Without a ``fingerprint`` the only one
    there is used; with several, a :class:`UserError` lists them. Shards are memory-mapped when first read, so that any
    number of processes share one copy in the page cache; a pickled store holds only its path and reopens lazily.
    Sequences that are added later are seen by a newly opened store. Damaged indexes and cut shards are left out with a
    warning (and are in ``damaged``): their sequences count as missing. States are checked when they are first read; a
    damaged shard is removed then, so that its sequences are missing from there on, and
    :class:`DamagedEmbeddingError` raised.
    """

    def __init__(self, root: str | Path, fingerprint: str | None = None) -> None:
        self.root = Path(root)
        self.fingerprint = fingerprint or _only_fingerprint(self.root)
        self.folder = self.root / self.fingerprint
        handed_on = sorted(self.root.glob(f"*/{self.fingerprint}/{DESCRIPTION}"))
        self.folders = [self.folder] if self.folder.is_dir() else [path.parent for path in handed_on]
        self.description = read_description((self.folders or [self.folder])[0])
        self._opened = False

    @property
    def dim(self) -> int:
        """Width of the encoder's states."""
        return self.description["dim"]

    @property
    def dtype(self) -> str:
        """Stored number format: bfloat16, float32 or int8."""
        return self.description["dtype"]

    def get(self, sequence: str) -> torch.Tensor:
        """States of ``sequence``: float32 ``[residues + 2, dim]``, row 0 is BOS and the last row EOS.

        Raises :class:`MissingEmbeddingError` when the store does not have them.
        """
        return decode_states(self._block(sequence))

    def view(self, sequence: str) -> torch.Tensor:
        """As :meth:`get`, in the stored dtype and without a copy: rows of the memory-mapped shard.

        For code that copies the rows anyway, such as padding into a batch. Writing to the tensor changes this
        process's pages only, never the file. int8 is decoded to float32, which makes a copy.
        """
        block = self._block(sequence)
        return decode_states(block) if "scales" in block else block["states"]

    def read_ahead(self, sequences: Iterable[str]) -> None:
        """Let the system fetch the states of all ``sequences`` at once, before they are read one by one."""
        for row in map(self._row, sequences):
            with suppress(DamagedEmbeddingError):  # said when it is read
                if row is not None:
                    read_ahead(self._mapped(row))
                    self._asked_for.add(row)

    def close(self) -> None:
        """Unmap the shards; they are mapped again when next read."""
        if self._opened:
            self._tensors = [None] * len(self._shards)

    def __contains__(self, sequence: str) -> bool:
        return self._row(sequence) is not None

    def __len__(self) -> int:
        self._open()
        return len(self._keys)

    def place(self, sequence: str) -> Place:
        """Where the states of ``sequence`` lie. Raises ``KeyError`` when the store does not have them."""
        row = self._row(sequence)
        if row is None:
            raise KeyError(sequence_key(sequence))
        shard = self._shards[self._shard_of[row]]
        return Place(shard.data.name, int(self._first_rows[row]), int(self._lengths[row]))

    def missing(self, sequences: Iterable[str]) -> list[str]:
        """The sequences that the store does not have, each once, in order of appearance."""
        return [sequence for sequence in dict.fromkeys(sequences) if sequence not in self]

    def lacking(self, keys: Iterable[str]) -> int:
        """How many sequences, named by their keys, the store does not have."""
        self._open()
        return int((~np.isin(np.array(list(keys), dtype="S32"), self._keys)).sum())

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "fingerprint": self.fingerprint}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["root"], state["fingerprint"])

    def _block(self, sequence: str) -> dict[str, torch.Tensor]:
        row = self._row(sequence)
        if row is None:
            start = sequence[:12] + ("…" if len(sequence) > 12 else "")
            raise MissingEmbeddingError(
                f"{self.folder}: no embedding of the sequence {start} ({len(sequence)} residues, key "
                f"{sequence_key(sequence)}); add it with `fragmodel embed FILE --encoder ENCODER --store {self.root}`"
            )
        block = self._mapped(row)
        if row not in self._asked_for:
            read_ahead(block)
        self._asked_for.discard(row)
        if self._unchecked[row]:
            if word_sum(block) != self._words[row]:
                raise self._given_up(self._shards[self._shard_of[row]])
            self._unchecked[row] = False
        return block

    def _mapped(self, row: int) -> dict[str, torch.Tensor]:
        shard = self._shard_of[row]
        if self._tensors[shard] is None:
            try:
                self._tensors[shard] = map_tensors(self._shards[shard].data)
            except Exception:  # the bytes of the header decide which
                raise self._given_up(self._shards[shard]) from None
        return block_of(self._tensors[shard], int(self._first_rows[row]), int(self._lengths[row]))

    def _given_up(self, shard: ShardFile) -> DamagedEmbeddingError:
        """Remove a shard whose damage a second look confirms, and say so."""
        told = damage(shard)
        if told is None:
            return DamagedEmbeddingError(
                f"{shard.data}: is whole, but came damaged into memory; is that sound?"
            )
        try:
            remove_shard(shard)
            advice = "it was removed"
        except OSError as error:
            advice = f"cannot be removed ({error.strerror}): `fragmodel store verify {self.root} --remove`"
        return DamagedEmbeddingError(f"{told}; {advice}; embed its sequences again")

    def _row(self, sequence: str) -> int | None:
        self._open()
        key = sequence_key(sequence).encode()
        row = int(np.searchsorted(self._keys, key))
        return row if row < len(self._keys) and self._keys[row] == key else None

    def _open(self) -> None:
        """Read all indexes into flat sorted arrays: 57 bytes a sequence, shared by forked processes."""
        if self._opened:
            return
        self._shards: list[ShardFile] = []
        self.damaged: list[ShardFile] = []
        columns: dict[str, list[np.ndarray]] = {"key": [], "first_row": [], "length": [], "shard": []}
        columns |= {"words": [], "unchecked": []}
        for shard in (shard for folder in self.folders for shard in find_shards(folder)):
            try:
                index = read_index(shard)
            except UserError as error:
                self.damaged.append(shard)
                warnings.warn(f"left out: {error}; run `fragmodel store verify {self.root}`", stacklevel=3)
                continue
            columns["key"].append(np.array(index["key"].to_pylist(), dtype="S32"))
            columns["first_row"].append(index["first_row"].to_numpy())
            columns["length"].append(index["length"].to_numpy())
            columns["shard"].append(np.full(len(index), len(self._shards), dtype=np.int32))
            summed = is_checked() and "words" in index.column_names  # earlier versions had no sums
            columns["words"].append(index["words" if summed else "first_row"].to_numpy().astype(np.uint64))
            columns["unchecked"].append(np.full(len(index), summed))
            self._shards.append(shard)
        keys = np.concatenate([np.empty(0, dtype="S32"), *columns["key"]])
        # np.unique gives for each key its first row: the same shard for every reader.
        self._keys, order = np.unique(keys, return_index=True)
        self._first_rows = np.concatenate([np.empty(0, dtype=np.int64), *columns["first_row"]])[order]
        self._lengths = np.concatenate([np.empty(0, dtype=np.int32), *columns["length"]])[order]
        self._shard_of = np.concatenate([np.empty(0, dtype=np.int32), *columns["shard"]])[order]
        self._words = np.concatenate([np.empty(0, dtype=np.uint64), *columns["words"]])[order]
        # Shared with the processes that loaders fork: what one has checked, the others need not.
        self._unchecked = np.frombuffer(mmap.mmap(-1, max(len(order), 1)), dtype=bool)[: len(order)]
        self._unchecked[:] = np.concatenate([np.empty(0, dtype=bool), *columns["unchecked"]])[order]
        self._tensors: list[dict[str, torch.Tensor] | None] = [None] * len(self._shards)
        self._asked_for: set[int] = set()  # blocks that were read ahead and not read yet
        self._opened = True


def list_fingerprints(root: str | Path) -> list[str]:
    """Fingerprints that have a folder under ``root``, sorted."""
    return sorted(path.parent.name for path in Path(root).glob(f"*/{DESCRIPTION}"))


def describe(
    fingerprint: str, *, encoder: str, weights: str, layer: int, dtype: str, dim: int
) -> dict[str, Any]:
    """Content of a ``store.json``."""
    return {
        "contract": "embedding_store",
        "contract_version": 1,
        "dim": dim,
        "dtype": dtype,
        "encoder": encoder,
        "fingerprint": fingerprint,
        "layer": layer,
        "versions": {name: version(name) for name in ("fragmodel", "torch", "transformers", "safetensors")},
        "weights": weights,
    }


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write a folder's ``store.json``, sealed with a checksum, when it has none or a damaged one."""
    try:
        read_description(folder)
    except UserError:
        write_text(folder / DESCRIPTION, _sealed(description))


def read_description(folder: Path) -> dict[str, Any]:
    """Content of a ``store.json``. Raises :class:`UserError` when it is missing or any byte of it was changed."""
    path = folder / DESCRIPTION
    try:
        text = path.read_text(encoding="utf-8")
        description = json.loads(text)
        description.pop("checksum")
    except FileNotFoundError:
        raise UserError(f"{folder}: no embedding store; fill one with `fragmodel embed`") from None
    except (ValueError, KeyError, AttributeError, TypeError):
        text, description = "", {}
    if text != _sealed(description):
        raise UserError(f"{path}: damaged; the next `fragmodel embed` with the same encoder writes it anew")
    return description


def _sealed(description: dict[str, Any]) -> str:
    checksum = text_digest(json.dumps(description, sort_keys=True))
    return json.dumps({**description, "checksum": checksum}, indent=2, sort_keys=True) + "\n"


def _only_fingerprint(root: Path) -> str:
    found = list_fingerprints(root)
    if not found:
        raise UserError(f"{root}: no embedding store; fill one with `fragmodel embed`")
    if len(found) > 1:
        about = {name: read_description(root / name) for name in found}
        lines = [f"  {name}  {a['encoder']}, layer {a['layer']}, {a['dtype']}" for name, a in about.items()]
        raise UserError("\n".join([f"{root}: holds several embedding stores; name one fingerprint:", *lines]))
    return found[0]
