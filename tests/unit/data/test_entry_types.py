"""InterPro entries whose type no file states: name and libraries of their signatures tell it."""

import shutil

import pytest
from raw_files import RAW, protein, run, run_files

from fragmodel.data.readers.interpro import told_type
from fragmodel.data.validate import HARMLESS

SCAN = RAW / "agreement"


@pytest.mark.parametrize(
    "name, libraries, kind",
    [
        ("Serine-threonine/tyrosine-protein kinase, catalytic domain", {"Pfam", "PRINTS"}, "FAMILY"),
        ("SH2 domain", {"SMART"}, "DOMAIN"),
        ("Glycosyl transferase, family 1", {"Pfam"}, "DOMAIN"),
        ("ATP-binding protein, C-terminal", {"TIGRFAM"}, "DOMAIN"),
        ("Cytochrome c oxidase", {"TIGRFAM", "CDD"}, "FAMILY"),
        ("P-loop nucleoside triphosphate hydrolase", {"Gene3D", "SUPERFAMILY"}, "HOMOLOGOUS_SUPERFAMILY"),
        ("WD40 repeat", {"Pfam"}, "REPEAT"),
        ("Peptidase S1, active site", {"ProSitePatterns"}, "ACTIVE_SITE"),
        ("ABC transporter-like", {"ProSitePatterns"}, "CONSERVED_SITE"),
        ("IPR000001", {"ProSiteProfiles", "Pfam"}, "DOMAIN"),
    ],
)
def test_name_and_libraries_tell_the_type(name, libraries, kind):
    assert told_type(name, libraries) == kind


def in_tsv(folder, family):
    """Entries taken from a real scan's TSV that has no entry.list beside it, and from its JSON, which has types."""
    files = [shutil.copy(SCAN / f"scan.{kind}", folder) for kind in ("tsv", "faa")]
    rows, rejects, summary = run_files([folder / "scan.tsv"], folder, "referring_class", f"X_{family}")
    assert (
        len(files) == 2 and {row["reason"] for row in rejects} <= HARMLESS and not summary.rejected_fraction
    )
    stated, _, _ = run_files([SCAN / "scan.json"], folder, "referring_class", f"X_{family}")
    key = ("uid", "class_ids")
    assert all("type_derived" in row["flags"] for row in rows)
    assert not any("type_derived" in row["flags"] for row in stated)
    return [{str([row[name] for name in key]) for row in found} for found in (rows, stated)]


@pytest.mark.parametrize("family", ["Dom", "Act", "BindI", "Evo"])
def test_a_real_scan_without_entry_list_gives_what_its_json_gives(tmp_path, family):
    derived, stated = in_tsv(tmp_path, family)
    assert (
        stated and len(derived & stated) >= 0.8 * len(stated) and len(derived - stated) <= 0.2 * len(stated)
    )


def test_what_a_file_lacks_is_counted_and_no_fault_of_it(tmp_path):
    records = [protein(), protein("P2", fragments=[]), protein("P3", function="Binds.")]
    _, rejects, summary = run(tmp_path, records, max_rejected_fraction=0.0)
    assert [row["reason"] for row in rejects] == ["no_fragments"]
    assert (summary.lacking, summary.rejected_fraction) == (1, 0)
    _, rejects, summary = run(tmp_path, records, task="function", max_rejected_fraction=0.0)
    assert summary.accepted == 1 and summary.reasons == {"no_function": 2} and summary.lacking == 2
    records[0]["fragments"][0]["description"] = ""
    _, _, summary = run(tmp_path, records, task="referring_desc", max_rejected_fraction=0.0)
    assert summary.reasons == {"no_description": 1, "no_fragments": 1} and summary.accepted == 1


@pytest.mark.parametrize(
    "sequence, refused",
    [
        ("ACGTTGCAACGTTGCAACGT", True),
        ("acguugcaacguugcaacguNN", True),
        ("ACGTTGCA", False),  # a peptide may have these letters by chance
        ("GAGAGTGAGAGTGAGAGTGAGAGT", False),  # as silk
        ("ACGTTGCAACGTTGCAACGTM", False),
    ],
)
def test_nucleotides_are_no_protein(tmp_path, sequence, refused):
    record = protein(sequence=sequence, classes=[("IPR1", "x", [{"start_position": 1, "end_position": 4}])])
    rows, rejects, _ = run(tmp_path, [record])
    assert [row["reason"] for row in rejects] == ["nucleotides"] * refused and len(rows) == (not refused)
