"""Which answers are valid to a question about one window, as an automaton over bytes and span markers.

It accepts what :mod:`fragmodel.data.grammar` writes: spans of the window in ascending order, each with an end behind
its start; a line for each class in a group; :data:`NONE` where that may be said; a class name alone in classification.
Where the classes of a group are open, a line begins with any text, a colon and a space.

States are plain tuples, so that what follows from one can be remembered. Nothing can run into a dead end: each step
that is allowed leads on to an end.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fragmodel.data.grammar import NONE
from fragmodel.data.prompts import plain
from fragmodel.vocabulary import GROUNDING_TASKS, Span, TaskType

OPEN, CLOSE, END = (
    256,
    257,
    258,
)  # symbols beside the 256 bytes: the markers around a span, the end of the answer

_NONE = NONE.encode()
_PRINTED = bytes([*range(0x20, 0x7F), *range(0x80, 0x100)])
LONGEST_TEXT = 80  # bytes of a class in an open group, after which it ends with the token that passes them

State = tuple[Any, ...]


class ValidAnswers(NamedTuple):
    """The automaton of one kind of question. Windows count 0-based and half-open."""

    task: TaskType
    window: int = 0
    """Residues of the window; grounding."""
    names: tuple[bytes, ...] = ()
    """What a line may begin with, in ascending order: the classes, in a group with the colon and the space behind them,
    and as they are those that may be the whole answer; the latter alone for a single class."""
    whole: frozenset[bytes] = frozenset()
    """Names that are an answer by themselves: :data:`NONE`, and pointers to lines of evidence."""
    free: bool = False
    """Whether the lines of a group may begin with any text."""

    @property
    def start(self) -> State:
        """The state before the answer."""
        return ("text", b"", b"", LONGEST_TEXT) if self.free else ("begin",)

    def symbols(self, state: State) -> Iterator[tuple[int, State]]:
        """What may come next, each with the state that it leads to."""
        kind, *rest = state
        yield from getattr(self, f"_{kind}")(*rest)

    def after(self, state: State, symbol: int) -> State:
        """The state that a symbol which may come next leads to."""
        kind, *rest = state
        if symbol < OPEN and kind in ("begin", "name"):  # no need to look at all names, nor at all digits
            done, used = rest or (b"", ())
            return ("name", done + bytes([symbol]), used)
        if kind == "text" and symbol < OPEN:
            return self._after_text(*rest, symbol)
        if kind == "number" and chr(symbol).isdecimal():
            before, start, digits, used = rest
            return (kind, before, start, digits + chr(symbol), used)
        return dict(self.symbols(state))[symbol]

    def key(self, state: State) -> tuple[Any, ...]:
        """What decides what may be written from ``state`` up to the next marker: equal for many states.

        It holds for automata of the same names and task, whatever their windows.
        """
        kind, *rest = state
        if kind in ("bracket", "number"):
            return (self.window, kind, *rest[:-1])
        if kind == "name":
            first, last = self._range(rest[0])
            return (kind, rest[0], tuple(number for number in rest[1] if first <= number < last))
        if kind == "text":
            done, last, left = rest
            return (kind, done, last, left > 0)
        if kind == "after":
            low, high = self._bounds(rest[0], None)
            return (kind, low <= high, rest[1])
        return (kind,)

    def digits_after(self, state: State, values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Which strings of digits may come next in a number ``state``: bool [n].

        ``values`` int64 [n] are the numbers that they write, ``sizes`` int64 [n] ten to the power of their lengths.
        """
        _, before, start, digits, _ = state
        low, high = self._bounds(before, start)
        if digits == "0":
            return np.zeros(len(values), dtype=bool)
        least = int(digits or "0") * sizes + values
        allowed, size = (low <= least) & (least <= high), 1
        for _ in range(len(str(high))):  # with more digits behind them
            size *= 10
            allowed |= (least > 0) & (least * size <= high) & (least * size + size > low)
        leading_zero = (digits == "") & (10 * values < sizes) & (sizes > 10)
        return allowed & ~leading_zero

    def says_nothing(self, state: State) -> bool:
        """Whether all that can follow ``state`` is that there is nothing."""
        if state[0] != "name" or state[2]:
            return False
        first, last = self._range(state[1])
        return self.names[first:last] == (_NONE,)

    def _begin(self) -> Iterator[tuple[int, State]]:
        if self.task == "grounding_single":
            yield OPEN, ("bracket", None, ())
        yield from self._name(b"", ())

    def _name(self, done: bytes, used: tuple[int, ...]) -> Iterator[tuple[int, State]]:
        """Bytes that go on with a name; ``used`` are the numbers of those that may not come again."""
        first, last = self._range(done)
        if first < last and self.names[first] == done:
            if first not in used:
                yield self._after_name(done, first, used)
            first += 1
        while first < last:
            longer = done + self.names[first][len(done) : len(done) + 1]
            first, ends = self._range(longer)
            if ends - first > sum(first <= number < ends for number in used):
                yield longer[-1], ("name", longer, used)
            first = ends

    def _after_name(self, name: bytes, number: int, used: tuple[int, ...]) -> tuple[int, State]:
        if self.task == "referring_class" or name in self.whole:
            return END, ()
        alone = (bisect_left(self.names, each) for each in self.whole)
        return OPEN, ("bracket", None, tuple(sorted({*used, *alone, number})))

    def _text(self, done: bytes | None, last: bytes, left: int) -> Iterator[tuple[int, State]]:
        """What may go on with the class of a line: ``done`` is what may become a whole name, ``last`` its last bytes as
        far as they matter. All bytes where any are ``left``, which :meth:`after` counts; else what ends the class.
        """
        if last == b": ":
            yield OPEN, ("bracket", None, ())
        if done in self.whole:
            yield END, ()
        if left:
            barred = {b"": b" :", b"<": b"|"}.get(last, b"")  # no marker is spelled out
            allowed = bytes(byte for byte in _PRINTED if byte not in barred)
        else:
            allowed = {b": ": b"", b":": b" "}.get(last, b":")
        for byte in allowed:
            yield byte, self._after_text(done, last, left, byte)

    def _after_text(self, done: bytes | None, last: bytes, left: int, byte: int) -> State:
        if done is not None:
            done += bytes([byte])
            done = done if any(name.startswith(done) for name in self.whole) else None
        both = last[-1:] + bytes([byte])
        seen = next((end for end in (b": ", b":", b"<") if both.endswith(end)), b"x")
        return ("text", done, seen, max(0, left - 1))

    def _range(self, prefix: bytes) -> tuple[int, int]:
        """The names that begin with ``prefix``, as a range of numbers."""
        first = bisect_left(self.names, prefix)
        return first, bisect_left(self.names, True, lo=first, key=lambda name: not name.startswith(prefix))

    def _bracket(self, before: Span | None, used: tuple[int, ...]) -> Iterator[tuple[int, State]]:
        yield ord("("), ("number", before, None, "", used)

    def _number(
        self, before: Span | None, start: int | None, digits: str, used: tuple[int, ...]
    ) -> Iterator[tuple[int, State]]:
        """A start, or the end that follows ``start``: digits without a leading zero, of a number that is allowed."""
        low, high = self._bounds(before, start)
        if digits and low <= int(digits) <= high:
            if start is None:
                yield ord(","), ("number", before, int(digits), "", used)
            else:
                yield ord(")"), ("close", Span(start, int(digits)), used)
        if digits != "0":
            for digit in "0123456789":
                if _leads_into(digits + digit, low, high):
                    yield ord(digit), ("number", before, start, digits + digit, used)

    def _bounds(self, before: Span | None, start: int | None) -> tuple[int, int]:
        """The least and the greatest number: spans ascend by start, then by end."""
        if start is None:
            low = 0 if before is None else before.start + (before.end == self.window)
            return low, self.window - 1
        return (start if before is None or start > before.start else before.end) + 1, self.window

    def _close(self, span: Span, used: tuple[int, ...]) -> Iterator[tuple[int, State]]:
        yield CLOSE, ("after", span, used)

    def _after(self, span: Span, used: tuple[int, ...]) -> Iterator[tuple[int, State]]:
        yield END, ()
        low, high = self._bounds(span, None)
        if low <= high:
            yield ord(","), ("space", span, used)
        if self.free:
            yield ord("\n"), ("text", None, b"", LONGEST_TEXT)
        elif self.task == "grounding_group" and len(used) < len(self.names):
            yield ord("\n"), ("name", b"", used)

    def _space(self, span: Span, used: tuple[int, ...]) -> Iterator[tuple[int, State]]:
        yield ord(" "), ("marker", span, used)

    def _marker(self, span: Span, used: tuple[int, ...]) -> Iterator[tuple[int, State]]:
        yield OPEN, ("bracket", span, used)


def valid_answers(
    task: TaskType,
    *,
    window: int = 0,
    classes: Sequence[str] = (),
    may_be_none: bool = False,
    pointers: Sequence[str] = (),
    any_class: bool = False,
) -> ValidAnswers | None:
    """The automaton of a question; ``None`` where an answer is free text, or no class is known to choose among.

    ``pointers`` are words that may stand for a whole answer. With ``any_class`` the lines of a group may name what is
    none of the ``classes``.
    """
    free = any_class and task == "grounding_group"
    known = {plain(name) for name in classes} - {""}
    names = {f"{name}: " if task == "grounding_group" else name for name in known}
    if not free and not (
        names if task in ("grounding_group", "referring_class") else task == "grounding_single"
    ):
        return None
    whole = {NONE} if may_be_none and task in GROUNDING_TASKS else set()
    whole |= set(pointers)
    names = whole | (names if task != "grounding_single" and not free else set())
    texts = (tuple(sorted(name.encode() for name in some)) for some in (names, whole))
    return ValidAnswers(task, window, next(texts), frozenset(next(texts)), free)


def _leads_into(digits: str, low: int, high: int) -> bool:
    """Whether ``digits``, or they with more behind them, are a number from ``low`` to ``high``."""
    if digits == "0":
        return low <= 0 <= high
    least, size = int(digits), 1
    while least <= high:
        if least + size - 1 >= low:
            return True
        least, size = 10 * least, 10 * size
    return False
