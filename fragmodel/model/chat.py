"""From conversations to token ids and back; the one place where control tokens are made.

The chat template is rendered with sentinels in place of the messages. Only the template's own text may produce
special tokens; what the messages hold is tokenised with special tokens switched off, and the four control
markers of :mod:`fragmodel.data.prompts` are put in as ids.
"""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from importlib.metadata import version
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from fragmodel.data.prompts import FRAGMENT, MARKERS, PROTEIN, SPAN_CLOSE, SPAN_OPEN, split_markers
from fragmodel.errors import UserError
from fragmodel.files import text_digest

CONTROL_NAMES = {PROTEIN: "protein", FRAGMENT: "fragment", SPAN_OPEN: "span_open", SPAN_CLOSE: "span_close"}
BLOCK = 4096  # texts that are tokenised at once
ROLES = ("system", "user", "assistant")

# Used for a decoder whose tokenizer brings no chat template of its own.
PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)

# Put before a template. Some (Llama 3.2's, for one) write today's date; a prompt is to be the same on every day.
FIXED_DATE = "{% set date_string = '26 Jul 2024' %}{% macro strftime_now(format) %}26 Jul 2024{% endmacro %}"


def add_control_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Ids of the control tokens by name; those that the tokenizer lacks are added to it.

    The documented ``<|reserved_special_token_N|>`` are used where the tokenizer has them (Llama 3 does).
    """
    tokenizer.add_tokens([_special(marker) for marker in MARKERS], special_tokens=True)
    if tokenizer.chat_template is None:
        first = tokenizer("")["input_ids"][:1]
        begins = first == [
            tokenizer.bos_token_id
        ]  # LLaMA's puts a BOS before every text; not all that have one do
        tokenizer.chat_template = "{{ bos_token }}" * begins + PLAIN_TEMPLATE
    if tokenizer.eos_token_id is None:
        raise UserError("the decoder's tokenizer has no end-of-turn token (eos_token); set it in its config")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.eos_token = _turn_end(tokenizer) or tokenizer.eos_token
    return {name: tokenizer.convert_tokens_to_ids(marker) for marker, name in CONTROL_NAMES.items()}


def _turn_end(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The special token that the chat template writes after an answer; None where it writes none.

    Gemma's ends a turn with another token than a text, as do the templates of some base models.
    """
    sentinels = ("\ue0000\ue001", "\ue0001\ue001")
    messages = list(zip(("user", "assistant"), sentinels, strict=True))
    try:
        rendered = _render(tokenizer, messages, answer_next=False)
    except UserError:  # told of the first prompt, if that too is not taken
        return None
    after = tokenizer(rendered.rpartition(sentinels[1])[2], add_special_tokens=False)["input_ids"]
    token = tokenizer.added_tokens_decoder.get(after[0]) if after else None
    return token.content if token and token.special else None


def _render(
    tokenizer: PreTrainedTokenizerBase, messages: list[tuple[str, str]], *, answer_next: bool = True
) -> str:
    """The chat template around (role, sentinel) messages, up to the start of an answer where one is to come.

    A template that takes no system message (Mistral's first ones) gets it at the head of the first message of the user.
    Raises :class:`UserError` for a conversation that the template does not take, or of which it leaves a message out.
    """
    turns = [{"role": role, "content": sentinel} for role, sentinel in messages]
    merged = [turn["role"] for turn in turns[:2]] == ["system", "user"]
    first = {"role": "user", "content": "\n\n".join(turn["content"] for turn in turns[:2])}
    for attempt in (turns, [first, *turns[2:]]) if merged else (turns,):
        try:
            rendered = tokenizer.apply_chat_template(
                attempt,
                tokenize=False,
                add_generation_prompt=answer_next,
                chat_template=FIXED_DATE + tokenizer.get_chat_template(),
                enable_thinking=False,  # answers are trained as they stand, without a train of thought before them
            )
        except TemplateError as error:
            fault = str(error)
        else:
            if all(rendered.count(sentinel) == 1 for _, sentinel in messages):
                return rendered
            fault = "it leaves messages out"
    roles = ", ".join(role for role, _ in messages)
    raise UserError(f"the decoder's chat template does not take a conversation of {roles}: {fault}")


def _special(marker: str) -> Any:
    from tokenizers import AddedToken

    return AddedToken(marker, special=True, normalized=False)


class ChatEncoder:
    """Token ids of prompts and answers for one tokenizer (which must hold the control tokens).

    A text is tokenised once, however often it occurs: questions, class names and spans recur in many records, and
    every record in every epoch.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, perceiver_latent_size: int) -> None:
        self.tokenizer = tokenizer
        self.perceiver_latent_size = perceiver_latent_size
        self.ids = {marker: tokenizer.convert_tokens_to_ids(marker) for marker in MARKERS}
        self._templates: dict[tuple[str, ...], list[list[int] | int]] = {}
        self._texts: dict[str, array[int]] = {}
        self._stored: list[Any] = []

    def reading(self, stored: Sequence[Any]) -> "ChatEncoder":
        """The same encoder, which looks for the ids of a text in ``stored`` first (each has ``get(text)``)."""
        other = copy(self)
        other._stored = list(stored)
        return other

    def digest(self) -> str:
        """32 hex digits that name how texts become ids: the tokenizer's rules and template."""
        rules = self.tokenizer.backend_tokenizer.to_str()
        return text_digest(rules, self.tokenizer.get_chat_template(), version("tokenizers"), *MARKERS)

    @staticmethod
    def pieces(texts: Iterable[str]) -> set[str]:
        """What the messages hold beside control markers."""
        return {piece for text in set(texts) for piece, is_marker in split_markers(text) if not is_marker}

    def tokenised(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Ids of each text, without special tokens."""
        # In blocks: beside the ids of a text the tokenizer holds much more, which ends with its block.
        for first in range(0, len(texts), BLOCK):
            block = list(texts[first : first + BLOCK])
            yield from self.tokenizer(block, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    def tokenise(self, texts: Iterable[str]) -> None:
        """Tokenise these messages now, all together, so that data loading processes find it done."""
        todo = sorted(self.pieces(texts) - self._texts.keys())
        self._texts.update(zip(todo, (array("i", row) for row in self.tokenised(todo)), strict=True))

    def prompt(self, conversation: Sequence[dict[str, str]], residues: int) -> list[int]:
        """Ids up to and with the start of the assistant's turn, with all placeholders in place.

        The protein marker becomes ``residues + 2`` placeholders, the fragment marker
        ``perceiver_latent_size``. Only the first of each is one; any further is plain text. Raises
        :class:`UserError` for an unknown role, since templates write roles as they come.
        """
        for turn in conversation:
            if turn["role"] not in ROLES:
                raise UserError(
                    f"a conversation has the role {turn['role']!r}; expected system, user or assistant"
                )
        repeats = {PROTEIN: residues + 2, FRAGMENT: self.perceiver_latent_size}
        ids: list[int] = []
        for piece in self._template(tuple(turn["role"] for turn in conversation)):
            ids += self._content(conversation[piece]["content"], repeats) if isinstance(piece, int) else piece
        return ids

    def answer(self, text: str) -> list[int]:
        """Ids of the assistant's turn, ended by the end-of-turn token."""
        ids: list[int] = []
        for piece, is_marker in split_markers(text):
            if is_marker and piece in (SPAN_OPEN, SPAN_CLOSE):
                ids.append(self.ids[piece])
            else:
                ids += self._plain(piece)
        return [*ids, self.tokenizer.eos_token_id]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of a generated turn: span markers kept, every other special token left out."""
        keep = {self.ids[SPAN_OPEN], self.ids[SPAN_CLOSE]}
        added = {i for i, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        dropped = (added | set(self.tokenizer.all_special_ids)) - keep
        kept = [token for token in ids if token not in dropped]
        return self.tokenizer.decode(
            kept, skip_special_tokens=False, clean_up_tokenization_spaces=False
        ).strip()

    def _content(self, text: str, repeats: dict[str, int]) -> list[int]:
        ids: list[int] = []
        for piece, is_marker in split_markers(text):
            if is_marker and repeats.get(piece):
                ids += [self.ids[piece]] * repeats.pop(piece)
            else:
                ids += self._plain(piece)
        return ids

    def _plain(self, text: str) -> Sequence[int]:
        for stored in self._stored:
            if (ids := stored.get(text)) is not None:
                return ids
        if text not in self._texts:
            ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            self._texts[text] = array("i", ids)
        return self._texts[text]

    def _template(self, roles: tuple[str, ...]) -> list[list[int] | int]:
        """The chat template around messages of these roles: ids of its own text, and the messages' numbers."""
        if roles not in self._templates:
            sentinels = [f"\ue000{number}\ue001" for number in range(len(roles))]
            rendered = _render(self.tokenizer, list(zip(roles, sentinels, strict=True)))
            self._templates[roles] = [
                sentinels.index(piece)
                if piece in sentinels
                else self.tokenizer(piece, add_special_tokens=False)["input_ids"]
                for piece in re.split("(\ue000[0-9]+\ue001)", rendered)
                if piece
            ]
        return self._templates[roles]
