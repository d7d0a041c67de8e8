"""Clusters of proteins: connected components of the pairs of relatives."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Set
from typing import NamedTuple

from scipy.cluster.hierarchy import DisjointSet

from fragmodel.homology.search import relatives


class Name(NamedTuple):
    """A protein of a data set."""

    data_name: str
    uid: str


class Cluster(NamedTuple):
    """Proteins that belong together, sorted, and the splits of the published proteins related to any of them."""

    members: list[Name]
    published: set[str]


class Published(NamedTuple):
    """What has a split already: sequence → split, and fragment → split."""

    proteins: Mapping[str, str] = {}
    fragments: Mapping[str, str] = {}


NOTHING = Published()


def cluster_relatives(
    sequences: Mapping[Name, str],
    fragments: Mapping[Name, Collection[str]] | None = None,
    *,
    identity: Mapping[str, float],
    published: Published = NOTHING,
    threads: int = 1,
) -> list[Cluster]:
    """Clusters of ``sequences``, in the order of their first members there.

    Two proteins are joined when they have the same uid, or when what the audit compares is related
    (:func:`~fragmodel.homology.search.relatives`) by at least the lower ``identity`` of their two data sets: the
    proteins, or a fragment of one and the other protein or a fragment of it. ``fragments`` are those of
    :func:`~fragmodel.homology.stretches.stretches`. What is ``published`` joins nothing: a published protein may be
    related to two clusters.

    Raises :class:`UserError` when MMseqs2 fails.
    """
    joined = DisjointSet(sequences)
    same_uid: dict[str, Name] = {}
    for name in sequences:
        joined.merge(same_uid.setdefault(name.uid, name), name)
    owners: dict[str, Name] = {}  # of a protein or a fragment: the first that has it
    limits: dict[str, float] = {}
    for name, sequence in sequences.items():
        for text in (sequence, *(fragments or {}).get(name, ())):
            joined.merge(owners.setdefault(text, name), name)
            limits[text] = min(identity[name.data_name], limits.get(text, 1.0))

    splits: dict[Name, set[str]] = defaultdict(set)
    pieces = {text for found in (fragments or {}).values() for text in found}
    # Pairs are joined as the search finds them, since there may be very many.
    for one, other, found in _pairs(set(sequences.values()), pieces, published, threads):
        limit = min(limits.get(one, 1.0), limits.get(other, 1.0))
        if found < limit:
            continue
        if one in owners and other in owners:
            joined.merge(owners[one], owners[other])
        for mine, theirs in ((one, other), (other, one)):
            if mine in owners and found >= limits[mine]:
                splits[owners[mine]] |= {known[theirs] for known in published if theirs in known}
    return [
        Cluster(sorted(members), set().union(*(splits[name] for name in members if name in splits)))
        for members in joined.subsets()
    ]


def _pairs(
    proteins: Set[str], fragments: Set[str], published: Published, threads: int
) -> Iterator[tuple[str, str, float]]:
    """Related texts, at least one of which is to be dealt, and their identity."""
    queries = sorted(proteins)
    targets = [*queries, *sorted(published.proteins.keys() - proteins)]
    for hit in relatives(queries, targets, threads=threads):
        yield queries[hit.query], targets[hit.target], hit.identity
    dealt = proteins | fragments
    queries = sorted(fragments | published.fragments.keys())
    targets = sorted(dealt | published.proteins.keys() | published.fragments.keys())
    for hit in relatives(queries, targets, threads=threads):
        one, other = queries[hit.query], targets[hit.target]
        if one in dealt or other in dealt:
            yield one, other, hit.identity
