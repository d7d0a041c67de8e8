"""Addresses of public entries."""

import pytest

from fragmodel.report.links import class_entry, protein_entry


@pytest.mark.parametrize(
    ("uid", "accession"),
    [
        ("P12345", "P12345"),
        ("A0A022YWF9", "A0A022YWF9"),
        ("P05067-2", "P05067"),
        ("sp|Q9H0P0|5NT3A_HUMAN", "Q9H0P0"),
    ],
)
def test_uniprot_accessions_are_known(uid, accession):
    assert protein_entry(uid) == f"https://www.uniprot.org/uniprotkb/{accession}/entry"


@pytest.mark.parametrize(
    "uid", ["my_protein", "p12345", "P1234", "NP_000537.3", 'P12345" onclick="x', "sp|x|y", ""]
)
def test_other_names_have_no_address(uid):
    assert protein_entry(uid) is None


def test_classes_of_interpro_and_pfam():
    assert class_entry("IPR000719") == "https://www.ebi.ac.uk/interpro/entry/InterPro/IPR000719/"
    assert class_entry("PF00069") == "https://www.ebi.ac.uk/interpro/entry/pfam/PF00069/"
    assert class_entry("UniProtKB-FT:DOMAIN") is class_entry("") is None
