"""What is made of an answer: which ones others are drawn beside, and how sure each place is."""

import math

import pytest
from tiny_models import TinyModels
from transformers import AutoTokenizer

from fragmodel.batching.answering import _is_unsure, read_answer
from fragmodel.data.grammar import format_spans
from fragmodel.data.prompts import SPAN_CLOSE
from fragmodel.model.answer_forms import Constraints
from fragmodel.model.chat import ChatEncoder, add_control_tokens
from fragmodel.model.decoding import Answered
from fragmodel.vocabulary import Span


@pytest.fixture(scope="module")
def chat(tiny: TinyModels) -> ChatEncoder:
    tokenizer = AutoTokenizer.from_pretrained(tiny.untied)
    add_control_tokens(tokenizer)
    return ChatEncoder(tokenizer, 2)


@pytest.mark.parametrize(
    ("task", "probability", "presence", "unsure"),
    [
        ("grounding_single", 0.3, None, True),
        ("grounding_single", 0.3, 0.7, True),
        ("grounding_single", 0.3, 0.4, False),  # it says that there is nothing, which no place may replace
        ("grounding_single", 0.6, None, False),
        ("grounding_group", 0.3, 0.5, True),
        ("referring_class", 0.3, None, False),
    ],
)
def test_others_are_drawn_beside_unlikely_places_alone(chat, task, probability, presence, unsure) -> None:
    forms = {"D": {"classes": ["kinase", "zinc finger"], "none": ["grounding_single"]}}
    bounds = Constraints(chat.tokenizer, forms).of(task, 50, ("D",))
    answer = Answered([1, 2], [math.log(probability) / 3] * 3, stopped=True, presence=presence)
    assert _is_unsure(answer, bounds) == unsure


def test_a_place_is_as_sure_as_its_own_tokens_given_those_before(chat: ChatEncoder) -> None:
    tokens = chat.answer(format_spans([Span(1, 4), Span(20, 31), Span(40, 42)]))
    chances = [1 - 0.02 * number for number in range(len(tokens))]
    answer = Answered(tokens[:-1], [math.log(chance) for chance in chances], stopped=True, presence=0.8)
    said = read_answer("grounding_single", answer, chat, "Where is it?")
    ends = [number + 1 for number, token in enumerate(tokens) if token == chat.ids[SPAN_CLOSE]]
    slices = zip([0, *ends], ends, strict=False)
    assert len(ends) == 3
    assert said["place_confidences"] == pytest.approx([math.prod(chances[a:b]) for a, b in slices])
    assert said["confidence"] == 0.8
