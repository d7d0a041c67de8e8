"""The most probable answers, held to all valid answers, each passed through the model by itself."""

import math
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import (
    TinyModels,
    build_model,
    grounding_record,
    make_batch,
    make_dataset,
    referring_record,
    write_decoder,
)

from fragmodel.batching.answering import answer_prompts, read_answer
from fragmodel.batching.packing import PackedCollator
from fragmodel.model.answer_forms import Constraints
from fragmodel.model.chat import ChatEncoder
from fragmodel.model.drawing import draw, shares
from fragmodel.model.names import NameTree
from fragmodel.model.prefill import read_prompts
from fragmodel.model.search import most_probable
from fragmodel.vocabulary import LINEAR_LAYERS

CLASSES = [
    "zinc finger",
    "zinc finger, C2H2",
    "zinc ribbon",
    "kinase",
    "β-barrel",
    "kinase-like",
    "SH3 domain",
]
FORMS = {
    "names": {"classes": CLASSES, "none": ["grounding_single", "grounding_group"]},
    "letters": {"classes": ["a", "b"], "none": ["grounding_group"]},
}
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "windows": (
        "gemma3_text",
        {
            "head_dim": 16,
            "query_pre_attn_scalar": 20,
            "sliding_window": 16,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
}
ROWS = [
    make(number) | {"task_type": task}
    for number in (0, 1)
    for make, task in (
        (referring_record, "referring_class"),
        (grounding_record, "grounding_single"),
        (grounding_record, "grounding_group"),
    )
]


@pytest.fixture(scope="module", params=SETTINGS)
def parts(
    request: pytest.FixtureRequest, tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Any]:
    kind, settings = SETTINGS[request.param]
    folder = write_decoder(tmp_path_factory.mktemp(kind) / "decoder", kind, **settings)
    model, tokenizer = build_model(tiny.spec(llama_path=str(folder), target_modules=list(LINEAR_LAYERS)))
    with torch.no_grad():  # answers that differ in probability
        for row in model.get_base_model().get_output_embeddings().parameters():
            row.mul_(5)
    return model.eval(), tokenizer


def asked(
    parts: tuple[Any, Any],
    rows: list[dict],
    *,
    window: int,
    count: int,
    classes: str = "names",
    longest: int = 64,
) -> list[tuple[Any, Any]]:
    """Answers with candidates, within windows of ``window`` residues; and what these were searched in."""
    model, tokenizer = parts
    dataset = make_dataset(rows, tokenizer, prompts_only=True)
    bounds = Constraints(tokenizer, FORMS)
    kinds = [(row["task_type"], window, (classes,)) for row in rows]
    searched = [bounds.searched(*kind) for kind in kinds]
    answers = answer_prompts(
        model,
        [dataset[number] for number in range(len(rows))],
        end=tokenizer.eos_token_id,
        max_new_tokens=longest,
        constraints=[bounds.of(*kind) for kind in kinds],
        searched=searched,
        candidates=count,
    )
    return list(zip(answers, searched, strict=True))


def every_answer(constraint: Any, longest: int) -> Iterator[tuple[list[int], list[list[int]]]]:
    """All valid token sequences, the end included, with what was allowed at each of their places."""
    pending: list[tuple[Any, list[int], list[list[int]]]] = [(constraint.start, [], [])]
    while pending:
        state, tokens, allowed = pending.pop()
        ids = constraint.follow(state).ids.tolist()
        for token in ids:
            longer = ([*tokens, token], [*allowed, ids])
            if not (after := constraint.after(state, token)):
                yield longer
            elif len(longer[0]) < longest:
                pending.append((after, *longer))


@torch.no_grad()
def probabilities(
    parts: tuple[Any, Any], row: dict, constraint: Any, longest: int
) -> dict[tuple[int, ...], float]:
    """The log-probability of each valid answer: a pass of its own, padded, with logits at all places."""
    model, tokenizer = parts
    batch = make_batch([row], tokenizer, side="left", prompts_only=True)
    prompt = batch["input_ids"]
    found = {}
    for tokens, allowed in every_answer(constraint, longest):
        batch["input_ids"] = torch.cat([prompt, torch.tensor([tokens])], dim=1)
        batch["attention_mask"] = torch.ones_like(batch["input_ids"])
        logits = model(**batch).logits[0, prompt.shape[1] - 1 : -1].double()
        steps = zip(logits, tokens, allowed, strict=True)
        found[tuple(tokens[:-1])] = float(
            sum(at[token] - at[torch.tensor(ids)].logsumexp(0) for at, token, ids in steps)
        )
    return found


@pytest.mark.parametrize(
    ("number", "window", "longest", "answers"), [(1, 2, 60, 7), (2, 1, 24, 5)], ids=["single", "group"]
)
def test_a_wide_beam_finds_the_most_probable_of_all_answers(
    parts: tuple[Any, Any], number: int, window: int, longest: int, answers: int
) -> None:
    row = ROWS[number]
    ((answer, constraint),) = asked(
        parts, [row], window=window, count=100, classes="letters", longest=longest
    )
    expected = probabilities(parts, row, constraint, longest)
    found = {candidate.tokens: candidate.chance for candidate in answer.candidates}
    assert len(expected) >= answers
    assert found == pytest.approx(expected, abs=1e-3)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert sum(map(math.exp, expected.values())) == pytest.approx(1, abs=1e-4)


def test_all_names_have_their_probability(parts: tuple[Any, Any]) -> None:
    """Those of all names add up to 1, and few candidates are the first of all."""
    ((answer, tree),) = asked(parts, ROWS[:1], window=0, count=100)
    expected = probabilities(parts, ROWS[0], tree, 64)
    found = {candidate.tokens: candidate.chance for candidate in answer.candidates}
    assert len(found) == len(tree) == len(CLASSES)
    assert found == pytest.approx(expected, abs=1e-3)
    assert sum(map(math.exp, found.values())) == pytest.approx(1, abs=1e-4)
    _, tokenizer = parts
    told = read_answer("referring_class", answer, ChatEncoder(tokenizer, 0), "")["candidates"]
    assert {each["text"] for each in told} == set(CLASSES)
    for count in (2, 3):
        ((few, _),) = asked(parts, ROWS[:1], window=0, count=count)
        assert [each.tokens for each in few.candidates] == list(found)[:count]
        assert [each.chance for each in few.candidates] == pytest.approx(
            list(found.values())[:count], abs=1e-3
        )


def test_a_beam_of_one_is_the_greedy_answer(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    rows = [row for row in ROWS if row["task_type"] != "referring_class"]
    answers = asked(parts, rows, window=20, count=2, longest=200)
    assert all(answer.stopped for answer, _ in answers)
    items = make_dataset(rows, tokenizer, prompts_only=True)
    batch = PackedCollator()([items[number] for number in range(len(rows))])
    prompts = read_prompts(model, [batch], 200)
    alone = most_probable(prompts, [constraint for _, constraint in answers], count=1, longest=200)
    for (answer, _), (candidate,) in zip(answers, alone, strict=True):
        assert candidate.tokens == tuple(answer.tokens)
        assert candidate.chance == pytest.approx(sum(answer.log_probabilities), abs=1e-3)


def test_prompts_are_searched_together_as_alone(parts: tuple[Any, Any]) -> None:
    """Of different lengths and tasks, one without a constraint among them; candidates change no answer."""
    rows = [*ROWS[:2], ROWS[3] | {"task_type": "referring_desc"}, *ROWS[4:]]
    together = asked(parts, rows, window=12, count=3, longest=100)
    for row, (answer, _) in zip(rows, together, strict=True):
        ((alone, _),) = asked(parts, [row], window=12, count=3, longest=100)
        assert [each.tokens for each in answer.candidates] == [each.tokens for each in alone.candidates]
        assert [each.chance for each in answer.candidates] == pytest.approx(
            [each.chance for each in alone.candidates], abs=1e-3
        )
        assert bool(alone.candidates) == (row["task_type"] != "referring_desc")
    without = asked(parts, rows, window=12, count=1, longest=100)
    assert [each.tokens for each, _ in without] == [each.tokens for each, _ in together]


def test_thousands_of_names_are_searched_by_few_passes(parts: tuple[Any, Any]) -> None:
    """A branch that cannot be among the best is not read: far fewer are than the tree has."""
    model, tokenizer = parts
    generator = random.Random(1)
    names = sorted({"".join(generator.choices("abcdefgh ", k=12)).strip() for _ in range(3000)})
    tree = NameTree(ChatEncoder(tokenizer, 0).answer(name) for name in names)
    item = make_dataset(ROWS[:1], tokenizer, prompts_only=True)[0]
    prompts = read_prompts(model, [PackedCollator()([item])], 64)
    read = []
    append = prompts.__class__.append
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            prompts.__class__, "append", lambda own, *new: (read.append(len(new[0][0])), append(own, *new))[1]
        )
        (few,) = most_probable(prompts, [tree], count=5, longest=64)
    assert len(few) == 5 and len(tree) == len(names)
    assert sum(read) < len(names) / 2


@pytest.mark.parametrize(("number", "window", "longest"), [(1, 2, 60), (2, 1, 24)], ids=["single", "group"])
def test_drawn_answers_have_the_share_of_their_probability(
    parts: tuple[Any, Any], number: int, window: int, longest: int
) -> None:
    """At each token less than one copy is lost or won by rounding."""
    model, tokenizer = parts
    constraint = Constraints(tokenizer, FORMS).of(ROWS[number]["task_type"], window, ("letters",))
    items = make_dataset([ROWS[number], ROWS[0]], tokenizer, prompts_only=True)
    prompts = read_prompts(model, [PackedCollator()([items[0], items[1]])], longest)
    copies = 5000
    drawn, nothing = draw(prompts, [constraint, None], copies=copies, longest=longest)
    assert nothing == []
    found = {each.tokens: each.copies / copies for each in drawn}
    expected = probabilities(parts, ROWS[number], constraint, longest)
    assert found.keys() <= expected.keys() and len(found) == len(drawn)
    for tokens, chance in expected.items():
        assert found.get(tokens, 0.0) == pytest.approx(math.exp(chance), abs=len(tokens) / copies + 1e-3)


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=30), st.integers(1, 100))
def test_all_copies_are_dealt_each_share_within_one(weights: list[float], copies: int) -> None:
    chances = np.array(weights) / sum(weights)
    given_ = shares(chances, copies)
    assert given_.sum() == copies and (given_ >= 0).all()
    assert (np.abs(given_ - copies * chances) < 1 + 1e-6).all()
