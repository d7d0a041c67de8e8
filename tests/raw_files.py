"""Raw data of the tests: small builders, and what an ingested file holds."""

import json
from pathlib import Path

import pytest

from fragmodel import tables
from fragmodel.data.ingest import ingest
from fragmodel.errors import UserError

ROOT = Path(__file__).parents[1]
RAW = ROOT / "tests" / "data" / "raw"
SAMPLE = ROOT / "data" / "sample"
SEQUENCE = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ"  # 33 residues


def place(start, end, sequence=SEQUENCE, **changes):
    """A place of nested JSON: 0-based, end inclusive."""
    entry = {
        "start_position": start,
        "end_position": end,
        "length": end - start + 1,
        "sequence": sequence[start : end + 1],
    }
    return {**entry, **changes}


def protein(uid="P1", sequence=SEQUENCE, classes=(("IPR000001", "Kringle", [(3, 7)]),), **changes):
    """A protein of nested JSON with classes (id, name, places)."""
    fragments = [
        {
            "interpro_id": class_id,
            "category": name,
            "shortname": name,
            "description": f"About {name}.",
            "frags": [entry if isinstance(entry, dict) else place(*entry, sequence) for entry in places],
        }
        for class_id, name, places in classes
    ]
    return {"uid": uid, "sequence": sequence, "completeness": "yes", "fragments": fragments, **changes}


def run(folder, records, task="grounding_group", name="raw.json", **options):
    """Ingest records (or text, or bytes) and return (rows, rejects, summary)."""
    path = folder / name
    if isinstance(records, bytes):
        path.write_bytes(records)
    elif isinstance(records, str):
        path.write_text(records, encoding="utf-8")
    else:
        path.write_text(json.dumps(records), encoding="utf-8")
    return run_files([path], folder, task, **options)


def run_files(paths, folder, task="grounding_group", data_name="VenusX_Dom", **options):
    out, rejects = folder / "out.parquet", folder / "rejects.parquet"
    summary = ingest(paths, task=task, data_name=data_name, output=out, rejects=rejects, **options)
    rows, refused = tables.read_rows(out, tables.RECORDS), tables.read_rows(rejects, tables.REJECTS)
    assert (len(rows), len(refused)) == (summary.records, summary.rejected)
    assert sum(summary.reasons.values()) == summary.rejected
    return rows, refused, summary


def reasons(rejects):
    return [row["reason"] for row in rejects]


def refused_file(folder, records, match, **options):
    """The file as a whole must be refused, with nothing left behind."""
    with pytest.raises(UserError, match=match) as error:
        run(folder, records, **options)
    assert "\n" not in str(error.value)
    assert not list(folder.glob("*.parquet")) and not list(folder.glob(".*"))
