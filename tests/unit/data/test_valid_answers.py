"""The automaton of valid answers against every text that it can give, for short windows."""

from collections.abc import Iterator
from itertools import combinations, permutations, product

import pytest

from fragmodel.data.grammar import NONE, grounding_answer
from fragmodel.data.prompts import SPAN_CLOSE, SPAN_OPEN
from fragmodel.data.valid_answers import CLOSE, END, OPEN, State, ValidAnswers, valid_answers
from fragmodel.evaluation.parse import OK, parse_spans
from fragmodel.vocabulary import Span


def texts(automaton: ValidAnswers, state: State | None = None, done: tuple[int, ...] = ()) -> Iterator[str]:
    """Every answer, by following every symbol."""
    followed = list(automaton.symbols(automaton.start if state is None else state))
    assert followed, "a dead end"
    assert len({symbol for symbol, _ in followed}) == len(followed), "two ways with one symbol"
    for symbol, after in followed:
        if symbol == END:
            yield as_text(done)
        else:
            yield from texts(automaton, after, (*done, symbol))


def as_text(symbols: tuple[int, ...]) -> str:
    markers = {OPEN: SPAN_OPEN.encode(), CLOSE: SPAN_CLOSE.encode()}
    return b"".join(markers.get(symbol) or bytes([symbol]) for symbol in symbols).decode()


def spans(window: int) -> list[Span]:
    return [Span(start, end) for start in range(window) for end in range(start + 1, window + 1)]


def choices(window: int, most: int) -> list[tuple[Span, ...]]:
    return [chosen for count in range(1, most + 1) for chosen in combinations(spans(window), count)]


@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize("may_be_none", [False, True])
def test_all_lists_of_spans_and_no_others(window: int, may_be_none: bool) -> None:
    found = sorted(texts(valid_answers("grounding_single", window=window, may_be_none=may_be_none)))
    lists = choices(window, len(spans(window)))
    expected = [grounding_answer("grounding_single", [("", chosen)]) for chosen in lists]
    assert found == sorted(expected + [NONE] * may_be_none)


def first_spans(automaton: ValidAnswers) -> set[str]:
    """Texts of one span, of a window too long for all lists."""

    def walk(state: State, done: tuple[int, ...]) -> Iterator[str]:
        for symbol, after in automaton.symbols(state):
            if symbol == END:
                yield as_text(done)
            elif symbol != ord(",") or after[0] != "space":
                yield from walk(after, (*done, symbol))

    return set(walk(automaton.start, ()))


@pytest.mark.parametrize("window", [9, 10, 11, 101])
def test_numbers_of_several_digits(window: int) -> None:
    expected = {grounding_answer("grounding_single", [("", [span])]) for span in spans(window)}
    assert first_spans(valid_answers("grounding_single", window=window)) == expected


@pytest.mark.parametrize("may_be_none", [False, True])
@pytest.mark.parametrize("names", [["ab", "a", "a: b"], ["none", "no", "nonet"]])
def test_groups_name_each_class_once(names: list[str], may_be_none: bool) -> None:
    """One class begins another, one holds what ends a name, one is the very word for nothing."""
    found = set(texts(valid_answers("grounding_group", window=2, classes=names, may_be_none=may_be_none)))
    lists = choices(2, 3)
    expected = {
        grounding_answer("grounding_group", list(zip(named, places, strict=True)))
        for count in (1, 2, 3)
        for named in permutations(names, count)
        for places in product(lists, repeat=count)
    }
    assert found == expected | ({NONE} if may_be_none else set())
    assert all(parse_spans(text, 2).status == OK for text in found)


def test_a_class_is_one_of_the_names() -> None:
    names = ["β-lactamase", "SH3", "SH3 domain", "zinc  finger", ""]
    found = list(texts(valid_answers("referring_class", classes=names)))
    assert sorted(found) == sorted(["β-lactamase", "SH3", "SH3 domain", "zinc finger"])


def test_free_text_stays_free() -> None:
    assert valid_answers("referring_desc") is valid_answers("function") is None
    assert valid_answers("referring_class") is valid_answers("grounding_group", window=9) is None


def test_a_pointer_is_a_whole_answer_wherever_it_is_allowed():
    pointers = ["=1", "=2"]
    assert set(texts(valid_answers("referring_class", classes=["a", "=x"], pointers=pointers))) == {
        *("a", "=x"),
        *pointers,
    }
    for task, classes in (("grounding_single", ()), ("grounding_group", ("a", "b"))):
        asked = {"window": 2, "classes": classes, "may_be_none": True}
        free = set(texts(valid_answers(task, **asked)))
        assert set(texts(valid_answers(task, **asked, pointers=pointers))) == free | set(pointers)
