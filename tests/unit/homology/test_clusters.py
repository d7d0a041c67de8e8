"""Clusters from given pairs of relatives."""

import random

import pytest

from fragmodel.homology import clusters
from fragmodel.homology.clusters import Name, Published, cluster_relatives
from fragmodel.homology.search import Hit


@pytest.fixture
def given_hits(monkeypatch):
    """Sets what the search finds: (query sequence, target sequence, identity)."""

    def install(*found):
        def relatives(queries, targets, *, threads):
            assert len(set(queries)) == len(queries) and len(set(targets)) == len(targets)
            for query, target, identity in found:
                if query not in queries or target not in targets:
                    continue  # a pair of the other search
                yield Hit(queries.index(query), targets.index(target), identity, 50, 1e-9, 1, 1)

        monkeypatch.setattr(clusters, "relatives", relatives)

    return install


def clustered(sequences, identity, published=None, fragments=None, published_fragments=None):
    names = {Name(*key.split()): sequence for key, sequence in sequences.items()}
    pieces = {Name(*key.split()): found for key, found in (fragments or {}).items()}
    known = Published(published or {}, published_fragments or {})
    found = cluster_relatives(names, pieces, identity=identity, published=known)
    return [({f"{name.data_name} {name.uid}" for name in members}, splits) for members, splits in found]


def test_pairs_join_into_components_in_the_order_of_the_first_members(given_hits):
    given_hits(("W", "M", 0.5), ("M", "K", 0.5), ("V", "W", 0.49))
    sequences = {"A v": "V", "A k": "K", "A l": "L", "A m": "M", "A w": "W"}
    assert clustered(sequences, {"A": 0.5}) == [
        ({"A v"}, set()), ({"A k", "A m", "A w"}, set()), ({"A l"}, set()),
    ]  # fmt: skip


def test_one_uid_and_one_sequence_are_one_cluster_without_a_hit(given_hits):
    given_hits()
    sequences = {"A 1": "K", "B 1": "L", "B 2": "M", "C 3": "M", "C 4": "W"}
    assert [names for names, _ in clustered(sequences, {"A": 0.5, "B": 0.5, "C": 0.5})] == [
        {"A 1", "B 1"}, {"B 2", "C 3"}, {"C 4"},
    ]  # fmt: skip


def test_the_lower_identity_of_two_data_sets_counts(given_hits):
    given_hits(("K", "L", 0.4), ("M", "K", 0.4), ("V", "M", 0.4))
    sequences = {"A 1": "K", "B 2": "L", "A 3": "M", "A 4": "V", "B 5": "V"}
    # K and M are both of A alone; V is also of B.
    assert [names for names, _ in clustered(sequences, {"A": 0.9, "B": 0.3})] == [
        {"A 1", "B 2"}, {"A 3", "A 4", "B 5"},
    ]  # fmt: skip


def test_a_published_protein_marks_clusters_and_joins_none(given_hits):
    given_hits(("K", "P", 0.6), ("L", "P", 0.6), ("M", "P", 0.2), ("K", "K", 1.0), ("L", "Q", 0.6))
    published = {"P": "train", "Q": "test", "K": "valid"}
    assert clustered({"A 1": "K", "A 2": "L", "A 3": "M"}, {"A": 0.5}, published) == [
        ({"A 1"}, {"train", "valid"}), ({"A 2"}, {"train", "test"}), ({"A 3"}, set()),
    ]  # fmt: skip


def test_fragments_join_their_proteins(given_hits):
    """By a related fragment (at the lower identity), by the protein that holds it, and by the same fragment."""
    given_hits(("f", "g", 0.4), ("h", "M", 0.9), ("e", "f", 0.39))
    sequences = {"A 1": "K", "B 2": "L", "A 3": "M", "A 4": "N", "A 5": "P", "A 6": "Q", "A 7": "R"}
    fragments = {"A 1": {"f"}, "B 2": {"g"}, "A 4": {"h"}, "A 5": {"s", "e"}, "A 6": {"s"}}
    assert [names for names, _ in clustered(sequences, {"A": 0.9, "B": 0.4}, fragments=fragments)] == [
        {"A 1", "B 2"}, {"A 3", "A 4"}, {"A 5", "A 6"}, {"A 7"},
    ]  # fmt: skip


def test_published_fragments_and_proteins_mark_by_fragment(given_hits):
    given_hits(("p", "K", 0.6), ("p", "k", 0.6), ("l", "P", 0.6), ("m", "p", 0.4), ("p", "P", 1.0))
    found = clustered(
        {"A 1": "K", "A 2": "L", "A 3": "M"},
        {"A": 0.5},
        {"P": "train"},
        {"A 2": {"l"}, "A 3": {"m"}},
        {"p": "test"},
    )
    assert found == [({"A 1"}, {"test"}), ({"A 2"}, {"train"}), ({"A 3"}, set())]


def test_components_are_those_of_a_search_through_the_graph(given_hits):
    dice = random.Random(1)
    sequences = {f"A {n}": "K" * (n + 1) for n in range(60)}
    edges = [(dice.randrange(60), dice.randrange(60)) for _ in range(40)]
    given_hits(*(("K" * (i + 1), "K" * (j + 1), 1.0) for i, j in edges))
    expected, seen = [], set()
    for start in range(60):
        reached, new = set(), {start}
        while new - reached:
            reached |= new
            new = {k for edge in edges if reached & set(edge) for k in edge}
        if start not in seen:
            expected.append({f"A {n}" for n in reached})
        seen |= reached
    assert [names for names, _ in clustered(sequences, {"A": 0.5})] == expected
    assert len(expected) > 5
