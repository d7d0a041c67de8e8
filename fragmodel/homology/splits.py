"""Splits for proteins that have none: relatives stay together."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fragmodel import tables
from fragmodel.config.datasets import DatasetConfig
from fragmodel.data.readers import open_sources
from fragmodel.data.validate import Invalid, clean_sequence
from fragmodel.files import file_digest, text_digest
from fragmodel.homology.relatives import method, search
from fragmodel.vocabulary import SPLITS

SHARES = dict(zip(SPLITS, (0.8, 0.1, 0.1), strict=True))  # of the proteins of each data set


class Name(NamedTuple):
    """A protein of a data set."""

    data_name: str
    uid: str


def split_by_cluster(
    sequences: Mapping[Name, str],
    *,
    identity: Mapping[str, float],
    published: Mapping[str, str] | None = None,
    shares: Mapping[str, float] = SHARES,
    seed: int = 1,
    threads: int = 1,
) -> dict[Name, str]:
    """Deal proteins to the splits so that no two relatives stand in different ones.

    Relatives are pairs of at least the lower ``identity`` of their two data sets (see
    :mod:`fragmodel.homology.relatives`), and proteins of one uid among those dealt; clusters are the connected
    components of these pairs, so no pair that the search finds crosses a split. ``published`` (sequence → split) are
    proteins whose split is given: a cluster with relatives among them goes to their split, to the last of ``shares``
    where they stand in several, so that a published test set gets no relative in training. The other clusters go, the
    largest first and equals in an order drawn by ``seed``, to the split that is furthest below its share of the
    cluster's data sets. Returns name → split, in the order of ``sequences``.
    """
    clusters, bound = _cluster(sequences, identity, published or {}, list(shares), threads)
    sizes = Counter(name.data_name for name in sequences)
    dealt: dict[tuple[str, str], float] = defaultdict(float)  # part of a data set in a split
    split_of: dict[Name, str] = {}
    for first in sorted(
        clusters, key=lambda c: (c not in bound, -len(clusters[c]), text_digest(str(seed), *c))
    ):
        counts = Counter(name.data_name for name in clusters[first])
        parts = {data_name: count / sizes[data_name] for data_name, count in counts.items()}
        lacks = {
            split: sum(part * (share - dealt[data_name, split]) for data_name, part in parts.items())
            for split, share in shares.items()
        }
        split = bound.get(first) or max(lacks, key=lacks.__getitem__)
        for data_name, part in parts.items():
            dealt[data_name, split] += part
        split_of.update(dict.fromkeys(clusters[first], split))
    return {name: split_of[name] for name in sequences}


def _cluster(
    sequences: Mapping[Name, str],
    identity: Mapping[str, float],
    published: Mapping[str, str],
    order: Sequence[str],
    threads: int,
) -> tuple[dict[Name, list[Name]], dict[Name, str]]:
    """Connected components by their first member, and the splits of those that have published relatives.

    Pairs are joined as the search finds them, since there may be very many.
    """
    parent = {name: name for name in sequences}

    def root(name: Name) -> Name:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    def join(one: Name, other: Name) -> None:
        first, second = sorted((root(one), root(other)))
        parent[second] = first

    same_uid: dict[str, Name] = {}
    for name in sequences:
        join(name, same_uid.setdefault(name.uid, name))
    targets: dict[Name | str, str] = {**sequences, **{sequence: sequence for sequence in published}}
    of_relatives: dict[Name, str] = {}
    for hit in search(sequences, targets, method=method(), threads=threads):
        limits = [identity[name.data_name] for name in (hit.query, hit.target) if isinstance(name, Name)]
        if hit.identity < min(limits):
            continue
        if isinstance(hit.target, Name):
            join(hit.query, hit.target)
        else:
            split = published[hit.target]
            of_relatives[hit.query] = max(split, of_relatives.get(hit.query, split), key=order.index)
    clusters: dict[Name, list[Name]] = {}
    for name in sequences:
        clusters.setdefault(root(name), []).append(name)
    bound: dict[Name, str] = {}
    for name, split in of_relatives.items():
        bound[root(name)] = max(split, bound.get(root(name), split), key=order.index)
    return clusters, bound


def assign_splits(
    datasets: Mapping[str, DatasetConfig], *, output: Path, seed: int = 1, threads: int = 1
) -> dict[str, dict[str, int]]:
    """Deal the proteins of all data sets with `split: by_cluster` together; writes the table SPLIT_ASSIGNMENT.

    Proteins of the other data sets keep their splits, and their relatives follow them. Returns the number of proteins
    by data set and split. A record whose uid or sequence cannot be used is not in the table; `ingest` rejects it in
    the training split.
    """
    sequences: dict[Name, str] = {}
    published: dict[str, str] = {}
    inputs: list[str] = []
    for data_name, dataset in datasets.items():
        for split in SPLITS:
            for uid, sequence in _proteins(dataset, data_name, split, inputs):
                if dataset.split == "by_cluster":
                    sequences.setdefault(Name(data_name, uid), sequence)
                else:  # the later split wins, as among relatives, whichever data set comes first
                    published[sequence] = max(split, published.get(sequence, split), key=SPLITS.index)
    identity = {name: dataset.split_identity for name, dataset in datasets.items()}
    split_of = split_by_cluster(sequences, identity=identity, published=published, seed=seed, threads=threads)
    rows = ({**name._asdict(), "split": split} for name, split in sorted(split_of.items()))
    dealing = {name: identity[name] for name in identity if datasets[name].split == "by_cluster"}
    metadata = {"inputs": inputs, "identity": dealing, "seed": seed, "method": method()}
    tables.write_table(output, tables.SPLIT_ASSIGNMENT, rows, metadata)
    counts = Counter((name.data_name, split) for name, split in split_of.items())
    return {name: {split: counts[name, split] for split in SPLITS} for name in dealing}


def _proteins(
    dataset: DatasetConfig, data_name: str, split: str, inputs: list[str]
) -> Iterator[tuple[str, str]]:
    """Usable uids and sequences of a split's raw files, whose digests are added to ``inputs``."""
    raw: Sequence[str] = getattr(dataset, split)
    sources = open_sources(
        [Path(path) for path in raw], format=dataset.format, family="fragment", split=split
    )
    inputs += [file_digest(path) for source in sources for path in source.inputs]
    for source in sources:
        for record in source.read():
            try:
                sequence = clean_sequence(record.sequence)[0]
            except Invalid:
                continue
            if record.uid:
                yield record.uid, sequence
