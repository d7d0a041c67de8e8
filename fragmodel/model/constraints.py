"""Valid answers in tokens: which tokens may come next, for any tokenizer of bytes.

Tokens are allowed by the text that they write, not by how the tokenizer would cut it: where the free answer is valid
already, it is the answer under the constraint too.
"""

import json
from bisect import bisect_left
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from fragmodel.data.prompts import SPAN_CLOSE, SPAN_OPEN
from fragmodel.data.valid_answers import CLOSE, END, OPEN, State, ValidAnswers
from fragmodel.errors import UserError

REMEMBERED = 512  # states of a constraint; there may be one for each length of a window


class Following(NamedTuple):
    """What may follow a state: token ids int64 [n], the state after each, and which of them can only say "none"."""

    ids: np.ndarray
    states: list[State]
    silent: np.ndarray
    may_end: bool


class Vocabulary:
    """The tokens of a tokenizer as the bytes that they write, in ascending order."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        texts = sorted((text, token) for token, text in token_bytes(tokenizer).items() if text)
        self.texts = [text for text, _ in texts]
        self.ids = [token for _, token in texts]
        self.special = {
            OPEN: tokenizer.convert_tokens_to_ids(SPAN_OPEN),
            CLOSE: tokenizer.convert_tokens_to_ids(SPAN_CLOSE),
            END: tokenizer.eos_token_id,
        }

    def range(self, prefix: bytes, low: int, high: int) -> tuple[int, int]:
        """The places from ``low`` to ``high`` of the tokens that begin with ``prefix``."""
        first = bisect_left(self.texts, prefix, low, high)
        return first, bisect_left(self.texts, prefix + b"\xff" * 8, first, high)


class Constraint:
    """One automaton over one vocabulary; what follows the last states is remembered."""

    def __init__(self, automaton: ValidAnswers, vocabulary: Vocabulary) -> None:
        self.automaton, self.vocabulary = automaton, vocabulary
        self.start = automaton.start
        self.follow = lru_cache(maxsize=REMEMBERED)(self._follow)
        """What may follow a state. Raises :class:`UserError` when no token writes any of it."""

    def _follow(self, state: State) -> Following:
        words, special = self.vocabulary, self.vocabulary.special
        ids: list[int] = []
        states: list[State] = []
        may_end = False
        pending = [(state, b"", 0, len(words.texts))]
        while pending:
            at, text, low, high = pending.pop()
            for symbol, after in self.automaton.symbols(at):
                if symbol in special:
                    if not text:
                        may_end |= symbol == END
                        ids.append(special[symbol])
                        states.append(after)
                    continue
                longer = text + bytes([symbol])
                first, last = words.range(longer, low, high)
                while first < last and words.texts[first] == longer:
                    ids.append(words.ids[first])
                    states.append(after)
                    first += 1
                if first < last:
                    pending.append((after, longer, first, last))
        if not ids:
            raise UserError(
                "the decoder's tokenizer cannot write a valid answer; set evaluation.constrained: false"
            )
        silent = np.array([bool(after) and self.automaton.says_nothing(after) for after in states])
        return Following(np.array(ids, dtype=np.int64), states, silent, may_end)


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
