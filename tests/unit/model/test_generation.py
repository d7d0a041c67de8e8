"""Greedy answers with and without a cache, together and alone."""

from typing import Any

import pytest
import torch
from tiny_models import (
    TinyModels,
    build_model,
    grounding_record,
    joined,
    make_batch,
    make_dataset,
    referring_record,
)

from fragmodel.batching import answering

ROWS = [referring_record(0), grounding_record(1), referring_record(2, (10, 20))]
NEW_TOKENS = 12


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def parts(request: pytest.FixtureRequest, tiny: TinyModels) -> tuple[Any, Any]:
    model, tokenizer = build_model(tiny.spec(tied=request.param))
    return model.eval(), tokenizer


def prompts(rows: list[dict], tokenizer: Any) -> dict[str, torch.Tensor]:
    return make_batch(rows, tokenizer, side="left", prompts_only=True)


@torch.no_grad()
def by_hand(model: Any, row: dict, tokenizer: Any) -> list[int]:
    """Greedy decoding of one record: the whole text through the model for each token."""
    batch = prompts([row], tokenizer)
    answer: list[int] = []
    while len(answer) < NEW_TOKENS:
        token = int(model(**batch).logits[0, -1].argmax())
        if token == tokenizer.eos_token_id:
            break
        answer.append(token)
        batch["input_ids"] = torch.cat([batch["input_ids"], torch.tensor([[token]])], dim=1)
        batch["attention_mask"] = torch.ones_like(batch["input_ids"])
    return answer


def answers(model: Any, batch: dict[str, torch.Tensor], tokenizer: Any, **options: Any) -> list[list[int]]:
    ids = model.generate(**batch, max_new_tokens=NEW_TOKENS, do_sample=False, **options)
    generated = ids[:, batch["input_ids"].shape[1] :].tolist()
    end = tokenizer.eos_token_id
    return [row[: row.index(end)] if end in row else row for row in generated]


def test_equals_greedy_decoding_by_hand(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    expected = [by_hand(model, row, tokenizer) for row in ROWS]
    assert len({tuple(answer) for answer in expected}) == len(ROWS)  # the inputs matter
    batch = prompts(ROWS, tokenizer)
    assert answers(model, batch, tokenizer) == expected
    assert answers(model, batch, tokenizer, use_cache=False) == expected


def test_reads_each_protein_once(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    calls = []
    hook = joined(model).modality_adapter.register_forward_pre_hook(lambda *_: calls.append(1))
    steps = []
    other = joined(model).llama_decoder.register_forward_pre_hook(lambda *_: steps.append(1))
    try:
        answers(model, prompts(ROWS, tokenizer), tokenizer, min_new_tokens=4)
    finally:
        hook.remove()
        other.remove()
    assert len(calls) == 1
    assert len(steps) >= 4


def test_beams_carry_their_protein(parts: tuple[Any, Any]) -> None:
    """Beam search repeats the inputs for each beam; each record must keep its own protein."""
    model, tokenizer = parts
    together = answers(model, prompts(ROWS, tokenizer), tokenizer, num_beams=3)
    alone = [answers(model, prompts([row], tokenizer), tokenizer, num_beams=3)[0] for row in ROWS]
    assert together == alone


@pytest.mark.parametrize("read_at_once", [1, 10_000])
def test_packed_decoding_equals_greedy_decoding_by_hand(
    parts: tuple[Any, Any], read_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows end at different steps: each record is given an end-of-turn token out of the middle of its answer."""
    model, tokenizer = parts
    monkeypatch.setattr(answering, "READ_AT_ONCE", read_at_once)
    dataset = make_dataset(ROWS, tokenizer, prompts_only=True)
    items = [dataset[index] for index in range(len(ROWS))]
    expected = [by_hand(model, row, tokenizer) for row in ROWS]
    end = tokenizer.eos_token_id
    found = answering.answer_prompts(model, items, end=end, max_new_tokens=NEW_TOKENS)
    assert [answer.tokens for answer in found] == expected
    for early in {token for ids in expected for token in ids[2:]}:
        found = answering.answer_prompts(model, items, end=early, max_new_tokens=NEW_TOKENS)
        for answer, whole in zip(found, expected, strict=True):
            ids = answer.tokens
            # What follows an end-of-turn token of the model itself is not known to the reference.
            known = ids[: len(whole)]
            assert known == (whole[: whole.index(early)] if early in whole else whole)
            assert early not in ids
