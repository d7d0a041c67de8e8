"""From conversations to token ids and back; the one place where control tokens are made.

The chat template is rendered with sentinels in place of the messages. Only the template's own text may produce
special tokens; what the messages hold is tokenised with special tokens switched off, and the four control
markers of :mod:`fragmodel.data.prompts` are put in as ids.
"""

import re
from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from fragmodel.data.prompts import FRAGMENT, MARKERS, PROTEIN, SPAN_CLOSE, SPAN_OPEN, split_markers
from fragmodel.errors import UserError

CONTROL_NAMES = {PROTEIN: "protein", FRAGMENT: "fragment", SPAN_OPEN: "span_open", SPAN_CLOSE: "span_close"}
ROLES = ("system", "user", "assistant")

# Used for a decoder whose tokenizer brings no chat template of its own.
PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


def add_control_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Ids of the control tokens by name; those that the tokenizer lacks are added to it.

    The documented ``<|reserved_special_token_N|>`` are used where the tokenizer has them (Llama 3 does).
    """
    tokenizer.add_tokens([_special(marker) for marker in MARKERS], special_tokens=True)
    if tokenizer.chat_template is None:
        tokenizer.chat_template = PLAIN_TEMPLATE
    if tokenizer.eos_token_id is None:
        raise UserError("the decoder's tokenizer has no end-of-turn token (eos_token); set it in its config")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return {name: tokenizer.convert_tokens_to_ids(marker) for marker, name in CONTROL_NAMES.items()}


def _special(marker: str) -> Any:
    from tokenizers import AddedToken

    return AddedToken(marker, special=True, normalized=False)


class ChatEncoder:
    """Token ids of prompts and answers for one tokenizer (which must hold the control tokens)."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, perceiver_latent_size: int) -> None:
        self.tokenizer = tokenizer
        self.perceiver_latent_size = perceiver_latent_size
        self.ids = {marker: tokenizer.convert_tokens_to_ids(marker) for marker in MARKERS}
        self._fixed: dict[str, list[int]] = {}  # the template's own pieces, which recur in every record

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
        sentinels = [f"\ue000{number}\ue001" for number in range(len(conversation))]
        rendered = self.tokenizer.apply_chat_template(
            [
                {"role": turn["role"], "content": sentinel}
                for turn, sentinel in zip(conversation, sentinels, strict=True)
            ],
            tokenize=False,
            add_generation_prompt=True,
        )
        repeats = {PROTEIN: residues + 2, FRAGMENT: self.perceiver_latent_size}
        ids: list[int] = []
        for piece in re.split("(\ue000[0-9]+\ue001)", rendered):
            if piece in sentinels:
                ids += self._content(conversation[sentinels.index(piece)]["content"], repeats)
            elif piece:
                ids += self._template(piece)
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

    def _plain(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    def _template(self, text: str) -> list[int]:
        if text not in self._fixed:
            self._fixed[text] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self._fixed[text]
