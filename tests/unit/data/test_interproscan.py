"""InterProScan: which signature stands for an entry, versions, names, tables with their FASTA."""

import hashlib
import json
import warnings

import pytest
from raw_files import RAW, reasons, refused_file, run, run_files

from fragmodel.data.readers import signatures
from fragmodel.data.readers.signatures import UNINTEGRATED, Match, library_name, standing_for
from fragmodel.errors import UserError

RESIDUES = (
    "MYKNTARICGENSIPVEWIAHQKGPGDFYYRFFAAHHGGLMHVHGHPLANQGFKDMLYWAYMDLNLSMGSSGCKANPAVQNPWARCGYHEIRNTNTKREWNL"
)
OTHER = RESIDUES[::-1]


def md5(sequence):
    return hashlib.md5(sequence.encode()).hexdigest()


def tsv(*rows, name="p1", sequence=RESIDUES):
    """Rows of (library, signature, start, end, entry, entry name)."""
    return "".join(
        f"{name}\t{md5(sequence)}\t{len(sequence)}\t{library}\t{signature}\tabout\t{start}\t{end}\t1e-9\tT\t01-02-2026\t"
        f"{entry}\t{entry_name}\n"
        for library, signature, start, end, entry, entry_name in rows
    )


def fasta(**sequences):
    return "".join(f">{name} note\n{sequence}\n" for name, sequence in sequences.items())


def run_table(
    folder, table, sequences, data_name="X_Dom", name="scan.tsv", task="grounding_single", **options
):
    (folder / name).write_text(table)
    (folder / "scan.faa").write_text(sequences)
    return run_files([folder / name, folder / "scan.faa"], folder, task, data_name, **options)


def result(*matches, sequence=RESIDUES, names=("p1",), **changes):
    """A result of JSON; matches of (library, signature, entry, type, spans)."""
    found = [
        {
            "signature": {
                "accession": signature,
                "signatureLibraryRelease": {"library": library},
                "entry": entry
                and {"accession": entry, "name": entry, "description": f"About {entry}", "type": kind},
            },
            "locations": [{"start": start, "end": end} for start, end in spans],
        }
        for library, signature, entry, kind, spans in matches
    ]
    xref = [{"id": name, "name": f"{name} note"} for name in names]
    return {"sequence": sequence, "md5": md5(sequence), "matches": found, "xref": xref, **changes}


SH2 = ("PFAM", "PF00017", "IPR000980", "DOMAIN", [(25, 99)])


def places(rows):
    return sorted((row["uid"], row["class_ids"][0], row["position_grd"][0]) for row in rows)


def test_a_domain_is_the_whole_domain_not_the_pieces_of_a_fingerprint(tmp_path):
    """IPR001245 of ENSP00000339209: five PRINTS pieces, one Pfam match of 251 residues."""
    whole = {"max_sequence_length": 5000}
    raw = [RAW / "interproscan" / "choice.json"]
    rows, _, _ = run_files(raw, tmp_path, "grounding_single", "VenusX_Dom", **whole)
    found = {row["class_ids"][0]: row["position_grd"] for row in rows}
    assert found == {"IPR001245": [[[272, 523]]], "IPR000980": [[[157, 248]]]}
    for data_name, entry, span in (("X_BindI", "IPR017441", [278, 302]), ("X_Act", "IPR008266", [389, 402])):
        (row,), _, _ = run_files(raw, tmp_path, "grounding_single", data_name, **whole)
        assert (row["class_ids"], row["position_grd"]) == ([entry], [[span]])


def test_a_discontinuous_domain_is_several_spans(tmp_path):
    rows, _, summary = run_files(
        [RAW / "interproscan" / "choice.json"], tmp_path, "grounding_single", "X_all"
    )
    (row,) = (row for row in rows if row["class_ids"] == ["IPR011009"])
    assert row["position_grd"] == [[[80, 134], [174, 201]]] and row["flags"] == ["discontinuous"]
    assert summary.accepted == 6


def match(library, signature, *spans):
    return [Match(library, signature, "", ((start, end),), "IPR1", "x", "", 0) for start, end in spans]


@pytest.mark.parametrize(
    "kind, stands",
    [
        *((kind, "profile") for kind in ("DOMAIN", "FAMILY", "REPEAT", "HOMOLOGOUS_SUPERFAMILY", "")),
        *((kind, "pattern") for kind in ("ACTIVE_SITE", "BINDING_SITE", "CONSERVED_SITE", "PTM")),
    ],
)
def test_choice_by_the_meaning_of_the_type(kind, stands):
    candidates = {
        ("PRINTS", "pieces"): match("PRINTS", "pieces", (1, 9), (20, 30), (40, 50)),
        ("ProSitePatterns", "pattern"): match("ProSitePatterns", "pattern", (30, 42), (60, 72)),
        ("Pfam", "narrow"): match("Pfam", "narrow", (20, 25), (30, 35)),
        ("Gene3D", "wide"): match("Gene3D", "wide", (5, 95)),
        ("ProSiteProfiles", "profile"): match("ProSiteProfiles", "profile", (10, 90)),
    }
    assert {match.signature for match in standing_for(candidates, kind)} == {stands}
    # Two tandem domains that one model sees as one stay two.
    candidates[("SMART", "two")] = match("SMART", "two", (10, 45), (50, 90))
    if stands == "profile":
        assert {match.signature for match in standing_for(candidates, kind)} == {"two"}
    only_pieces = {key: candidates[key] for key in list(candidates)[:2]}
    assert standing_for(only_pieces, kind)[0].signature == ("pieces" if stands == "profile" else "pattern")


@pytest.mark.parametrize(
    "spellings",
    [
        ("PROSITE_PROFILES", "ProSiteProfiles", "PROSITE profiles", "Prosite Profiles"),
        ("PROSITE_PATTERNS", "ProSitePatterns", "PROSITE patterns"),
        ("PFAM", "Pfam"),
        ("GENE3D", "Gene3D", "CATH-Gene3D"),
        ("FUNFAM", "FunFam", "CATH-FunFam"),
        ("MOBIDB_LITE", "MobiDBLite", "MobiDB-lite"),
        ("NCBIFAM", "NCBIfam"),
        ("SIGNALP_EUK", "SignalP_EUK", "SignalP-Euk"),
        ("HAMAP", "Hamap"),
    ],
)
def test_spellings_of_a_library_are_one(spellings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len({library_name(spelling) for spelling in spellings}) == 1


def test_an_unknown_library_is_warned_of_once(tmp_path):
    signatures.library_name.cache_clear()
    rows = [("NewLib", "NL1", 10, 90, "IPR1", "A domain"), ("NewLib", "NL2", 10, 90, "IPR2", "B domain")]
    with pytest.warns(UserWarning, match="library 'NewLib' is unknown") as told:
        run_table(tmp_path, tsv(*rows), fasta(p1=RESIDUES))
    assert len(told) == 1


@pytest.mark.parametrize("profiles", ["PROSITE profiles", "ProSiteProfiles"])
def test_versions_5_and_6_give_the_same_fragment(tmp_path, profiles):
    table = tsv(
        (profiles, "PS50001", 20, 100, "IPR000980", "SH2 domain"),
        ("Pfam", "PF00017", 25, 99, "IPR000980", "SH2 domain"),
    )
    (row,), rejects, _ = run_table(tmp_path, table, fasta(p1=RESIDUES), task="referring_desc")
    assert row["position_ref"] == [19, 100] and rejects == []
    assert row["answer"].endswith("Signature ProSiteProfiles PS50001: about.")


def test_json_lines_of_version_6(tmp_path):
    entry = {"accession": "IPR000980", "name": "SH2", "type": "Domain"}
    lines = []
    for name, sequence in (("p1", RESIDUES), ("p2", OTHER)):
        item = result(("PROSITE profiles", "PS50001", "x", "", [(20, 100)]), sequence=sequence, names=[name])
        item["matches"][0]["signature"]["entry"] = entry
        item["md5"] = item["md5"].upper()
        lines.append(json.dumps({"interproscan-version": "6.0.0", "results": [item]}))
    rows, rejects, _ = run(tmp_path, "\n".join(lines) + "\n", "grounding_single", data_name="X_Dom")
    assert rejects == []
    assert places(rows) == [("p1", "IPR000980", [[19, 100]]), ("p2", "IPR000980", [[19, 100]])]


def test_reading_frames_of_a_nucleotide_scan(tmp_path):
    frames = [
        {"start": 1, "end": 300, "strand": "SENSE", "protein": result(SH2, names=["orf1"])},
        {"start": 9, "end": 309, "strand": "SENSE", "protein": result(SH2, names=["orf2"], sequence=OTHER)},
        {"start": 9, "end": 309, "strand": "SENSE", "protein": None},
    ]
    contig = {"sequence": "ATG" * 99, "md5": "A" * 32, "crossReferences": [{"id": "contig1"}]}
    records = {"results": [{**contig, "openReadingFrames": frames}, {**contig, "openReadingFrames": []}]}
    rows, rejects, _ = run(tmp_path, json.dumps(records), "grounding_single", data_name="X_Dom")
    assert places(rows) == [("orf1", "IPR000980", [[24, 99]]), ("orf2", "IPR000980", [[24, 99]])]
    assert [(row["record"], row["reason"]) for row in rejects] == [(1, "bad_record"), (2, "bad_record")]


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


def test_names_of_uniprot_and_their_accessions(tmp_path):
    """`sp|P1|NAME` and `P1` are one protein, in the table and in the FASTA; where they are not, the names stay."""
    row = ("Pfam", "PF1", 5, 50, "IPR1", "A domain")
    expected = [("P1", "IPR1", [[4, 50]])]
    for in_table, in_fasta in (("sp|P1|A_B", "P1"), ("P1", "sp|P1|A_B"), ("sp|P1|A_B", "sp|P1|A_B")):
        assert (
            places(run_table(tmp_path, tsv(row, name=in_table), fasta(**{in_fasta: RESIDUES}))[0]) == expected
        )
    names = {"names": ["sp|P1|A_B", "P1"]}
    rows, rejects, _ = run(tmp_path, [result(SH2, **names)], "grounding_single", data_name="X_Dom")
    assert [row["uid"] for row in rows] == ["P1"] and rejects == []
    table = tsv(row, name="sp|P1|A_B") + tsv(row, name="P1", sequence=OTHER)
    rows, rejects, _ = run_table(tmp_path, table, fasta(**{"sp|P1|A_B": RESIDUES, "P1": OTHER}))
    assert sorted(row["uid"] for row in rows) == ["P1", "sp|P1|A_B"] and rejects == []


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


def test_a_scan_without_entries_names_the_option(tmp_path):
    rows = tsv(("Pfam", "PF1", 5, 50, "-", "-"), ("Coils", "Coil", 5, 50, "-", "-")).splitlines()
    short = "".join("\t".join(row.split("\t")[:11]) + "\n" for row in rows)
    with pytest.raises(UserError, match=r"none of its 1 matches names an InterPro entry.* -iprlookup"):
        run_table(tmp_path, short, fasta(p1=RESIDUES))
    # With the columns of the option, a protein without entries is one of another family.
    _, rejects, _ = run_table(tmp_path, "\n".join(rows), fasta(p1=RESIDUES))
    assert reasons(rejects) == ["other_family"]
    without = [result(("PFAM", "PF1", None, None, [(5, 50)]))]
    refused_folder = tmp_path / "json"
    refused_folder.mkdir()
    refused_file(refused_folder, without, "-iprlookup", task="grounding_single", data_name="X_Dom")


@pytest.mark.parametrize(
    "changes, reason, says",
    [
        ({"sequence": None}, "empty_sequence", "no residues"),
        ({"sequence": ["M"]}, "bad_record", "'sequence' is list"),
        ({"md5": "0" * 32}, "checksum", "MD5 is not"),
        ({"xref": []}, "bad_record", "the sequence has no name"),
        ({"xref": None}, "bad_record", "'xref' is no list"),
        ({"xref": [{"id": ""}]}, "missing_field", "no uid"),
        ({"matches": "x"}, "bad_record", "'matches' is no list"),
        ({"matches": [None]}, "bad_record", "'matches' is no list"),
    ],
)
def test_results_that_cannot_be_read_are_record_faults(tmp_path, changes, reason, says):
    bad = {**result(SH2, sequence=OTHER, names=["p2"]), **changes}
    rows, rejects, _ = run(tmp_path, {"results": [result(SH2), bad]}, "grounding_single", data_name="X_Dom")
    assert [row["uid"] for row in rows] == ["p1"]
    assert reasons(rejects) == [reason] and says in rejects[0]["detail"] and rejects[0]["record"] == 2


def test_locations_that_cannot_be_read_are_faults_of_their_own(tmp_path):
    bad = result(
        SH2, ("PFAM", "PF2", "IPR2", "DOMAIN", [("x", 9), (5, 9), (-4, 9), (10**12, 10**13)]), names=[123]
    )
    rows, rejects, _ = run(tmp_path, [bad], "grounding_single", data_name="X_Dom")
    assert places(rows) == [("123", "IPR000980", [[24, 99]]), ("123", "IPR2", [[4, 9]])]
    assert reasons(rejects) == ["bad_field", "outside", "outside"]


def gff3(*matches, sequence=RESIDUES, name="p1", own_fasta=True):
    lines = ["##gff-version 3", f"##sequence-region {name} 1 {len(sequence)}"]
    lines.append(f"{name}\t.\tpolypeptide\t1\t{len(sequence)}\t.\t+\t.\tID={name};md5={md5(sequence)}")
    for library, signature, start, end, entry in matches:
        dbxref = f';Dbxref="InterPro:{entry}","GO:0005515"' if entry else ""
        lines.append(
            f"{name}\t{library}\tprotein_match\t{start}\t{end}\t1e-9\t+\t.\tTarget={name} {start} {end};"
            f"ID=match$1_{start}_{end};signature_desc=About%20it;Name={signature};status=T{dbxref}"
        )
    if own_fasta:
        lines += ["##FASTA", f">{name}", sequence[:60], sequence[60:], ">match$1_5_50", sequence[4:50]]
    return "\n".join(lines) + "\n"


def test_libraries_that_never_have_entries_are_known_in_one_place():
    assert not UNINTEGRATED & {*signatures._MODELS, *signatures._FINGERPRINTS, *signatures._PATTERNS}
    assert library_name("CATH-FunFam") == "FunFam" and "FunFam" in UNINTEGRATED


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
