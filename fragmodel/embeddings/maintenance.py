"""Care of a store: what it holds, whether its bytes are whole, and what can go."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import time

from fragmodel.embeddings.shards import (
    DATA_SUFFIX,
    ShardFile,
    damage,
    find_shards,
    read_index,
    remove_shard,
)
from fragmodel.embeddings.store import (
    DESCRIPTION,
    EmbeddingStore,
    list_fingerprints,
    read_description,
    write_description,
)
from fragmodel.errors import UserError
from fragmodel.files import PART_SUFFIX


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Size of one fingerprint's folder."""

    fingerprint: str
    encoder: str
    layer: int
    dtype: str
    dim: int
    shards: int
    sequences: int  # unique ones
    residues: int
    size: int  # bytes of data and index files


def store_stats(root: Path) -> list[StoreStats]:
    """Sizes of every fingerprint's folder. Damaged shards are not counted (see :func:`verify`)."""
    return [_stats(root / fingerprint) for fingerprint in _fingerprints(root)]


def verify(root: Path) -> Iterator[tuple[Path, str, ShardFile | None]]:
    """Read every byte of a store; yield (folder, message, shard) for each fault, shard None for `store.json`."""
    for fingerprint in _fingerprints(root):
        folder = root / fingerprint
        try:
            read_description(folder)
        except UserError as error:
            yield folder, str(error), None
        for shard in find_shards(folder):
            if fault := damage(shard):
                yield folder, fault, shard


def hand_on(store: EmbeddingStore, sequences: Iterable[str], root: Path) -> None:
    """Make ``root`` a store of the shards that hold ``sequences``: hard links, or copies on another file system."""
    files = {store.place(sequence).file for sequence in sequences}
    folder = root / store.fingerprint
    write_description(folder, store.description)
    for shard in find_shards(store.folder):
        if shard.data.name in files:
            for path in (shard.data, shard.index):  # in this order: data without an index is not read
                (folder / path.name).unlink(missing_ok=True)
                try:
                    (folder / path.name).hardlink_to(path)
                except OSError:
                    shutil.copy(path, folder / path.name)


def collect_garbage(root: Path, *, older_than: float = 3600.0) -> list[Path]:
    """Delete what no reader uses and return it: leftovers of killed writers, and shards held twice.

    Leftovers (temporary files, data without an index) younger than ``older_than`` seconds may belong to a writer
    at work and stay. A shard goes when other shards hold all of its sequences.
    """
    removed: list[Path] = []
    for fingerprint in _fingerprints(root):
        folder = root / fingerprint
        committed = {shard.data for shard in find_shards(folder)}
        for path in sorted(folder.iterdir()):
            leftover = path.suffix == PART_SUFFIX or (path.suffix == DATA_SUFFIX and path not in committed)
            if leftover and time() - path.stat().st_mtime >= older_than:
                path.unlink()
                removed.append(path)
        for shard in _redundant(folder):
            remove_shard(shard)
            removed += [shard.index, shard.data]
    return removed


def remove_fingerprint(root: Path, fingerprint: str) -> None:
    """Delete all states of one encoder, layer and dtype. Raises :class:`UserError` when there are none."""
    if fingerprint not in _fingerprints(root):
        raise UserError(
            f"{root}: no store with the fingerprint {fingerprint}; see `fragmodel store ls {root}`"
        )
    # The description first: without it the folder is no store, whatever happens to the rest.
    (root / fingerprint / DESCRIPTION).unlink()
    shutil.rmtree(root / fingerprint)


def _redundant(folder: Path) -> list[ShardFile]:
    holders: dict[str, int] = {}
    keys: list[tuple[ShardFile, list[str]]] = []
    for shard in find_shards(folder):
        if damage(shard) is None:
            keys.append((shard, read_index(shard)["key"].to_pylist()))
            for key in keys[-1][1]:
                holders[key] = holders.get(key, 0) + 1
    redundant = []
    # From the back: readers take a key from the first shard that holds it.
    for shard, held in reversed(keys):
        if all(holders[key] > 1 for key in held):
            redundant.append(shard)
            for key in held:
                holders[key] -= 1
    return redundant


def _stats(folder: Path) -> StoreStats:
    about = read_description(folder)
    lengths: dict[str, int] = {}
    shards = size = 0
    for shard in find_shards(folder):
        try:
            index = read_index(shard)
        except UserError:
            continue
        lengths.update(zip(index["key"].to_pylist(), index["length"].to_pylist(), strict=True))
        shards += 1
        size += shard.data.stat().st_size + shard.index.stat().st_size
    return StoreStats(
        folder.name,
        about["encoder"],
        about["layer"],
        about["dtype"],
        about["dim"],
        shards,
        len(lengths),
        sum(lengths.values()),
        size,
    )


def _fingerprints(root: Path) -> list[str]:
    found = list_fingerprints(root)
    if not found:
        raise UserError(f"{root}: no embedding store; fill one with `fragmodel embed`")
    return found
