"""Relatedness of test records to training: of their proteins, and of the fragments that they ask about."""

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

from fragmodel import tables
from fragmodel.digests import write_noted
from fragmodel.files import file_digest
from fragmodel.homology.search import BIOPYTHON, MMSEQS, relatives, tool
from fragmodel.homology.stretches import stretches
from fragmodel.versions import SEARCH, versions_of

_NOTES = {
    MMSEQS: "MMseqs2 easy-search; the alignment covers at least half of the shorter sequence.",
    BIOPYTHON: "Fallback with Biopython, because mmseqs is not installed: shared 4-residue words choose candidates, a "
    "local alignment measures them. It misses distant relatives; install mmseqs2 for comparable numbers.",
}


_COLUMNS = ("record_id", "uid", "data_name", "task_type", "sequence", "position_ref", "position_grd")


class _Asked(NamedTuple):
    """What the audit needs of a record."""

    record_id: str
    uid: str
    data_name: str
    task_type: str
    sequence: str
    fragments: set[str]  # asked about, with the flanks of sites


def audit_leakage(
    train: Sequence[Path],
    test: Sequence[Path],
    *,
    thresholds: Sequence[float],
    json_output: Path,
    table_output: Path,
    threads: int = 1,
) -> dict[str, Any]:
    """How closely the test records are related to the training proteins, in all data sets together.

    ``train`` and ``test`` are records tables. Two things are compared: the protein, by the window that the record
    shows, with the windows of training; and each fragment asked about (:func:`~fragmodel.homology.stretches.stretches`)
    with the windows and the fragments of training. The table (contract LEAKAGE) has the highest identity of both for
    each test record. The JSON, which is also returned, counts for each data set, task and threshold the test proteins
    with a relative of at least that identity, the records with a relative of a fragment, and the records that are
    below it by both:

        {"method", "note", "thresholds", "train_sequences", "test_sequences",
         "datasets": {data_name: {task_type: {"proteins": int, "relatives": {"0.9": int, …},
                                              "records": int, "fragment_relatives": {…}, "clean": {…}}}}}

    Raises :class:`UserError` for a file that is no records table, and when MMseqs2 fails.
    """
    windows: set[str] = set()
    fragments: set[str] = set()
    for record in _records(train):
        windows.add(record.sequence)
        fragments |= record.fragments
    asked = list(_records(test))
    queries = {record.sequence for record in asked}
    used = tool()
    nearest = _nearest(queries, windows, threads)
    nearest_of_fragment = _nearest(
        set().union(*(record.fragments for record in asked)), windows | fragments, threads
    )
    identities = [
        (nearest[r.sequence], max((nearest_of_fragment[f] for f in r.fragments), default=None)) for r in asked
    ]
    summary = {
        "method": used,
        "note": _NOTES[used],
        "thresholds": list(thresholds),
        "train_sequences": len(windows),
        "test_sequences": len(queries),
        "datasets": _counts(asked, identities, thresholds),
    }
    rows = (
        {
            **{name: getattr(record, name) for name in ("record_id", "uid", "data_name", "task_type")},
            "identity": identity,
            "fragment_identity": of_fragment,
        }
        for record, (identity, of_fragment) in zip(asked, identities, strict=True)
    )
    inputs = {
        kind: [file_digest(path) for path in paths] for kind, paths in (("train", train), ("test", test))
    }
    tables.write_table(
        table_output,
        tables.LEAKAGE,
        rows,
        {"inputs": inputs, "method": used, "environment": versions_of(SEARCH)},
    )
    write_noted(json_output, json.dumps(summary, indent=2) + "\n")
    return summary


def _records(paths: Sequence[Path]) -> Iterator[_Asked]:
    for path in paths:
        for *names, sequence, place, groups in tables.iter_columns(path, tables.RECORDS, _COLUMNS):
            spans = [*([place] if place else []), *(span for group in groups or [] for span in group)]
            yield _Asked(*names, sequence, stretches(sequence, spans))


def _nearest(queries: Set[str], targets: Set[str], threads: int) -> dict[str, float]:
    """The highest identity of each query to any target, 0 without a relative."""
    named, known = sorted(queries), sorted(targets)
    best = dict.fromkeys(named, 0.0)
    for hit in relatives(named, known, threads=threads):
        best[named[hit.query]] = max(best[named[hit.query]], hit.identity)
    return best


def _counts(
    asked: Sequence[_Asked], identities: Sequence[tuple[float, float | None]], thresholds: Sequence[float]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, dict[str, list[tuple[float, float]]]]] = {}  # data set → task → uid → records
    for record, (identity, of_fragment) in zip(asked, identities, strict=True):
        proteins = found.setdefault(record.data_name, {}).setdefault(record.task_type, {})
        proteins.setdefault(record.uid, []).append((identity, of_fragment or 0.0))
    return {
        name: {task: _count(proteins, thresholds) for task, proteins in sorted(tasks.items())}
        for name, tasks in sorted(found.items())
    }


def _count(proteins: Mapping[str, list[tuple[float, float]]], thresholds: Sequence[float]) -> dict[str, Any]:
    """Counts of a task by threshold; ``proteins``: uid → identities of the protein and the fragment by record."""
    records = [pair for pairs in proteins.values() for pair in pairs]
    return {
        "proteins": len(proteins),
        "relatives": {
            str(limit): sum(max(pairs)[0] >= limit for pairs in proteins.values()) for limit in thresholds
        },
        "records": len(records),
        "fragment_relatives": {
            str(limit): sum(fragment >= limit for _, fragment in records) for limit in thresholds
        },
        "clean": {str(limit): sum(max(pair) < limit for pair in records) for limit in thresholds},
    }
