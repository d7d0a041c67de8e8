"""Profiles of training classes find planted relatives, and tell where they are."""

import random

import numpy as np
import pytest
from mutants import mutated, random_sequence
from small_tables import grounding_record, record, write_records

from fragmodel.evaluation.baselines.profile_search import ProfileSearch, fragments_of
from fragmodel.evaluation.parse import parse_spans
from fragmodel.evaluation.references import read_references
from fragmodel.homology.profiles import Member, build_profile, profiles_of, search_profiles
from fragmodel.vocabulary import Span

DICE = random.Random(5)
FOLD, SITE, LONE = random_sequence(DICE, 90), random_sequence(DICE, 72), random_sequence(DICE, 80)


def holding(*pieces):
    return "".join(random_sequence(DICE, piece) if isinstance(piece, int) else piece for piece in pieces)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    rows = []
    for number in range(6):
        left = 20 + 7 * number
        rows.append(
            grounding_record(
                f"f{number}",
                f"F{number}",
                {"Fold": [(left, left + 90)]},
                sequence=holding(left, mutated(DICE, FOLD, 0.6), 40),
            )
        )
        # Twelve residues in the middle of a neighbourhood that is alike.
        rows.append(
            grounding_record(
                f"s{number}",
                f"S{number}",
                {"Site": [(left + 30, left + 42)]},
                sequence=holding(left, mutated(DICE, SITE, 0.7), 50),
            )
        )
    rows.append(
        record(
            "l",
            "L",
            "referring_class",
            classes=["Lone"],
            answer="Lone",
            sequence=holding(10, LONE, 30),
            ref=[10, 90],
        )
    )
    return by_task(write_records(tmp_path_factory.mktemp("known"), rows))


def by_task(path):
    tasks = {}
    for reference in read_references([path]).values():
        tasks.setdefault(reference.key.task_type, []).append(reference)
    return tasks


def test_planted_relatives_are_found_at_their_places(known, tmp_path):
    window = holding(60, mutated(DICE, FOLD, 0.5), 50, mutated(DICE, SITE, 0.6), 40)
    alone = holding(30, mutated(DICE, LONE, 0.5), 60)
    rows = [
        grounding_record("g", "P", {"Fold": [(60, 150)]}, sequence=window),
        grounding_record("n", "Q", {"Fold": [(0, 9)]}, sequence=random_sequence(DICE, 300)),
        grounding_record("s", "P", {"Site": [(230, 242)]}, "grounding_single", window),
        record("c", "R", "referring_class", classes=["Lone"], answer="Lone", sequence=alone, ref=[35, 100]),
    ]
    asked = by_task(write_records(tmp_path, rows))
    system = ProfileSearch(known, asked)
    texts = {
        key.record_id: text
        for task in asked
        for key, text in system(known.get(task, []), asked[task]).items()
    }
    places = dict(parse_spans(texts["g"], len(window)).groups)
    assert set(places) == {"Fold", "Site"}
    assert places["Fold"][0] == pytest.approx((60, 150), abs=6)
    assert places["Site"] == [(230, 242)] == parse_spans(texts["s"], len(window)).spans
    assert (texts["c"], texts["n"]) == ("Lone", "none")


def test_e_values_are_those_of_hmmscan_and_the_same_twice(known):
    """They grow with the profiles, not with the windows (P-value times size of the library)."""
    profiles = profiles_of(fragments_of(known))
    assert [profile.class_name for profile in profiles] == ["Fold", "Lone", "Site"]
    window = holding(60, mutated(DICE, FOLD, 0.5), 50)
    (hit,) = search_profiles(profiles, [window])[window]
    (again,) = search_profiles(
        profiles_of(fragments_of(known)), [window, *(random_sequence(DICE, 100) for _ in range(9))]
    )[window]
    assert again == hit
    (alone,) = search_profiles(profiles[:1], [window])[window]
    assert alone.e_value * 3 == pytest.approx(hit.e_value)


def test_a_profile_has_the_columns_that_half_of_the_fragments_fill(known):
    fold, lone, site = profiles_of(fragments_of(known))
    assert pytest.approx(90, abs=3) == fold.hmm.M and fold.core == (0, fold.hmm.M)
    assert (lone.hmm.M, lone.core) == (80, (0, 80))
    assert pytest.approx(72, abs=2) == site.hmm.M and site.core == pytest.approx((30, 42), abs=1)


def test_order_and_number_of_fragments_do_not_matter():
    members = [Member(mutated(DICE, LONE, 0.8), Span(0, 80)) for _ in range(130)]
    one = build_profile("A", set(members))
    DICE.shuffle(members)
    other = build_profile("A", set(members))
    assert other.core == one.core and other.hmm.consensus == one.hmm.consensus
    for values in (
        "match_emissions",
        "insert_emissions",
        "transition_probabilities",
    ):  # a model holds its time, too
        assert np.array_equal(getattr(other.hmm, values), getattr(one.hmm, values))
    assert one.hmm.nseq == 100
