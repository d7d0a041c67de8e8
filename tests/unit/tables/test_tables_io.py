"""The column contracts, enforced when a table is written and when it is read."""

import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fragmodel import tables
from fragmodel.errors import UserError

ROW = {"key": "k", "sequence": "MK", "length": 2}


def write(path, **changes):
    return tables.write_table(path, tables.WINDOWS, [{**ROW, **changes}])


@pytest.mark.parametrize(
    "changes, error, says",
    [
        ({"key": None}, ValueError, "'key' has a null"),
        ({"colour": 1}, ValueError, "unknown columns"),
        ({"length": "two"}, (TypeError, ValueError), "two|int"),
    ],
)
def test_a_row_outside_the_contract_is_never_written(tmp_path, changes, error, says):
    with pytest.raises(error, match=says):
        write(tmp_path / "t.parquet", **changes)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content, says",
    [
        ({"key": ["k"], "sequence": ["MK"]}, "column 'length' of table 'windows' is missing"),
        ({"key": ["k"], "sequence": ["MK"], "length": [2.0]}, "'length' .* is double, expected int32"),
        ({"key": ["k"], "sequence": [None], "length": [2]}, "'sequence' .* (null|expected)"),
    ],
)
def test_a_file_outside_the_contract_is_not_read(tmp_path, content, says):
    path = tmp_path / "t.parquet"
    kinds = {"length": pa.float64() if "double" in says else pa.int32()}
    pq.write_table(pa.table({k: pa.array(v, kinds.get(k, pa.string())) for k, v in content.items()}), path)
    for read in (tables.read_table, lambda p, s: list(tables.iter_column(p, s, "sequence"))):
        if "length" in says and read is not tables.read_table:
            continue
        with pytest.raises(UserError, match=says) as caught:
            read(path, tables.WINDOWS)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("first, last", [(0, None), (4, 40), (-60, -8)])  # all of it, a page, the footer
def test_a_damaged_file_is_a_users_mistake(tmp_path, first, last):
    path = tmp_path / "t.parquet"
    write(path)
    content = bytearray(path.read_bytes())
    content[first:last] = b"\xff" * len(content[first:last])
    path.write_bytes(content)
    for read in (tables.read_table, lambda p, s: list(tables.iter_columns(p, s, ["key", "length"]))):
        with pytest.raises(UserError, match=r"t\.parquet: not a Parquet file, or a damaged one") as caught:
            read(path, tables.WINDOWS)
        assert "\n" not in str(caught.value)


def test_metadata_of_every_table(tmp_path):
    write(tmp_path / "t.parquet")
    about = tables.read_metadata(tmp_path / "t.parquet")
    assert (about["contract"], about["contract_version"], about["rows"]) == ("windows", 1, 1)
    assert about["fragmodel_version"]


def test_another_version_of_the_contract_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    write(path)
    table = pq.read_table(path)
    about = {**tables.read_metadata(path), "contract_version": 7}
    pq.write_table(table.replace_schema_metadata({b"fragmodel": json.dumps(about).encode()}), path)
    with pytest.raises(
        UserError, match="follows version 7 of table 'windows', this fragmodel reads version 1"
    ):
        tables.read_table(path, tables.WINDOWS)
    # A table of sequences may be any table that has them.
    assert list(tables.iter_column(path, tables.SEQUENCES, "sequence")) == ["MK"]


@pytest.mark.parametrize(
    "content, says", [(None, "no such file"), (b"text", "not a Parquet file, or a damaged one")]
)
def test_metadata_of_no_table_is_a_users_mistake(tmp_path, content, says):
    path = tmp_path / "t.parquet"
    if content:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"t\.parquet: {says}") as caught:
        tables.read_metadata(path)
    assert "\n" not in str(caught.value)


def test_a_flipped_byte_is_noticed_or_harmless(tmp_path):
    """All bits of the footer's and of many other bytes: never other values, nor another count or order."""
    path = tmp_path / "t.parquet"
    rows = [
        {**{name: "" for name in ("uid", "data_name", "task_type", "answer")}, "record_id": f"r{number}",
         "sequence": "MKLV" * (number % 5), "start": number * 7 % 13, "full_length": number,
         "position_grd": [[[number, number + 3]], []], "classes": ["a", "b"][: number % 3],
         "class_ids": [], "conversation": [{"role": "user", "content": "?"}], "flags": []}
        for number in range(40)
    ]  # fmt: skip
    tables.write_table(path, tables.RECORDS, rows)
    content = path.read_bytes()
    table, about = tables.read_table(path, tables.RECORDS), tables.read_metadata(path)
    draw = random.Random(0)
    verdicts = {"noticed": 0, "equal": 0}
    for place in draw.sample(range(len(content)), 1200):
        damaged = bytearray(content)
        damaged[place] ^= draw.choice([1 << draw.randrange(8), draw.randrange(1, 256)])
        path.write_bytes(damaged)
        try:
            assert tables.read_table(path, tables.RECORDS).equals(table), place
            assert tables.read_metadata(path) == about, place
            verdicts["equal"] += 1
        except UserError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            verdicts["noticed"] += 1
    assert verdicts["noticed"] > 600, verdicts


def test_damage_names_what_makes_the_table_again(tmp_path):
    path = tmp_path / "t.parquet"
    write(path)
    content = bytearray(path.read_bytes())
    content[-60] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"remove it and start snakemake again: rule windows makes it anew"):
        tables.read_table(path, tables.WINDOWS)


def test_others_read_our_tables_and_we_theirs(tmp_path):
    ours, theirs = tmp_path / "ours.parquet", tmp_path / "theirs.parquet"
    write(ours)
    table = pq.read_table(ours)
    assert table.to_pylist() == [ROW]
    pq.write_table(table, theirs)
    assert tables.read_rows(theirs, tables.WINDOWS) == [ROW]
