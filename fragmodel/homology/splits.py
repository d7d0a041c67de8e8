"""Splits for proteins that have none: relatives stay together."""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from fragmodel import tables
from fragmodel.config.datasets import DatasetConfig
from fragmodel.data.readers import open_sources
from fragmodel.data.records import Conversation, Protein
from fragmodel.data.validate import Invalid, check, clean_sequence
from fragmodel.errors import UserError
from fragmodel.files import file_digest, text_digest
from fragmodel.homology.clusters import NOTHING, Cluster, Name, Published, cluster_relatives
from fragmodel.homology.search import tool
from fragmodel.homology.stretches import stretches
from fragmodel.versions import SEARCH, versions_of
from fragmodel.vocabulary import SPLITS, Span, told_family

logger = logging.getLogger(__name__)

SHARES = dict(zip(SPLITS, (0.8, 0.1, 0.1), strict=True))  # of the proteins of each data set


def split_by_cluster(
    sequences: Mapping[Name, str],
    fragments: Mapping[Name, Collection[str]] | None = None,
    *,
    identity: Mapping[str, float],
    published: Published = NOTHING,
    shares: Mapping[str, float] = SHARES,
    seed: int = 1,
    threads: int = 1,
) -> dict[Name, str]:
    """Deal proteins to the splits so that no two relatives stand in different ones, by protein or by fragment.

    Clusters are those of :func:`~fragmodel.homology.clusters.cluster_relatives`, so no pair that the search finds
    crosses a split. ``published`` are proteins and fragments whose split is given: a cluster with relatives
    among them goes to their split, to the last of ``shares`` where they stand in several, so that a published test
    set gets no relative in training. The other clusters go, the largest first and equals in an order drawn by
    ``seed``, to the split that is furthest below its share of the cluster's data sets. Returns name → split, in the
    order of ``sequences``.

    A cluster with more of a data set's proteins than training should get is told in the log.

    Raises :class:`UserError` when a data set of several proteins is one cluster that nothing published binds.
    """
    clusters = cluster_relatives(
        sequences, fragments, identity=identity, published=published, threads=threads
    )
    order = list(shares)
    sizes = Counter(name.data_name for name in sequences)
    _check_sizes(clusters, sizes, identity, shares[order[0]])
    dealt: dict[tuple[str, str], float] = defaultdict(float)  # part of a data set in a split
    split_of: dict[Name, str] = {}
    for members, bound in sorted(
        clusters, key=lambda c: (not c.published, -len(c.members), text_digest(str(seed), *c.members[0]))
    ):
        counts = Counter(name.data_name for name in members)
        parts = {data_name: count / sizes[data_name] for data_name, count in counts.items()}
        lacks = {
            split: sum(part * (share - dealt[data_name, split]) for data_name, part in parts.items())
            for split, share in shares.items()
        }
        split = max(bound, key=order.index) if bound else max(lacks, key=lacks.__getitem__)
        for data_name, part in parts.items():
            dealt[data_name, split] += part
        split_of.update(dict.fromkeys(members, split))
    return {name: split_of[name] for name in sequences}


def _check_sizes(
    clusters: Iterable[Cluster], sizes: Mapping[str, int], identity: Mapping[str, float], share: float
) -> None:
    """Tell of, or refuse, a cluster that leaves too little to the other splits; ``share`` is that of training."""
    for members, bound in clusters:
        for data_name, count in Counter(name.data_name for name in members).items():
            size, limit = sizes[data_name], identity[data_name]
            remedy = f"raise datasets.{data_name}.split_identity, or name files for train, valid and test"
            if count == size > 1 and not bound:
                raise UserError(
                    f"datasets.{data_name}: by_cluster has nothing to deal: its {size} proteins are one cluster of "
                    f"relatives (by protein or by fragment) at identity {limit:g}; {remedy}"
                )
            if count > share * size and size > 1:
                logger.warning(
                    "datasets.%s: one cluster of relatives (by protein or by fragment, identity %g) holds %d of %d "
                    "proteins and stays in one split: the shares of the splits cannot be kept; %s",
                    data_name, limit, count, size, remedy,
                )  # fmt: skip


def assign_splits(
    datasets: Mapping[str, DatasetConfig], *, output: Path, seed: int = 1, threads: int = 1
) -> dict[str, dict[str, int]]:
    """Deal the proteins of all data sets with `split: by_cluster` together; writes the table SPLIT_ASSIGNMENT.

    Proteins of the other data sets keep their splits, and their relatives follow them. Returns the number of proteins
    by data set and split. A record whose uid or sequence cannot be used is not in the table; `ingest` rejects it in
    the training split.
    """
    sequences: dict[Name, str] = {}
    fragments: dict[Name, set[str]] = {}
    published = Published({}, {})
    inputs: list[str] = []
    for data_name, dataset in datasets.items():
        for split in SPLITS:
            for uid, sequence, pieces in _proteins(dataset, data_name, split, inputs):
                if dataset.split == "by_cluster":
                    name = Name(data_name, uid)
                    sequences.setdefault(name, sequence)
                    fragments.setdefault(name, set()).update(pieces)
                    continue
                # The later split wins, as among relatives, whichever data set comes first.
                for known, texts in zip(published, ((sequence,), pieces), strict=True):
                    for text in texts:
                        known[text] = max(split, known.get(text, split), key=SPLITS.index)
    identity = {name: dataset.split_identity for name, dataset in datasets.items()}
    split_of = split_by_cluster(
        sequences, fragments, identity=identity, published=published, seed=seed, threads=threads
    )
    rows = ({**name._asdict(), "split": split} for name, split in sorted(split_of.items()))
    dealing = {name: identity[name] for name in identity if datasets[name].split == "by_cluster"}
    metadata = {
        "inputs": inputs,
        "identity": dealing,
        "seed": seed,
        "environment": versions_of(SEARCH),
        "method": tool(),
    }
    tables.write_table(output, tables.SPLIT_ASSIGNMENT, rows, metadata)
    counts = Counter((name.data_name, split) for name, split in split_of.items())
    return {name: {split: counts[name, split] for split in SPLITS} for name in dealing}


def _proteins(
    dataset: DatasetConfig, data_name: str, split: str, inputs: list[str]
) -> Iterator[tuple[str, str, set[str]]]:
    """Usable uids, sequences and fragments of a split's raw files, whose digests are added to ``inputs``."""
    raw: Sequence[str] = getattr(dataset, split)
    sources = open_sources(
        [Path(path) for path in raw],
        format=dataset.format,
        family=dataset.family or told_family(data_name) or "fragment",
        split=split,
    )
    inputs += [file_digest(path) for source in sources for path in source.inputs]
    for source in sources:
        for record in source.read():
            try:
                sequence = clean_sequence(record.sequence)[0]
            except Invalid:
                continue
            if record.uid:
                yield record.uid, sequence, stretches(sequence, _spans(record, len(sequence)))


def _spans(record: Protein | Conversation, length: int) -> list[Span]:
    """Places of the fragments that ingestion keeps."""
    if isinstance(record, Protein):
        return [fragment.span for fragment in check(record)[0].fragments]
    spans = record.spans(referring=True) + record.spans(referring=False)
    return [span for span in spans if 0 <= span.start < span.end <= length]
