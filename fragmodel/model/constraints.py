"""Valid answers in tokens: which tokens may come next, for any tokenizer of bytes.

Tokens are allowed by the text that they write, not by how the tokenizer would cut it: where the free answer is valid
already, it is the answer under the constraint too.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from fragmodel.data.prompts import SPAN_CLOSE, SPAN_OPEN
from fragmodel.data.valid_answers import CLOSE, END, OPEN, State, ValidAnswers
from fragmodel.errors import UserError

LONGEST_NUMBER = 9  # digits of a token that are read as a number
_SINGLE_DIGITS = 10  # tokens; where there are no more, trying each is faster than arithmetic on all of them
_UNPLAIN = re.compile(rb"\x7f|<\|")
REMEMBERED = 4096  # sets of tokens that a model's constraints of one kind hold at a time


class Following(NamedTuple):
    """What may follow a state: token ids int64 [n], and at the start which of them (places) can only say "none"."""

    ids: np.ndarray
    silent: np.ndarray
    may_end: bool


class Words:
    """Texts and their tokens in ascending order."""

    def __init__(self, texts: Iterable[tuple[bytes, int]]) -> None:
        pairs = sorted(texts)
        self.texts = [text for text, _ in pairs]
        self.ids = [token for _, token in pairs]

    def range(self, prefix: bytes, low: int, high: int) -> tuple[int, int]:
        """The places from ``low`` to ``high`` of the texts that begin with ``prefix``."""
        first = bisect_left(self.texts, prefix, low, high)
        return first, bisect_left(self.texts, prefix + b"\xff" * 8, first, high)


class Vocabulary:
    """The tokens of a tokenizer as the bytes that they write."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        texts = {token: text for token, text in token_bytes(tokenizer).items() if text}
        numbers = {
            token: text for token, text in texts.items() if text.isdigit() and len(text) <= LONGEST_NUMBER
        }
        self.words = Words((text, token) for token, text in texts.items())
        self.others = Words((text, token) for token, text in texts.items() if token not in numbers)
        """All but strings of digits, of which some tokenizers have a thousand."""
        self.numbers = np.array(list(numbers), dtype=np.int64)
        self.values = np.array([int(text) for text in numbers.values()], dtype=np.int64)
        self.sizes = np.array([10 ** len(text) for text in numbers.values()], dtype=np.int64)
        plain = {
            token: text[0] for token, text in texts.items() if min(text) >= 0x20 and not _UNPLAIN.search(text)
        }
        self.plain = np.array(list(plain), dtype=np.int64)
        self.firsts = np.array(list(plain.values()), dtype=np.int64)
        """Tokens that write a part of any text in a line, and the first byte of each."""
        self.special = {
            OPEN: tokenizer.convert_tokens_to_ids(SPAN_OPEN),
            CLOSE: tokenizer.convert_tokens_to_ids(SPAN_CLOSE),
            END: tokenizer.eos_token_id,
        }
        self.symbols: dict[int, Sequence[int]] = texts | {
            token: (symbol,) for symbol, token in self.special.items()
        }
        """What each token writes, for the automaton."""


class Constraint:
    """One automaton over one vocabulary; the sets of tokens are remembered for windows of all lengths."""

    def __init__(
        self,
        automaton: ValidAnswers,
        vocabulary: Vocabulary,
        remembered: dict[Any, Following] | None = None,
    ) -> None:
        self.automaton, self.vocabulary = automaton, vocabulary
        self.start = automaton.start
        self._remembered: dict[Any, Following] = {} if remembered is None else remembered

    def of_window(self, window: int) -> "Constraint":
        """The same for a window of another length."""
        return Constraint(self.automaton._replace(window=window), self.vocabulary, self._remembered)

    def after(self, state: State, token: int) -> State:
        """The state that a token which may follow leads to."""
        for symbol in self.vocabulary.symbols[token]:
            state = self.automaton.after(state, symbol)
        return state

    def follow(self, state: State) -> Following:
        """What may follow a state. Raises :class:`UserError` when no token writes any of it."""
        key = self.automaton.key(state)
        if key not in self._remembered:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = self._follow(state)
        return self._remembered[key]

    def _follow(self, state: State) -> Following:
        words = self.vocabulary
        if state[0] == "number" and len(words.numbers) > _SINGLE_DIGITS:
            found, may_end = self._search(state, words.others)
            digits = self.automaton.digits_after(state, words.values, words.sizes)
            ids = np.concatenate([np.array(found, dtype=np.int64), words.numbers[digits]])
        elif state[0] == "text" and state[-1]:
            symbols = [symbol for symbol, _ in self.automaton.symbols(state)]
            found = [words.special[symbol] for symbol in symbols if symbol in words.special]
            may_end = END in symbols
            allowed = np.isin(words.firsts, [symbol for symbol in symbols if symbol not in words.special])
            ids = np.concatenate([np.array(found, dtype=np.int64), words.plain[allowed]])
        else:
            found, may_end = self._search(state, words.words)
            ids = np.array(found, dtype=np.int64)
        if not len(ids):
            raise UserError(
                "the decoder's tokenizer cannot write a valid answer; set evaluation.constrained: false"
            )
        says_nothing = self.automaton.says_nothing
        silent = [says_nothing(self.after(state, token)) for token in found if state == self.start]
        return Following(ids, np.flatnonzero(silent), may_end)

    def _search(self, state: State, words: Words) -> tuple[list[int], bool]:
        """Which of the ``words`` and markers may follow, byte by byte; and whether the end may."""
        special = self.vocabulary.special
        ids: list[int] = []
        may_end = False
        pending = [(state, b"", 0, len(words.texts))]
        while pending:
            at, text, low, high = pending.pop()
            for symbol, after in self.automaton.symbols(at):
                if symbol in special:
                    if not text:
                        may_end |= symbol == END
                        ids.append(special[symbol])
                    continue
                longer = text + bytes([symbol])
                first, last = words.range(longer, low, high)
                while first < last and words.texts[first] == longer:
                    ids.append(words.ids[first])
                    first += 1
                if first < last:
                    pending.append((after, longer, first, last))
        return ids, may_end


def token_bytes(tokenizer: PreTrainedTokenizerBase) -> Mapping[int, bytes]:
    """The bytes that each token writes; special tokens write none and are left out.

    Byte-level BPE (GPT-2's alphabet of bytes), and SentencePiece with ``▁`` for a space and ``<0x0A>`` for bytes.
    """
    decoder = json.dumps(json.loads(tokenizer.backend_tokenizer.to_str()).get("decoder"))
    added = tokenizer.added_tokens_decoder
    byte_of = _letters()
    texts: dict[int, bytes] = {}
    for token, number in tokenizer.get_vocab().items():
        if number in added:
            if not added[number].special:
                texts[number] = added[number].content.encode()
        elif "ByteLevel" in decoder:
            texts[number] = bytes(byte_of[letter] for letter in token if letter in byte_of)
        elif token.startswith("<0x") and token.endswith(">"):
            texts[number] = bytes([int(token[3:-1], 16)])
        else:
            texts[number] = token.replace("▁", " ").encode()
    return texts


def _letters() -> dict[str, int]:
    """GPT-2's letter for each byte: that of Latin-1 where it is printed and no space, else one from 256 on."""
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printed]
    return {chr(byte): byte for byte in printed} | {chr(256 + n): byte for n, byte in enumerate(others)}
