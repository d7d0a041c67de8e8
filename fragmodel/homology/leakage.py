"""Relatedness of test and training proteins."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fragmodel import tables
from fragmodel.files import file_digest, write_text
from fragmodel.homology.search import BIOPYTHON, MMSEQS, relatives, tool
from fragmodel.versions import SEARCH, versions_of

_NOTES = {
    MMSEQS: "MMseqs2 easy-search; the alignment covers at least half of the shorter sequence.",
    BIOPYTHON: "Fallback with Biopython, because mmseqs is not installed: shared 4-residue words choose candidates, a "
    "local alignment measures them. It misses distant relatives; install mmseqs2 for comparable numbers.",
}


class _Asked(NamedTuple):
    """What the audit needs of a record."""

    record_id: str
    uid: str
    data_name: str
    task_type: str
    sequence: str


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
    known = sorted(
        {
            sequence
            for path in train
            for (sequence,) in tables.iter_columns(path, tables.RECORDS, ["sequence"])
        }
    )
    asked = [
        _Asked(*values)
        for path in test
        for values in tables.iter_columns(path, tables.RECORDS, _Asked._fields)
    ]
    queries = sorted({record.sequence for record in asked})
    used = tool()
    best = dict.fromkeys(queries, 0.0)
    for hit in relatives(queries, known, threads=threads):
        best[queries[hit.query]] = max(best[queries[hit.query]], hit.identity)
    counts: dict[str, dict[str, dict[str, float]]] = {}  # data set → task → uid → highest identity
    for record in asked:
        proteins = counts.setdefault(record.data_name, {}).setdefault(record.task_type, {})
        proteins[record.uid] = max(proteins.get(record.uid, 0.0), best[record.sequence])
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
    rows = []
    for record in asked:
        row = record._asdict()
        identity = best[row.pop("sequence")]
        rows.append({**row, "identity": identity})
    inputs = {
        kind: [file_digest(path) for path in paths] for kind, paths in (("train", train), ("test", test))
    }
    tables.write_table(
        table_output,
        tables.LEAKAGE,
        rows,
        {"inputs": inputs, "method": used, "environment": versions_of(SEARCH)},
    )
    write_text(json_output, json.dumps(summary, indent=2) + "\n")
    return summary
