"""The search: hits of known alignments by both tools, and how the output of MMseqs2 is read."""

import logging
import math
import random
import tracemalloc
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutants import mutated, random_sequence

from fragmodel.errors import UserError
from fragmodel.homology import search as module
from fragmodel.homology.search import Block, Hit, relatives, search

DICE = random.Random(1)
ONE, TWO, OTHER = (random_sequence(DICE, 120) for _ in range(3))
# A relative of ONE: other residues in front, three missing after residue 40, every tenth changed.
RELATIVE = random_sequence(DICE, 15) + "".join(
    "W" if i % 10 == 5 else c for i, c in enumerate(ONE[:40] + ONE[43:])
)


def pairs(blocks):
    """(target residue, query residue), from 0."""
    return [(target + i, query + i) for query, target, length in blocks for i in range(length)]


def test_a_relative_is_found_and_aligned(tool):
    """RELATIVE has 15 residues in front and lacks residues 40 to 42 of ONE."""
    assert module.tool() == tool
    (hit,) = search([RELATIVE, OTHER], [TWO + "U", ONE], blocks=True)
    assert (hit.query, hit.target) == (0, 1)
    aligned = pairs(hit.blocks)
    for target, query in aligned:
        # Around the gap, and at the ends, an aligner may choose among equally good places.
        if 3 < target < 36 or 47 < target < 117:
            assert query == target + 15 - (3 if target > 40 else 0)
    assert len(aligned) > 100
    (first_target, first_query), (last_target, last_query) = aligned[0], aligned[-1]
    same = sum(ONE[target] == RELATIVE[query] for target, query in aligned)
    columns = len(aligned) + 3
    assert hit.identity == pytest.approx(same / columns, abs=1e-3)
    assert hit.query_coverage == pytest.approx((last_query + 1 - first_query) / 132, abs=1e-3)
    assert hit.target_coverage == pytest.approx((last_target + 1 - first_target) / 120, abs=1e-3)
    assert hit.e_value < 1e-20 and hit.bits > 100


def test_short_and_repetitive_targets_have_no_hits(tool):
    del tool
    assert list(search([ONE, "MK", "A" * 60], ["MKT", "M", "A" * 59])) == []


def test_a_sequence_always_finds_itself(tool):
    del tool
    queries = [ONE, "MK", "A" * 60]
    for hit, query in zip(search(queries, ["A" * 60, "MK", ONE], blocks=True), queries, strict=True):
        assert (hit.identity, hit.query_coverage, hit.target_coverage) == (1, 1, 1)
        assert hit.blocks == (Block(0, 0, len(query)),)
        assert hit.target == 2 - hit.query and hit.bits > 0


def test_proteins_that_look_like_nucleotides_are_proteins(tool):
    del tool
    dice = random.Random(3)
    sequence = "".join(dice.choice("ACGT") for _ in range(200))
    changed = "".join("T" if place % 20 == 7 else letter for place, letter in enumerate(sequence))
    (hit,) = search([sequence], [changed], blocks=True)
    # A translation would be aligned by threes.
    assert sum(block.length for block in hit.blocks) > 180 and hit.identity > 0.9


def test_the_best_hits_are_the_first_of_all(tool):
    del tool
    dice = random.Random(2)
    families = [[mutated(dice, base, 0.7) for _ in range(6)] for base in (ONE, TWO)]
    sequences = [sequence for family in families for sequence in family]
    everything = list(search(sequences, sequences, threads=2))
    assert all(hit.blocks is None for hit in everything)
    assert everything == sorted(everything, key=lambda hit: (hit.query, -hit.bits, hit.target))
    assert {(hit.query, hit.target) for hit in everything} == {
        (i, j) for i in range(12) for j in range(12) if i // 6 == j // 6
    }
    assert len(everything) == 72
    for best in (1, 4):
        expected = [
            hit for _, hits in groupby(everything, lambda hit: hit.query) for hit in list(hits)[:best]
        ]
        assert list(search(sequences, sequences, best=best)) == expected


def test_relatives_cover_half_of_the_shorter_sequence(tool):
    del tool
    # 60 common residues are half of a sequence of 110 and not of one of 130.
    for length, found in ((110, [(0, 0)]), (130, [])):
        mine = ONE[:60] + random_sequence(DICE, length - 60)
        hits = list(relatives([mine], [ONE[:60] + random_sequence(DICE, 200)]))
        assert [(hit.query, hit.target) for hit in hits] == found


def test_the_fallback_says_so(monkeypatch, caplog):
    monkeypatch.setenv("PATH", str(Path("/nonexistent")))
    assert module.tool() == module.BIOPYTHON
    with caplog.at_level(logging.WARNING):
        assert len(list(search([ONE], [ONE]))) == 1
    assert "mmseqs is not on PATH" in caplog.text


def test_gaps_cost_what_blast_takes_for_them(monkeypatch):
    """A gap of three residues costs 11 + 3; 0.267 and 0.041 are BLAST's for BLOSUM62 with these costs."""
    from Bio.Align import substitution_matrices

    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    matrix = substitution_matrices.load("BLOSUM62")
    (hit,) = search([ONE[:60] + ONE[63:]], [ONE], blocks=True)
    score = sum(matrix[c, c] for c in ONE[:60] + ONE[63:]) - 14
    assert hit.bits == pytest.approx((0.267 * score - math.log(0.041)) / math.log(2), abs=1e-3)
    assert hit.e_value == pytest.approx(117 * 120 * 2**-hit.bits)
    assert hit.identity == pytest.approx(117 / 120)
    assert (hit.query_coverage, hit.target_coverage) == (1, 1)
    assert sum(block.length for block in hit.blocks) == 117 and len(hit.blocks) == 2


def row(query, target, bits=50, *path):
    return "\t".join(map(str, [query, target, 0.5, bits, "1.5E-20", 0.75, 0.25, *path]))


def test_hits_come_in_the_order_of_the_queries_whatever_the_order_of_the_lines(fake_mmseqs):
    fake_mmseqs([row(11, 2, 30), row(11, 1, 40), row(1, 0), row(10, 1, 60), row(10, 0, 60), row(10, 2, 61)])
    queries = [random_sequence(DICE, 20) for _ in range(13)]
    hits = list(search(queries, [ONE, TWO, OTHER], best=2))
    assert [(hit.query, hit.target) for hit in hits] == [(1, 0), (10, 2), (10, 0), (11, 1), (11, 2)]
    assert hits[0] == Hit(1, 0, 0.5, 50, 1.5e-20, 0.75, 0.25)


def test_a_sequence_that_mmseqs_finds_in_part_or_not_at_all_is_found_whole(fake_mmseqs):
    fake_mmseqs([row(0, 1, 40, 3, 5, "9M2D9M"), row(0, 0, 50, 3, 3, "10M")])
    hits = list(search([ONE, TWO], [ONE, TWO], blocks=True))
    assert hits[:2] == [
        Hit(0, 0, 1.0, 50, 1.5e-20, 1.0, 1.0, (Block(0, 0, 120),)),
        Hit(0, 1, 0.5, 40, 1.5e-20, 0.75, 0.25, (Block(2, 4, 9), Block(11, 15, 9))),
    ]
    ((query, target, identity, *_),) = hits[2:]
    assert (query, target, identity) == (1, 1, 1.0)


def test_threads_reach_mmseqs_and_its_folder_is_recognised_and_removed(fake_mmseqs):
    called = fake_mmseqs()
    assert list(search([ONE], [TWO], threads=7)) == []
    folder, *arguments = called.read_text().split()
    assert arguments[arguments.index("--threads") + 1] == "7"
    assert Path(folder).name.startswith("fragmodel-") and not Path(folder).exists()


def test_the_folder_goes_when_the_reader_stops(fake_mmseqs):
    called = fake_mmseqs([row(0, 0), row(0, 1)])
    hits = search([ONE], [TWO, OTHER])
    assert next(hits).target == 0
    folder = Path(called.read_text().split()[0])
    assert folder.exists()
    hits.close()
    assert not folder.exists()


def test_hits_are_not_held(fake_mmseqs):
    """Twenty thousand hits take some 6 MB as tuples."""
    queries = [random_sequence(DICE, 20) for _ in range(50)]
    targets = [random_sequence(DICE, 20) for _ in range(400)]
    fake_mmseqs(row(query, target) for query in range(50) for target in range(400))
    tracemalloc.start()
    count = sum(1 for _ in search(queries, targets))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000 and peak < 1e6


def test_a_failure_of_mmseqs_is_told(fake_mmseqs):
    fake_mmseqs(script="echo first; echo disk full >&2; exit 3")
    with pytest.raises(UserError, match=r"^mmseqs easy-search failed with status 3: disk full$"):
        list(search([ONE], [TWO]))


def test_nothing_has_no_hits_and_starts_nothing(fake_mmseqs):
    called = fake_mmseqs()
    assert list(search([], [ONE])) == list(search([ONE], [])) == []
    assert not called.exists()


def test_a_target_that_comes_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        list(search([ONE], [TWO, TWO]))


@given(st.lists(st.tuples(st.sampled_from("MID"), st.integers(1, 9)), max_size=20), st.data())
def test_blocks_are_the_aligned_columns(runs, data):
    """Against a walk over single columns."""
    query, target = first = data.draw(st.tuples(st.integers(0, 50), st.integers(0, 50)))
    expected = []
    for letter in "".join(letter * count for letter, count in runs):
        if letter == "M":
            expected.append((target, query))
        query += letter in "MI"
        target += letter in "MD"
    blocks = list(module._blocks(*first, "".join(f"{count}{letter}" for letter, count in runs)))
    assert pairs(blocks) == expected
    assert len(blocks) == sum(letter == "M" for letter, _ in runs)
