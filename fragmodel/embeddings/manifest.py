"""What an embedding job says that it has made sure of, and what becomes of that when the store is damaged."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fragmodel.embeddings.store import EmbeddingStore
from fragmodel.errors import UserError
from fragmodel.tables import EMBEDDED, read_table


def fingerprint_of(manifests: Iterable[str | Path]) -> str:
    """The one store fingerprint that all manifests name. Raises :class:`UserError` for none or several."""
    found = set()
    for path in manifests:
        found |= set(read_table(path, EMBEDDED, ["fingerprint"])["fingerprint"].unique().to_pylist())
    if len(found) != 1:
        raise UserError(
            f"the embedding manifests name {len(found)} stores; embed all windows with one encoder"
        )
    return found.pop()


@contextmanager
def embedded(manifests: Sequence[Path], store: Path | None) -> Iterator[str | None]:
    """Yield the fingerprint of the states that the block reads; None without a ``store``.

    Where the block fails and the store has lost some of what a manifest promises, this manifest is removed: the next
    run of the workflow makes it again, and for it embeds what is missing, nothing else.
    """
    if store is None:
        yield None
        return
    fingerprint = fingerprint_of(manifests)
    try:
        yield fingerprint
    except Exception as error:
        broken = {path: count for path in manifests if (count := lost(path, store))}
        if not broken:
            raise
        for path in broken:
            path.unlink(missing_ok=True)
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"{said[-1]}; {store} has lost the states of {sum(broken.values())} sequences: start again, the workflow "
            f"embeds these alone (removed {', '.join(map(str, broken))})"
        ) from error


def lost(manifest: Path, store: Path) -> int:
    """How many sequences of a manifest the store has no more."""
    rows = read_table(manifest, EMBEDDED, ["key", "fingerprint"])
    keys = rows["key"].to_pylist()
    if not keys:
        return 0
    try:
        with warnings.catch_warnings(action="ignore"):
            return EmbeddingStore(store, rows["fingerprint"][0].as_py()).lacking(keys)
    except UserError:  # no description, or a damaged one
        return len(keys)
