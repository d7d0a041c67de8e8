"""However the values of a valid file are cut and packed, its records are the same."""

import gzip
import json
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_files import RAW, SAMPLE, protein, run, run_files

from fragmodel.data.readers import containers, json_values
from fragmodel.errors import UserError

ENTRIES = json.loads((RAW / "uniprot" / "entries.json").read_text())["results"]
RESULTS = json.loads((RAW / "interproscan" / "results.json").read_text())["results"]
NESTED = json.loads((SAMPLE / "VenusX_Evo" / "train.json").read_text())


def array(records, indent):
    return json.dumps(records, indent=indent)


def results(records, indent):
    about = {"interproscan-version": "6.0.0", "interpro-version": "105.0"}
    return json.dumps({**about, "results": records}, indent=indent)


def results_first(records, indent):
    return json.dumps({"results": records, "more": {"a": [1, "}]"]}, "pages": 12}, indent=indent)


def results_behind_an_object(records, indent):
    return json.dumps({"about": {"run": 1}, "results": records}, indent=indent)


def objects(records, indent):
    return "\n".join(json.dumps(record, indent=indent) for record in records)


SHAPES = (array, results, results_first, results_behind_an_object, objects)


@st.composite
def packed(draw, count):
    """Bytes of a file with the records 0 … count - 1, cut into values of any shape, plain or as gzip members."""
    cuts = sorted({0, count, *draw(st.lists(st.integers(0, count), max_size=6))})
    bounds = list(pairwise(cuts))
    parts = [
        (low, high, draw(st.sampled_from(SHAPES)), draw(st.sampled_from([None, 0, 2])))
        for low, high in bounds
    ]
    joints = [draw(st.sampled_from(["", "\n", " ", "\r\n\n", "\n\ufeff"])) for _ in parts]
    if draw(st.booleans()):
        return parts, joints, lambda pieces: b"".join(pieces)
    return parts, joints, lambda pieces: b"".join(map(gzip.compress, pieces))


@pytest.mark.parametrize("records", [ENTRIES, RESULTS, NESTED], ids=["uniprot", "interproscan", "nested"])
@pytest.mark.parametrize("chunk", [7, 1 << 20])
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cut_of_a_file_gives_the_records_of_the_whole(tmp_path, monkeypatch, records, chunk, data):
    monkeypatch.setattr(json_values, "_CHUNK", chunk)
    records = records[:12]
    parts, joints, pack = data.draw(packed(len(records)))
    pieces = [
        (shape(records[low:high], indent) + joint).encode()
        for (low, high, shape, indent), joint in zip(parts, joints, strict=True)
    ]
    path = tmp_path / "raw.json"
    path.write_bytes(pack(pieces))
    assert list(containers.rows(path)) == list(enumerate(records, start=1))


@pytest.mark.parametrize(
    "records, data_name",
    [(ENTRIES, "VenusX_BindI"), (RESULTS, "VenusX_Dom"), (NESTED, "VenusX_Evo")],
    ids=["uniprot", "interproscan", "nested"],
)
def test_joined_files_give_the_same_tables(tmp_path, records, data_name):
    """A line of InterProScan 6 is an object with `results`; two runs are joined with `cat`."""
    half = len(records) // 2
    shapes = {
        "whole": array(records, None),
        "lines": "".join(results([record], None) + "\n" for record in records),
        "joined": results(records[:half], 1) + results(records[half:], None),
        "arrays": array(records[:half], None) + "\n" + array(records[half:], 2) + "\n",
    }
    tables = {
        name: run(tmp_path, text, "referring_class", data_name=data_name)[:2] for name, text in shapes.items()
    }
    assert tables["whole"][0] and all(table == tables["whole"] for table in tables.values())
    members = gzip.compress(results(records[:half], None).encode()) + gzip.compress(
        results(records[half:], None).encode()
    )
    assert run(tmp_path, members, "referring_class", data_name=data_name)[:2] == tables["whole"]


def test_a_broken_line_is_one_bad_record(tmp_path):
    first, second = (results([result], None) for result in RESULTS)
    lines = [first, first[:-300] + "?", second]
    rows, rejects, _ = run(tmp_path, "\n".join(lines) + "\n", "referring_class", data_name="X_all")
    whole, _, _ = run(tmp_path, results(RESULTS, None), "referring_class", data_name="X_all")
    assert rows == whole
    assert [(row["reason"], row["record"]) for row in rejects] == [("bad_record", 2)]
    with pytest.raises(
        UserError, match="record 4: the JSON ends early"
    ):  # a last line without its end is cut
        run(tmp_path, "\n".join([*lines, first[:-9]]), "referring_class", data_name="X_all")


def test_text_after_the_values_is_named(tmp_path):
    for text in (array([protein()], 2) + "\n<html>", array([protein()], 2) + array([protein("P2")], 2)[:-5]):
        (tmp_path / "raw.json").write_text(text)
        with pytest.raises(UserError, match="record 2: "):
            run_files([tmp_path / "raw.json"], tmp_path)


def test_a_number_of_thousands_of_digits(tmp_path):
    (tmp_path / "raw.json").write_text('[{"uid": ' + "1" * 5000 + "}]")
    with pytest.raises(UserError, match="record 1: a number has thousands of digits"):
        run_files([tmp_path / "raw.json"], tmp_path)
