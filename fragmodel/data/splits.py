"""Relatedness of test and training proteins, and splits without it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fragmodel import tables
from fragmodel.config import SPLITS
from fragmodel.data.readers import open_sources
from fragmodel.data.relatives import method, search
from fragmodel.data.validate import Invalid, clean_sequence
from fragmodel.files import file_digest, text_digest, write_text

_NOTES = {
    "mmseqs2": "MMseqs2 easy-search; the alignment covers at least half of the shorter sequence.",
    "built-in": "Built-in fallback, because mmseqs is not installed: shared 5-mers choose candidates, a local "
    "alignment measures them. It misses distant relatives; install mmseqs2 for comparable numbers.",
}

SHARES = dict(zip(SPLITS, (0.8, 0.1, 0.1), strict=True))  # of the proteins, where splits are dealt


def audit_leakage(
    train: Sequence[Path],
    test: Sequence[Path],
    *,
    thresholds: Sequence[float],
    json_output: Path,
    table_output: Path,
    threads: int = 1,
) -> dict[str, Any]:
    """How closely the test proteins are related to the training proteins, in all data sets together.

    ``train`` and ``test`` are records tables. A protein is compared by the windows that the records show. The
    table (contract LEAKAGE) has the highest identity for each test record; the JSON, which is also returned,
    counts for each data set, task and threshold the test proteins with a relative of at least that identity:

        {"method", "note", "thresholds", "train_sequences", "test_sequences",
         "datasets": {data_name: {task_type: {"proteins": int, "relatives": {"0.9": int, …}}}}}

    Raises :class:`UserError` for a file that is no records table, and when MMseqs2 fails.
    """
    columns = ["record_id", "uid", "data_name", "task_type", "sequence"]
    known = {
        row["sequence"] for path in train for row in tables.read_rows(path, tables.RECORDS, ["sequence"])
    }
    asked = [row for path in test for row in tables.read_rows(path, tables.RECORDS, columns)]
    queries = sorted({row["sequence"] for row in asked})
    used = method()
    best = dict.fromkeys(queries, 0.0)
    # Sequences stand for themselves as names: equal ones are searched once.
    for hit in search(_named(queries), _named(sorted(known)), method=used, threads=threads):
        best[hit.query] = max(best[hit.query], hit.identity)
    counts: dict[str, dict[str, dict[str, float]]] = {}  # data set → task → uid → highest identity
    for row in asked:
        proteins = counts.setdefault(row["data_name"], {}).setdefault(row["task_type"], {})
        proteins[row["uid"]] = max(proteins.get(row["uid"], 0.0), best[row["sequence"]])
    summary = {
        "method": used,
        "note": _NOTES[used],
        "thresholds": list(thresholds),
        "train_sequences": len(known),
        "test_sequences": len(queries),
        "datasets": {
            name: {
                task: {
                    "proteins": len(proteins),
                    "relatives": {
                        str(limit): sum(identity >= limit for identity in proteins.values())
                        for limit in thresholds
                    },
                }
                for task, proteins in sorted(tasks.items())
            }
            for name, tasks in sorted(counts.items())
        },
    }
    rows = [
        {**{c: row[c] for c in columns if c != "sequence"}, "identity": best[row["sequence"]]}
        for row in asked
    ]
    inputs = {
        kind: [file_digest(path) for path in paths] for kind, paths in (("train", train), ("test", test))
    }
    tables.write_table(table_output, tables.LEAKAGE, rows, {"inputs": inputs, "method": used})
    write_text(json_output, json.dumps(summary, indent=2) + "\n")
    return summary


def split_by_cluster(
    sequences: Mapping[str, str],
    *,
    identity: float = 0.3,
    fractions: Mapping[str, float] | None = None,
    seed: int = 1,
    threads: int = 1,
) -> dict[str, str]:
    """Deal proteins (uid → sequence) to the splits so that no two relatives stand in different ones.

    Relatives are pairs of at least ``identity`` (see :mod:`fragmodel.data.relatives`); clusters are the
    connected components of these pairs, so no pair that the search finds crosses a split. Clusters go, the
    largest first and equals in an order drawn by ``seed``, to the split that is furthest below its share
    (``fractions``, by default :data:`SHARES`). Returns uid → split, in the order of
    ``sequences``.
    """
    shares = dict(SHARES if fractions is None else fractions)
    parent = {uid: uid for uid in sequences}

    def root(uid: str) -> str:
        while parent[uid] != uid:
            parent[uid] = uid = parent[parent[uid]]
        return uid

    for hit in search(sequences, sequences, method=method(), threads=threads):
        if hit.identity >= identity:
            first, second = sorted((root(hit.query), root(hit.target)))
            parent[second] = first
    clusters: dict[str, list[str]] = {}
    for uid in sequences:
        clusters.setdefault(root(uid), []).append(uid)
    order = sorted(clusters, key=lambda name: (-len(clusters[name]), text_digest(str(seed), name)))
    dealt = dict.fromkeys(shares, 0)
    split_of: dict[str, str] = {}
    for name in order:
        split = max(shares, key=lambda split: shares[split] * len(sequences) - dealt[split])
        dealt[split] += len(clusters[name])
        split_of.update(dict.fromkeys(clusters[name], split))
    return {uid: split_of[uid] for uid in sequences}


def assign_splits(
    raw: Sequence[Path],
    *,
    data_name: str,
    output: Path,
    format: str = "auto",
    identity: float = 0.3,
    seed: int = 1,
    threads: int = 1,
) -> dict[str, int]:
    """Deal the proteins of raw files without published splits; writes the table SPLIT_ASSIGNMENT for `ingest`.

    Returns the number of proteins in each split. A record whose uid or sequence cannot be used is not in the
    table; `ingest` rejects it in the training split.
    """
    sequences: dict[str, str] = {}
    sources = open_sources(raw, format=format, data_name=data_name, split="train")
    for source in sources:
        for record in source.read():
            try:
                sequences.setdefault(record.uid, clean_sequence(record.sequence)[0])
            except Invalid:
                continue
    sequences.pop("", None)
    split_of = split_by_cluster(sequences, identity=identity, seed=seed, threads=threads)
    rows = ({"uid": uid, "split": split} for uid, split in sorted(split_of.items()))
    metadata = {
        "inputs": [file_digest(path) for source in sources for path in source.inputs],
        "identity": identity,
        "seed": seed,
        "method": method(),
    }
    tables.write_table(output, tables.SPLIT_ASSIGNMENT, rows, metadata)
    return {split: sum(name == split for name in split_of.values()) for split in SPLITS}


def _named(sequences: Iterable[str]) -> dict[str, str]:
    return {sequence: sequence for sequence in sequences}
