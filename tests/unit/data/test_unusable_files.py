"""Files that are refused whole, and the oddities that are not."""

import gzip
import json

import pytest
from raw_files import RAW, protein, reasons, refused_file, run, run_files

from fragmodel.data.readers import containers
from fragmodel.errors import UserError


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "is empty"),
        (b" \n \n", "is empty"),
        (b"[]", "holds no records"),
        (b"uid,interpro_id,seq_full,seq_fragment,start,end\n", "a header and no rows"),
        (b"uid,interpro_id,start,end\n", "column 'seq_full' of a venusx table is missing"),
        (b"uid,interpro_id,seq_full,seq_full,start,end\nP1,I,MK,MK,1,2\n", "'seq_full' stands in the header twice"),
        (b"just a line\n", "format not recognised"),
        (b"[null, 3]", "none of the first records can be read; record 1: the record is NoneType"),
        (json.dumps([protein()]).encode() + b" Error while streaming", "record 2: not valid JSON"),
        (json.dumps([protein()])[:-1].encode() + b",]", "record 2: not valid JSON"),
        (b'{"interproscan-version": "5", "results": [{"matches": [], "xref": []}]', "record 2: the JSON ends early"),
        (b"[" * 100_000, "record 1: nested too deeply"),
        (b'{\n"a":' + b"[" * 100_000, "record 1: nested too deeply"),
        (json.dumps([protein()])[:-3].encode(), "record 1: the JSON ends early"),
        (json.dumps([protein(), protein("P2")])[:-40].encode(), "record 2: the JSON ends early"),
        (json.dumps([protein()])[:-1].encode(), "record 2: the JSON ends early"),
        (b'[{"uid": "P1" "sequence": "MK", "fragments": []} ' + b" " * 100 + b"]", "not valid JSON"),
        (b'[{"uid": "P1", "sequence": "MK", "fragments": []} {"uid": "P2"}' + b" " * 100 + b"]", "not valid JSON"),
        (json.dumps(protein()).encode() + b"\n" + json.dumps(protein("P2")).encode()[:50], "record 2: the JSON ends"),
        (json.dumps([protein()]).encode("utf-16"), "UTF-16"),
        (json.dumps([protein(uid="Pé")], ensure_ascii=False).encode("latin-1"), "not UTF-8 text .byte 0xe9"),
        (gzip.compress(json.dumps([protein(uid=f"P{n}") for n in range(99)]).encode())[:-20], "gzip"),
        (b"uid,interpro_id,start,end\nP1,IPR1,1,2\n", "column 'seq_full' of a venusx table is missing"),
        (b'uid,interpro_id,seq_full,start,end\nP1,"IPR1,MK,1,2\n', "not valid CSV"),
        (b"a,b\n1,2\n", "format not recognised"),
        (b"hello world\nthis is text\n", "format not recognised"),
        (b'{"a": 1}\n', "format not recognised"),
        (b"{\n", "neither a JSON array nor one JSON object a line|ends early"),
        (b"PAR1 and no more", "not a Parquet file, or a damaged one"),
        (b'<?xml version="1.0"?>\n<uniprot/>', "XML is not read"),
        (b">P1\nMKTV\n", "FASTA has no annotations"),
        (b"ID   X_Y   Reviewed;  4 AA.\nAC   P1;\n", "ends inside the entry"),
        ((b"P1\t" + b"a" * 32 + b"\t10\tPfam\tPF1\tx\t1\t5\t0.1\tT\t01-01-2025\n"), "has no sequences"),
    ],
)  # fmt: skip
def test_unusable_files_are_refused_whole(tmp_path, content, says):
    refused_file(tmp_path, content, says)


def test_missing_file_and_wrong_format(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        run_files([tmp_path / "none.json"], tmp_path)
    refused_file(tmp_path, [protein()], "unknown format 'xml'; known: auto, nested", format="xml")
    refused_file(tmp_path, b"uid,sequence\nP1,MK\n", "column 'fragments' of a nested table", format="nested")


def test_bom_crlf_and_a_bad_line_are_named(tmp_path):
    lines = "\r\n".join([json.dumps(protein()), "{broken", json.dumps(protein("P2"))]) + "\r\n"
    rows, rejects, _ = run(tmp_path, b"\xef\xbb\xbf" + lines.encode())
    assert [row["flags"] for row in rows] == [["bom", "crlf"]] * 2
    assert [(row["reason"], row["record"]) for row in rejects] == [("bad_record", 2)]


def test_every_cut_of_a_file_is_seen(tmp_path):
    """Wherever a download breaks off, the message says that the file ends early, and where."""
    text = json.dumps([protein(), protein("P2")])
    path = tmp_path / "raw.json"
    for size in range(1, len(text)):
        path.write_text(text[:size])
        with pytest.raises(UserError, match=r"record [123]: the JSON ends early$"):
            list(containers.rows(path))


def test_a_single_entry_over_many_lines(tmp_path):
    """UniProt's service gives one entry as one object."""
    entry = json.loads((RAW / "uniprot" / "entries.json").read_text())["results"][0]
    rows, _, _ = run(tmp_path, json.dumps(entry, indent=2), task="referring_class", data_name="VenusX_all")
    assert rows and {row["uid"] for row in rows} == {entry["primaryAccession"]}
    with pytest.raises(UserError, match="the JSON ends early"):
        run(tmp_path, json.dumps(entry, indent=2)[:500])


def test_half_a_character_is_a_bad_record(tmp_path):
    """JSON can write half of a surrogate pair, which no file can hold."""
    bad = json.dumps([protein(), protein("P2", classes=[("I", "K?", [(3, 7)])])]).replace("K?", "K\\ud800")
    rows, rejects, _ = run(tmp_path, bad)
    assert [row["uid"] for row in rows] == ["P1"]
    assert reasons(rejects) == ["bad_record"] and "half of a character" in rejects[0]["detail"]
    whole = json.dumps([protein(classes=[("I", "K\U0001f9ec", [(3, 7)])])])
    assert "\\ud83e" in whole and run(tmp_path, whole, "referring_class")[0][0]["answer"] == "K\U0001f9ec"


def test_items_larger_than_the_buffer(tmp_path):
    """A record of more than a megabyte, which the reader's first buffer cuts."""
    long = protein("LONG", sequence="MKTAYIAKQR" * 9000, description="x" * 2_500_000)
    records = [protein(), long, protein("P3")]
    rows, rejects, _ = run(tmp_path, json.dumps(records, indent=1))
    assert rejects == [] and [row["uid"] for row in rows] == ["P1", "LONG", "P3"]
