"""Answers of a model to a batch of prompts."""

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from fragmodel.batching.consensus import most_overlapping
from fragmodel.batching.packing import PackedCollator, micro_batches
from fragmodel.data.grammar import says_none
from fragmodel.data.prompts import SPAN_CLOSE
from fragmodel.evidence.block import resolved
from fragmodel.model.chat import ChatEncoder
from fragmodel.model.constraints import Constraint
from fragmodel.model.decoding import Answered, Candidate, greedy
from fragmodel.model.drawing import draw
from fragmodel.model.names import NameTree
from fragmodel.model.prefill import read_prompts
from fragmodel.model.search import most_probable
from fragmodel.vocabulary import GROUNDING_TASKS, TaskType

READ_AT_ONCE = 4096  # prompt tokens
PLACE_DRAWS = 16
LIKELY = 0.5  # probability from which an answer is given whatever else is possible


def answer_prompts(
    model: nn.Module,
    items: Sequence[dict[str, Any]],
    *,
    end: int,
    max_new_tokens: int,
    constraints: Sequence[Constraint | None] | None = None,
    searched: Sequence[Constraint | NameTree | None] = (),
    candidates: int = 1,
    place_draws: int = PLACE_DRAWS,
) -> list[Answered]:
    """The greedy answer to each of ``items``, prompts as :class:`fragmodel.batching.dataset.FragRefDataset` gives them.

    Each is within its constraint where there is one. ``end`` is the token that ends the turn. With more than one
    of ``candidates`` each answer has up to so many, of what is ``searched`` for it
    (:func:`fragmodel.model.search.most_probable`). A constrained answer about places that names some,
    and is not :data:`LIKELY`, has ``place_draws`` drawn ones beside it (:func:`fragmodel.model.drawing.draw`).
    """
    batch = {name: values.to(model.device) for name, values in PackedCollator()(items).items()}
    prompts = read_prompts(model, micro_batches(batch, READ_AT_ONCE), max_new_tokens)
    answers = greedy(prompts, max_new_tokens=max_new_tokens, end_ids=[end], constraints=constraints)
    if candidates > 1:
        found = most_probable(prompts, searched, count=candidates, longest=max_new_tokens)
        for answer, ranked, within in zip(answers, found, searched, strict=True):
            answer.candidates = ranked
            if isinstance(within, Constraint):
                answer.candidates = _with_own(answer, ranked)[:candidates]
    if place_draws and constraints:
        unsure = [
            each if each and _is_unsure(answer, each) else None
            for answer, each in zip(answers, constraints, strict=True)
        ]
        drawn = draw(prompts, unsure, copies=place_draws, longest=max_new_tokens)
        for answer, each in zip(answers, drawn, strict=True):
            answer.drawn = each
    return answers


def _is_unsure(answer: Answered, constraint: Constraint) -> bool:
    """Whether an answer names places, and is not likely."""
    there = answer.presence is None or answer.presence >= 0.5
    unlikely = sum(answer.log_probabilities) < math.log(LIKELY)
    return constraint.automaton.task in GROUNDING_TASKS and there and unlikely


def _with_own(answer: Answered, ranked: list[Candidate]) -> list[Candidate]:
    """With the answer itself, which a beam may have missed; one that was cut only where there is nothing else."""
    missed = all(list(each.tokens) != answer.tokens for each in ranked)
    if not answer.tokens or not missed or (ranked and not answer.stopped):
        return ranked
    own = Candidate(tuple(answer.tokens), sum(answer.log_probabilities))
    return sorted([*ranked, own], key=lambda each: -each.chance)


def read_answer(task: TaskType, answer: Answered, chat: ChatEncoder, question: str) -> dict[str, Any]:
    """What an answer says: its ``text``, that of the line of evidence to which it points, and how sure the model is.

    Where answers were drawn the text is the one that agrees best with them.

    ``confidence`` is that of the whole, ``place_confidences`` that of each place in order: probabilities under the
    model among valid answers, not calibrated. Of a class: that of its tokens. Of a place: that of its tokens and of
    what leads to it (comma, class name), given all before it; of all places of a line that is pointed to, that of the
    pointer; where answers were drawn, the overlap that may be expected
    (:func:`fragmodel.batching.consensus.most_overlapping`). Of a whole grounding answer: that there is something to
    find; ``None`` where the model may not say that there is nothing, and of free text. ``candidates`` are dicts of
    ``text`` and ``probability``, equal texts joined; ``None`` where there are none.
    """
    written = chat.decode(answer.tokens)
    text = resolved(written, question)
    whole = math.exp(sum(answer.log_probabilities))
    confidence, places = whole if task == "referring_class" else None, None
    if task in GROUNDING_TASKS:
        pointed = text != written
        confidence = answer.presence
        places = [whole] * text.count(SPAN_CLOSE) if pointed else _of_places(answer, chat.ids[SPAN_CLOSE])
        if answer.drawn:
            text, places = _agreed(text, answer, chat, question) or (text, places)
    return {
        "text": text,
        "confidence": confidence,
        "place_confidences": places,
        "candidates": _ranked(answer, chat, question),
    }


def _ranked(answer: Answered, chat: ChatEncoder, question: str) -> list[dict[str, Any]] | None:
    joined: dict[str, float] = {}
    for tokens, chance in answer.candidates:
        text = resolved(chat.decode(tokens), question)
        joined[text] = joined.get(text, 0.0) + math.exp(chance)
    ranked = sorted(joined.items(), key=lambda item: -item[1])
    return [{"text": text, "probability": min(each, 1.0)} for text, each in ranked] or None


def _agreed(own: str, answer: Answered, chat: ChatEncoder, question: str) -> tuple[str, list[float]] | None:
    """The answer that agrees best with those that were drawn; None where they name no places."""
    texts = [resolved(chat.decode(tokens), question) for tokens, _ in answer.drawn]
    told = [
        (text, each.copies) for text, each in zip(texts, answer.drawn, strict=True) if not says_none(text)
    ]
    if not told:
        return None
    return most_overlapping(*zip(*told, (own, 0), strict=True))


def _of_places(answer: Answered, close: int) -> list[float]:
    found, total = [], 0.0
    for token, chance in zip(answer.tokens, answer.log_probabilities, strict=False):
        total += chance
        if token == close:
            found.append(math.exp(total))
            total = 0.0
    return found
