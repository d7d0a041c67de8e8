"""Tables of InterProScan: TSV and GFF3 with their FASTA."""

import pytest
from interproscan_files import OTHER, RESIDUES, fasta, gff3, md5, places, run_table, tsv
from raw_files import reasons, run

from fragmodel.errors import UserError


def test_nucleotides_beside_a_table_are_told(tmp_path):
    table = tsv(SH2_ROW := ("Pfam", "PF00017", 25, 99, "IPR000980", "SH2 domain"))
    with pytest.raises(UserError, match=r"scan.faa: nucleotides; give the proteins of the reading frames"):
        run_table(tmp_path, table, fasta(p1="ATGGCCAAA" * 20))
    assert run_table(tmp_path, tsv(SH2_ROW), fasta(p1=RESIDUES, p2="ATGGCC"))[0]


def test_one_name_for_two_sequences_is_a_conflict(tmp_path):
    """A row of the second sequence never becomes a fragment of the first."""
    table = tsv(("Pfam", "PF1", 5, 50, "IPR1", "A domain")) + tsv(
        ("Pfam", "PF2", 30, 70, "IPR2", "B domain"), name="p1", sequence=OTHER
    )
    sequences = fasta(p1=RESIDUES) + fasta(p1=OTHER)
    rows, rejects, _ = run_table(tmp_path, table, sequences)
    assert places(rows) == [("p1", "IPR1", [[4, 50]])]
    assert [(row["reason"], row["fragment"], row["record"]) for row in rejects] == [
        ("uid_conflict", "IPR2 30-70", 2)
    ]
    # The second sequence is told of also where no row is about it.
    rows, rejects, _ = run_table(tmp_path, table.splitlines(keepends=True)[0], sequences)
    assert reasons(rejects) == ["uid_conflict"] and len(rows) == 1


@pytest.mark.parametrize(
    "change",
    [lambda row: row.replace(md5(RESIDUES), md5(OTHER)), lambda row: row.replace("\t102\t", "\t104\t")],
)
def test_checksum_and_length_of_every_row_count(tmp_path, change):
    rows = tsv(
        ("Pfam", "PF1", 5, 50, "IPR1", "A domain"), ("Pfam", "PF2", 30, 70, "IPR2", "B domain")
    ).splitlines()
    assert len(RESIDUES) == 102 and change(rows[1]) != rows[1]
    made, rejects, _ = run_table(tmp_path, f"{rows[0]}\n{change(rows[1])}\n", fasta(p1=RESIDUES))
    assert places(made) == [("p1", "IPR1", [[4, 50]])]
    assert [(row["reason"], row["fragment"]) for row in rejects] == [("checksum", "IPR2 30-70")]


def test_headers_comments_and_blank_lines_of_a_table(tmp_path):
    header = "Protein accession\tSequence MD5 digest\tSequence length\tAnalysis\tSignature accession\t"
    header += (
        "Signature description\tStart\tStop\tScore\tStatus\tDate\tInterPro accession\tInterPro description\n"
    )
    row = tsv(("Pfam", "PF1", 5, 50, "IPR1", "A domain"))
    second = tsv(("Pfam", "PF1", 5, 50, "IPR1", "A domain"), name="p2", sequence=OTHER)
    expected = places(run_table(tmp_path, row + second, fasta(p1=RESIDUES, p2=OTHER))[0])
    for table in (
        header + row + header + second,
        "## made by\n\n" + row + second,
        "\n" + header + row + "#\n" + second,
    ):
        rows, rejects, _ = run_table(tmp_path, table, fasta(p1=RESIDUES, p2=OTHER))
        assert places(rows) == expected and rejects == []


def test_rows_that_cannot_be_read_are_record_faults(tmp_path):
    good = tsv(("Pfam", "PF1", 5, 50, "IPR1", "A domain"))
    bad = tsv(
        ("Pfam", "PF2", "five", 50, "IPR2", "B domain"), ("Pfam", "PF3", 10**12, 10**13, "IPR3", "C domain")
    )
    rows, rejects, _ = run_table(
        tmp_path, good + bad + "Error encountered\n" + good.replace("PF1", "PF4"), fasta(p1=RESIDUES)
    )
    assert len(rows) == 1
    assert [(row["record"], row["reason"], row["uid"]) for row in rejects] == [
        (2, "bad_field", "p1"),
        (3, "outside", "p1"),
        (4, "bad_record", None),
    ]
    with pytest.raises(UserError, match="line 2: the file ends inside the row"):
        run_table(tmp_path, good + good[:60], fasta(p1=RESIDUES))


def test_gff3_gives_the_spans_of_tsv(tmp_path):
    (tmp_path / "entry.list").write_text(
        "ENTRY_AC\tENTRY_TYPE\tENTRY_NAME\nIPR1\tDomain\tA domain\nIPR2\tFamily\tB\n"
    )
    expected = run_table(
        tmp_path,
        tsv(("Pfam", "PF1", 5, 50, "IPR1", "A domain"), ("PRINTS", "PR2", 60, 90, "IPR2", "B")),
        fasta(p1=RESIDUES),
    )[0]
    matches = [
        ("Pfam", "PF1", 5, 50, "IPR1"),
        ("PRINTS", "PR2", 60, 90, "IPR2"),
        ("Coils", "Coil", 1, 9, None),
    ]
    rows, rejects, _ = run(tmp_path, gff3(*matches), "grounding_single", name="a.gff3", data_name="X_Dom")
    assert rows == expected and rejects == []
    table = gff3(*matches, own_fasta=False)
    assert run_table(tmp_path, table, fasta(p1=RESIDUES), name="b.gff3")[0] == expected
    rows, rejects, _ = run_table(tmp_path, table, fasta(p1=OTHER), name="b.gff3")
    assert rows == [] and set(reasons(rejects)) == {"checksum"}
    with pytest.raises(UserError, match="-iprlookup"):
        run(
            tmp_path, gff3(("Pfam", "PF1", 5, 50, None)), "grounding_single", name="a.gff3", data_name="X_Dom"
        )


@pytest.mark.parametrize("end", ["##FASTA", "##FASTA\n\n \n"])
def test_the_fasta_part_of_gff3_may_be_empty_only_beside_a_fasta(tmp_path, end):
    table = gff3(("Pfam", "PF1", 5, 50, "IPR1"), own_fasta=False) + end
    with pytest.raises(UserError, match=r"a\.gff3: line 5: no sequence comes after ##FASTA"):
        run(tmp_path, table, "grounding_single", name="a.gff3", data_name="X_all")
    rows, rejects, _ = run_table(tmp_path, table, fasta(p1=RESIDUES), name="b.gff3", data_name="X_all")
    assert [row["position_grd"] for row in rows] == [[[[4, 50]]]] and rejects == []


@pytest.mark.parametrize(
    "line, says",
    [
        (
            "The server is closed for maintenance\n",
            r"record \d '.*': 'The server is closed for maintenance' is no sequence",
        ),
        (">\nMKTAYIAKQR\n", r"record \d has no name"),
    ],
)
def test_the_fasta_of_every_table_is_checked(tmp_path, line, says):
    match = ("Pfam", "PF1", 5, 50, "IPR1")
    with pytest.raises(UserError, match=rf"scan\.faa: {says}"):
        run_table(tmp_path, tsv((*match, "A domain")), fasta(p1=RESIDUES) + line)
    with pytest.raises(UserError, match=rf"a\.gff3: {says}"):
        run(tmp_path, gff3(match) + line, "grounding_single", name="a.gff3", data_name="X_Dom")
