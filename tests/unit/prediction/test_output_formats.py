"""Each format holds the right residues in its own coordinates, as public parsers read them."""

import csv
import json

import bioframe
import gffutils
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fragmodel.errors import UserError
from fragmodel.prediction.formats import choose_format, render
from fragmodel.prediction.fragments import read_fragments

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=30)
IDS = st.from_regex(r"[A-Za-z0-9|_.:;=%&,-]{1,20}", fullmatch=True)


@st.composite
def tables(draw):
    rows = []
    for uid in draw(st.lists(IDS, min_size=1, max_size=4, unique=True)):
        length = draw(st.integers(1, 3000))
        found = []
        for _ in range(draw(st.integers(0, 4))):
            start = draw(st.integers(0, length - 1))
            name = " ".join(draw(NAMES).split()) or "x"
            end = draw(st.integers(start + 1, length))
            sure = draw(st.one_of(st.none(), st.floats(0, 1)))
            place = {"class": name, "family": "active site", "start": start, "end": end}
            found.append(place | {"confidence": sure})
        rows.append({"id": uid, "length": length, "annotations": found, "texts": [], "faults": []})
    return rows


def flat(rows):
    return [(row["id"], a["start"], a["end"], a["class"]) for row in rows for a in row["annotations"]]


@given(tables())
def test_gff3_as_gffutils_reads_it(rows):
    text = "".join(render(rows, "gff3", referring=False))
    features = list(gffutils.iterators.DataIterator(text, from_string=True)) if flat(rows) else []
    read = [(gffutils_id(f.seqid), f.start - 1, f.end, f.attributes["Name"][0]) for f in features]
    assert read == flat(rows)
    for row in rows:
        assert f" 1 {row['length']}\n" in text


def test_how_sure_a_place_is_stands_in_every_format():
    place = {"class": "x", "family": "motif", "start": 0, "end": 4, "confidence": 0.1234567}
    rows = [{"id": "P1", "length": 9, "annotations": [place], "texts": [], "faults": []}]
    written = {name: "".join(render(rows, name, referring=False)) for name in ("gff3", "bed", "tsv", "jsonl")}
    assert written["gff3"].split("\t")[5] == "0.1235"
    assert written["bed"].split("\t")[4] == "123"
    assert written["tsv"].split("\t")[-2] == "0.1235"
    assert json.loads(written["jsonl"])["annotations"] == [place]


def test_a_class_comes_with_its_ids():
    place = {"class": "x", "family": "motif", "start": 0, "end": 4}
    place["class_ids"] = ["IPR000719", "PF00069", "own;1"]
    rows = [{"id": "P1", "length": 9, "annotations": [place], "texts": [], "faults": []}]
    (feature,) = gffutils.iterators.DataIterator(
        "".join(render(rows, "gff3", referring=False)), from_string=True
    )
    assert feature.attributes["Dbxref"] == ["InterPro:IPR000719", "Pfam:PF00069", "class:own;1"]
    assert "".join(render(rows, "tsv", referring=False)).endswith("\tIPR000719,PF00069,own;1\n")
    fragment = {
        "name": "f",
        "start": 0,
        "end": 4,
        "shown_start": 0,
        "shown_end": 4,
        "stopped": True,
        "text": "x",
    }
    rows = [{"id": "P1", "length": 9, "fragments": [fragment | {"class_ids": ["IPR000719"]}]}]
    header, line = (text.rstrip("\n").split("\t") for text in render(rows, "tsv", referring=True))
    assert dict(zip(header, line, strict=True))["class_ids"] == "IPR000719"


def test_a_place_without_a_class_has_no_empty_name():
    place = {"class": "", "family": "motif", "start": 0, "end": 4}
    rows = [{"id": "P1", "length": 9, "annotations": [place], "texts": [], "faults": []}]
    assert "".join(render(rows, "gff3", referring=False)).endswith("\tID=P1:1;family=motif\n")
    assert "".join(render(rows, "bed", referring=False)) == "P1\t0\t4\t.\t0\t.\n"


def gffutils_id(seqid: str) -> str:
    from urllib.parse import unquote

    return unquote(seqid)  # gffutils decodes attributes only


@given(tables())
def test_bed_as_bioframe_reads_it(rows):
    path_text = "".join(render(rows, "bed", referring=False))
    if not path_text:
        assert not flat(rows)
        return
    import io

    frame = bioframe.read_table(
        io.StringIO(path_text), schema="bed6", na_filter=False, quoting=csv.QUOTE_NONE
    )
    read = list(zip(frame["chrom"].astype(str), frame["start"], frame["end"], strict=True))
    assert read == [place[:3] for place in flat(rows)]


@given(tables())
def test_tables_and_json_lines(rows):
    lines = "".join(render(rows, "tsv", referring=False)).split("\n")
    read = [line.split("\t") for line in lines[1:-1]]
    assert [(r[0], int(r[4]) - 1, int(r[5]), r[2]) for r in read] == flat(rows)
    assert [json.loads(line) for line in render(rows, "jsonl", referring=False)] == rows


def test_what_is_written_can_be_asked_about_again(tmp_path):
    """GFF3 and BED of a grounding run name the same residues as input of a referring run."""
    found = [{"class": "a;b=c, 5%", "family": "domain", "start": 0, "end": 7}]
    rows = [{"id": "P1", "length": 9, "annotations": found}]
    for name in ("gff3", "bed"):
        path = tmp_path / f"out.{name}"
        path.write_text("".join(render(rows, name, referring=False)))
        (fragment,) = read_fragments([str(path)])["P1"]
        assert (fragment.span, fragment.name) == ((0, 7), "a;b=c, 5%")


def test_the_format_follows_the_suffix(tmp_path):
    assert choose_format(tmp_path / "x.gff", None, referring=False) == "gff3"
    assert choose_format(tmp_path / "x.txt", "bed", referring=False) == "bed"
    with pytest.raises(UserError, match="add --format gff3, bed"):
        choose_format(tmp_path / "x.txt", None, referring=False)
    with pytest.raises(UserError, match="'gff3' cannot hold"):
        choose_format(tmp_path / "x.gff3", None, referring=True)
