"""Whatever a file holds: records and rejects with reasons, or one line that says what is wrong with it."""

import csv
import io
import json
import random
import re
from copy import deepcopy

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_files import RAW, SEQUENCE, protein

from fragmodel import tables
from fragmodel.data.ingest import iter_records
from fragmodel.data.validate import REASONS
from fragmodel.errors import UserError
from fragmodel.tables import Reject

CASES = 330  # of each kind of file and of damage
# Words of Python's own exceptions, which say nothing to a user.
PYTHON = re.compile(
    r"Error\b|Exception|has no attribute|not subscriptable|object is not|<class|Traceback|codec can't"
)
VALUES = [
    *(None, "", " ", "x", "-", -1, 0, 3, 7.5, 10**12, -(10**30), 1e308, float("nan"), True, 2**63),
    *([], {}, [[]], [None], [{}], {"value": 1}, [3, 8], [[[3, 8]]]),
    *("[[1, 2]]", "[[", "\ud800", "MK-TV", "1|2", "K" * 300),
]


def as_json(path):
    return json.loads((RAW / path).read_text())


def small(records):
    return json.dumps(records, allow_nan=True).encode()


def parquet(records):
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), buffer)
    return buffer.getvalue()


UNIPROT = [
    {**entry, "features": entry["features"][:4], "comments": entry.get("comments", [])[:2]}
    for entry in as_json("uniprot/entries.json")["results"][:2]
]
KEPT = ("entryType", "primaryAccession", "sequence", "features", "comments")
UNIPROT = [{key: entry[key] for key in KEPT if key in entry} for entry in UNIPROT]
SCAN = as_json("interproscan/choice.json")["results"][1:]
CONVERSATIONS = [
    {
        "uid": f"P{number}", "sequence": SEQUENCE, "conversation": [{"role": "user", "content": "Where is K?"}],
        "answer": "Here.", "position_ref": [3, 8], "position_grd": [[[3, 8]], [[9, 12]]], "start": 4, "full_length": 90,
    }
    for number in range(2)
]  # fmt: skip
VENUSX = [
    {"uid": f"P{number}", "interpro_id": "IPR1", "seq_full": "MKTAYIAKQR", "seq_fragment": "KTA|AK", "start": "2|7",
     "end": "4|8", "label": "[0, 1, 1, 1, 0, 0, 1, 1, 0, 0]", "interpro_label": "3.0"}
    for number in range(2)
]  # fmt: skip
FUNCTION = [
    {"accession": f"P{number}", "sequence": SEQUENCE, "function": "Binds DNA."} for number in range(2)
]
NESTED = [protein(), protein("P2", classes=[("IPR2", "Zinc finger", [(2, 9), (11, 20)])])]
FLAT = (RAW / "uniprot" / "entries.dat").read_text()
FLAT = "".join(sorted(FLAT.split("//\n")[:-1], key=len)[0].splitlines(keepends=True)) + "//\n"
TSV = "".join((RAW / "interproscan" / "results.tsv").read_text().splitlines(keepends=True)[:6])
GFF3 = (
    f"##gff-version 3\np1\t.\tpolypeptide\t1\t33\t.\t+\t.\tID=p1\n"
    f"p1\tPfam\tprotein_match\t3\t30\t.\t+\t.\tName=PF1;ID=match$1;Dbxref=\"InterPro:IPR1\"\n##FASTA\n>p1\n{SEQUENCE}\n"
)  # fmt: skip

ROWS = {  # (records, task): damaged field by field, then packed
    "nested": (NESTED, "grounding_group"),
    "conversation": (CONVERSATIONS, "grounding_group"),
    "venusx": (VENUSX, "referring_class"),
    "function": (FUNCTION, "function"),
    "uniprot": (UNIPROT, "referring_desc"),
    "interproscan": (SCAN, "grounding_single"),
    "reading frames": (
        [{"sequence": "ATG", "openReadingFrames": [{"start": 1, "protein": SCAN[0]}]}],
        "grounding_single",
    ),
}
BYTES = {  # (bytes, task): damaged byte by byte
    **{f"{name}.json": (small(records), task) for name, (records, task) in ROWS.items()},
    "nested.parquet": (parquet(NESTED), "grounding_group"),
    "conversation.csv": (
        (RAW / "conversation" / "grounding_single.csv").read_bytes()[:6000],
        "grounding_single",
    ),
    "uniprot.dat": (FLAT.encode(), "referring_class"),
    "scan.tsv": (TSV.encode(), "grounding_single"),
    "scan.gff3": (GFF3.encode(), "grounding_single"),
}


def outcome(path, task, folder):
    """Rows and rejects of a file, or the line that refuses it; anything else fails the test."""
    files = [path, folder / "scan.faa"] if path.suffix == ".tsv" else [path]
    try:
        items = list(iter_records(files, task=task, data_name="VenusX_all", max_sequence_length=50))
    except UserError as error:
        assert ("\n" not in str(error) and str(path.name) in str(error)) or "scan.faa" in str(error)
        return str(error)
    rejects = [item for item in items if isinstance(item, Reject)]
    rows = [item._asdict() for item in items if not isinstance(item, Reject)]
    assert items, "a file with records gave neither records nor rejects"
    for reject in rejects:
        assert reject.reason in REASONS and reject.detail and reject.record >= 1
        assert not PYTHON.search(reject.detail), reject
    pa.Table.from_pylist(rows, schema=tables.RECORDS.remove_metadata())
    pa.Table.from_pylist([item._asdict() for item in rejects], schema=tables.REJECTS.remove_metadata())
    return ""


def places(value, path=()):
    """Paths of all values in nested records."""
    if path:
        yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from places(child, (*path, key))


def holder(records, path):
    for key in path[:-1]:
        records = records[key]
    return records


def swapped(records, dice):
    """A copy with a few fields replaced, exchanged or removed."""
    records = json.loads(json.dumps(records))
    for _ in range(dice.choice([1, 1, 2, 3])):
        paths = list(places(records))
        path, other = dice.choice(paths), dice.choice(paths)
        place, source = holder(records, path), holder(records, other)
        kind = dice.random()
        if kind < 0.1:
            del place[path[-1]]
        elif kind < 0.3:
            place[path[-1]] = json.loads(json.dumps(source[other[-1]]))
        else:
            place[path[-1]] = deepcopy(dice.choice(VALUES))
        if not records:
            break
    return records


def flipped(data, dice):
    """A copy with bytes changed, removed, repeated, or its end cut off."""
    data = bytearray(data)
    for _ in range(dice.choice([1, 1, 2, 8])):
        at = dice.randrange(len(data))
        kind = dice.random()
        if kind < 0.6:
            data[at] ^= 1 << dice.randrange(8)
        elif kind < 0.75:
            data[at] = dice.choice(b'"{}[],:|\t\n\r 0-\\x\xff')
        elif kind < 0.85:
            del data[at : at + dice.choice([1, 5, 200])]
        elif kind < 0.95:
            data[at:at] = data[at : at + dice.choice([1, 5, 200])]
        else:
            del data[at:]
        if not data:
            break
    return bytes(data)


@pytest.mark.filterwarnings("ignore:InterProScan library")
@pytest.mark.parametrize("name", BYTES)
def test_flipped_bytes(tmp_path, name):
    dice = random.Random(name)
    data, task = BYTES[name]
    (tmp_path / "scan.faa").write_bytes((RAW / "interproscan" / "results.faa").read_bytes())
    path = tmp_path / name
    path.write_bytes(data)
    assert outcome(path, task, tmp_path) == "" or name == "conversation.csv"
    for _ in range(CASES):
        path.write_bytes(flipped(data, dice))
        outcome(path, task, tmp_path)


@pytest.mark.filterwarnings("ignore:InterProScan library")
@pytest.mark.parametrize("name", ROWS)
def test_swapped_fields(tmp_path, name):
    dice = random.Random(name)
    records, task = ROWS[name]
    usable = 0
    for number in range(CASES):
        damaged = swapped(records, dice)
        if number % 3 == 2 and name in ("nested", "conversation", "venusx", "function"):
            path = tmp_path / "rows.csv"
            rows = [row for row in damaged if isinstance(row, dict)]
            with path.open("w", newline="", encoding="utf-8", errors="replace") as handle:
                writer = csv.DictWriter(handle, list(records[0]), extrasaction="ignore")
                writer.writeheader()
                writer.writerows(
                    {k: str(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows
                )
        else:
            path = tmp_path / "rows.json"
            path.write_bytes(small(damaged) if number % 3 else b"\n".join(map(small, damaged)))
        if damaged:
            usable += not outcome(path, task, tmp_path)
    assert usable > CASES // 2  # one bad field is no reason to refuse the others
