"""The three ways to name a fragment select the same residues."""

import pytest

from fragmodel.errors import UserError
from fragmodel.prediction.fragments import check_inside, read_fragments

SAME = {
    "regions.txt": "# comment\nsp|P1:3-7\nB:1-1,000\n",
    "some.bed": "track name=x\nsp|P1\t2\t7\tzinc\nB\t0\t1000\tall\n",
    "some.gff3": "##gff-version 3\nsp|P1\tx\tregion\t3\t7\t.\t.\t.\tID=1;Name=zinc\n"
    "B\tx\tregion\t1\t1000\t.\t.\t.\tName=all\n##FASTA\n>B\nMKV\n",
}


@pytest.mark.parametrize("name", SAME)
def test_formats_agree(name, tmp_path):
    path = tmp_path / name
    path.write_text(SAME[name])
    found = read_fragments([str(path)])
    assert {uid: [f.span for f in fragments] for uid, fragments in found.items()} == {
        "sp|P1": [(2, 7)],
        "B": [(0, 1000)],
    }
    assert found["B"][0].name == ("" if name == "regions.txt" else "all")


def test_a_region_on_the_command_line():
    assert read_fragments(["P1:10-20"])["P1"][0].span == (9, 20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("P1:0-5\n", "line 1: 0 to 5 holds no residue"),
        ("P1:6-5\n", "line 1: 6 to 5 holds no residue"),
        ("P1\t5\t5\n", "line 1: 5 to 5 holds no residue"),
        ("P1\t1\tx\n", "are no positions"),
        ("P1\t1\t2\nP1\t1\t2\t3\n", "line 2: 4 columns, the lines before have 3"),
        ("P1 1 2\n", "line 1: expected id:start-end"),
        ("", "no fragment was given"),
    ],
)
def test_mistakes_name_their_line(text, message, tmp_path):
    path = tmp_path / "fragments"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_fragments([str(path)])


def test_the_end_of_the_protein_is_the_limit():
    fragments = read_fragments(["P1:10-20"])["P1"]
    check_inside(fragments, 20)
    with pytest.raises(UserError, match="ends at residue 20 of 'P1', which has 19"):
        check_inside(fragments, 19)
