"""Which classes a protein is asked about that it does not have, and how often."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fragmodel.data.catalogue import Catalogue
from fragmodel.data.records import Fragment, Protein
from fragmodel.vocabulary import Span

CLASSES = st.lists(
    st.sets(st.sampled_from("bcdefghi"), min_size=1, max_size=4).map(sorted), min_size=2, max_size=8
)


def catalogue_of(sets):
    catalogue = Catalogue(seed=1)
    for number, names in enumerate(sets):
        fragments = [Fragment(class_name=name, class_id=f"IPR{ord(name)}", span=Span(0, 2)) for name in names]
        catalogue.add(Protein(uid=str(number), sequence="M" * (number + 2), fragments=fragments), "nested")
    return catalogue


def draw(catalogue, uid, count, hard=0.0):
    present = catalogue.present(uid)
    drawn = catalogue.draw(uid, present, catalogue.lacking(present, "nested"), count, hard)
    return [each.name for each, _ in drawn]


@given(CLASSES, st.sets(st.sampled_from("bcdefghi"), min_size=1).map(sorted), st.integers(1, 9))
def test_a_new_protein_only_brings_its_own_new_classes(sets, more, count):
    before, after = catalogue_of(sets), catalogue_of([*sets, more])
    new = set(more) - {name for names in sets for name in names}
    for number, names in enumerate(sets):
        first, second = (draw(each, str(number), count) for each in (before, after))
        assert len(first) == len(set(first)) and not {*first, *second} & set(names)
        assert set(second) - set(first) <= new or count > 1
        if not new:
            assert second == first


@given(CLASSES, st.integers(1, 9))
def test_as_many_as_asked_for_if_there_are_so_many(sets, count):
    catalogue = catalogue_of(sets)
    known = {name for names in sets for name in names}
    for number, names in enumerate(sets):
        for hard in (0.0, 1.0):
            assert len(draw(catalogue, str(number), count, hard)) == min(count, len(known - set(names)))


def test_random_and_frequent_classes_come_as_often_as_they_should():
    """Ten draws a protein are not needed: 4,000 records draw one class each of eight, one of which 64 proteins have."""
    sets = [[name] for name in "bcdefgi"] + [["h"]] * 64 + [["z"]]
    catalogue = catalogue_of(sets)
    present = catalogue.present(str(len(sets) - 1))
    lacking = catalogue.lacking(present, "nested")
    for hard, share in ((0.0, 1 / 8), (1.0, 64 / 71)):
        drawn = Counter(
            each.name for n in range(4000) for each, _ in catalogue.draw(str(n), present, lacking, 1, hard)
        )
        assert drawn["h"] / 4000 == pytest.approx(share, abs=0.03)
        assert drawn["b"] / 4000 == pytest.approx((1 - share) / 7, abs=0.03)


def test_hard_ones_are_of_relatives_and_of_like_names():
    def protein_of(uid, names):
        fragments = [Fragment(class_name=name, class_id="", span=Span(0, 2)) for name in names]
        return Protein(uid=uid, sequence="M" * (int(uid) + 2), fragments=fragments)

    catalogue = Catalogue(seed=1)
    sets = [
        ["SH3"],
        ["SH3", "Kinase"],
        ["Proton donor"],
        ["Proton acceptor"],
        *([f"X{n}"] for n in range(20)),
    ]
    for number, names in enumerate(sets):
        catalogue.add(protein_of(str(number), names), "nested")
    kinds = {}
    for uid in ("0", "2"):
        present = catalogue.present(uid)
        lacking = catalogue.lacking(present, "nested")
        kinds[uid] = {
            (kind, each.name)
            for n in range(60)
            for each, kind in catalogue.draw(f"{uid}/{n}", present, lacking, 1, 1.0)
            if kind != "frequent"
        }
    assert kinds == {"0": {("relative", "Kinase")}, "2": {("namesake", "Proton acceptor")}}
