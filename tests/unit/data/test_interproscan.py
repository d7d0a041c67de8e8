"""InterProScan: which signature stands for an entry, versions, names, results."""

import json
import warnings

import pytest
from interproscan_files import OTHER, RESIDUES, SH2, fasta, places, result, run_table, tsv
from raw_files import RAW, reasons, refused_file, run, run_files

from fragmodel.data.readers import signatures
from fragmodel.data.readers.signatures import UNINTEGRATED, Match, library_name, standing_for
from fragmodel.errors import UserError


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


def test_libraries_that_never_have_entries_are_known_in_one_place():
    assert not UNINTEGRATED & {*signatures._MODELS, *signatures._FINGERPRINTS, *signatures._PATTERNS}
    assert library_name("CATH-FunFam") == "FunFam" and "FunFam" in UNINTEGRATED
