"""What an embedding job says that it has made sure of."""

from collections.abc import Iterable
from pathlib import Path

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
