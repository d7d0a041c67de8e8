"""Clusters of proteins: connected components of the pairs of relatives."""

from collections import defaultdict
from collections.abc import Mapping
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


def cluster_relatives(
    sequences: Mapping[Name, str],
    *,
    identity: Mapping[str, float],
    published: Mapping[str, str],
    threads: int = 1,
) -> list[Cluster]:
    """Clusters of ``sequences``, in the order of their first members there.

    Two proteins are joined when they have the same uid, or are relatives (:func:`~fragmodel.homology.search.relatives`)
    of at least the lower ``identity`` of their two data sets. ``published`` (sequence → split) joins nothing: a
    published protein may be related to two clusters.

    Raises :class:`UserError` when MMseqs2 fails.
    """
    same_sequence: dict[str, list[Name]] = {}
    same_uid: dict[str, list[Name]] = {}
    for name, sequence in sequences.items():
        same_sequence.setdefault(sequence, []).append(name)
        same_uid.setdefault(name.uid, []).append(name)
    joined = DisjointSet(sequences)
    for first, *others in (*same_sequence.values(), *same_uid.values()):
        for other in others:
            joined.merge(first, other)

    queries = list(same_sequence)
    targets = [*queries, *(sequence for sequence in published if sequence not in same_sequence)]
    firsts = [names[0] for names in same_sequence.values()]
    limits = [min(identity[name.data_name] for name in names) for names in same_sequence.values()]
    splits: dict[Name, set[str]] = defaultdict(set)
    # Pairs are joined as the search finds them, since there may be very many.
    for hit in relatives(queries, targets, threads=threads):
        limit, sequence = limits[hit.query], targets[hit.target]
        if sequence in same_sequence and hit.identity >= min(limit, limits[hit.target]):
            joined.merge(firsts[hit.query], firsts[hit.target])
        if sequence in published and hit.identity >= limit:
            splits[firsts[hit.query]].add(published[sequence])
    return [
        Cluster(sorted(members), set().union(*(splits[name] for name in members if name in splits)))
        for members in joined.subsets()
    ]
