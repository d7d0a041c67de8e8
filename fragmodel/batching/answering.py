"""Answers of a model to a batch of prompts."""

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from fragmodel.batching.packing import PackedCollator, micro_batches
from fragmodel.data.prompts import SPAN_CLOSE
from fragmodel.evidence.block import resolved
from fragmodel.model.chat import ChatEncoder
from fragmodel.model.constraints import Constraint
from fragmodel.model.decoding import Answered, greedy
from fragmodel.vocabulary import GROUNDING_TASKS, TaskType

READ_AT_ONCE = 4096  # prompt tokens


def greedy_answers(
    model: nn.Module,
    items: Sequence[dict[str, Any]],
    *,
    end: int,
    max_new_tokens: int,
    constraints: Sequence[Constraint | None] | None = None,
) -> list[Answered]:
    """Greedy answers, in the order of ``items`` (prompts as :class:`fragmodel.batching.dataset.FragRefDataset` gives
    them), each within its constraint where there is one. ``end`` is the token that ends the turn.
    """
    batch = {name: values.to(model.device) for name, values in PackedCollator()(items).items()}
    parts = micro_batches(batch, READ_AT_ONCE)
    return greedy(model, parts, max_new_tokens=max_new_tokens, end_ids=[end], constraints=constraints)


def read_answer(task: TaskType, answer: Answered, chat: ChatEncoder, question: str) -> dict[str, Any]:
    """What an answer says: its ``text``, that of the line of evidence to which it points, and how sure the model is.

    ``confidence`` is that of the whole, ``place_confidences`` that of each place in order: probabilities under the
    model among valid answers, not calibrated. Of a class: that of its tokens. Of a place: that of its tokens and of
    what leads to it (comma, class name), given all before it; of all places of a line that is pointed to, that of the
    pointer. Of a whole grounding answer: that there is something to find; ``None`` where the model may not say that
    there is nothing, and of free text.
    """
    written = chat.decode(answer.tokens)
    text = resolved(written, question)
    whole = math.exp(sum(answer.log_probabilities))
    if task in GROUNDING_TASKS:
        pointed = text != written
        places = [whole] * text.count(SPAN_CLOSE) if pointed else _of_places(answer, chat.ids[SPAN_CLOSE])
        return {"text": text, "confidence": answer.presence, "place_confidences": places}
    sure = whole if task == "referring_class" else None
    return {"text": text, "confidence": sure, "place_confidences": None}


def _of_places(answer: Answered, close: int) -> list[float]:
    found, total = [], 0.0
    for token, chance in zip(answer.tokens, answer.log_probabilities, strict=False):
        total += chance
        if token == close:
            found.append(math.exp(total))
            total = 0.0
    return found
