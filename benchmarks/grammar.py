"""What it costs to answer under a grammar: the same prompts, batches and number of tokens, free and constrained.

The model is that of :mod:`benchmarks.generate`, the questions are those for one class and for all classes of the
sample. Neither side may end an answer, so that both write as many tokens: the free side has no token that ends it, the
other a grammar that always asks for another place.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.generate import BATCH, _items, _model
from benchmarks.measure import row
from fragmodel.data.valid_answers import State, ValidAnswers, valid_answers
from fragmodel.vocabulary import Span

NEW_TOKENS = 64  # an answer of some six places
ROUNDS = 3  # the fastest of each side counts


class Unending(ValidAnswers):
    """Valid answers without an end: behind the last place that the window has room for they begin anew."""

    def _after(self, span: Span, used: tuple[int, ...]) -> Iterator[tuple[int, State]]:
        low, high = self._bounds(span, None)
        yield ord(","), ("space", span if low <= high else None, used)


def run(quick: bool) -> list[dict]:
    """A row of tokens a second: constrained (ours) and free (peer)."""
    import torch

    tasks = ("grounding_single",) if quick else ("grounding_single", "grounding_group")
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        model, tokenizer = _model(Path(folder))
        batches = [
            (items[first : first + BATCH], constraints[first : first + BATCH])
            for task in tasks
            for items, constraints in [_asked(tokenizer, task)]
            for first in range(0, len(items), BATCH)
        ]
        _answer(model, batches[0][0], None)  # neither side pays for the first call
        tokens = NEW_TOKENS * sum(len(items) for items, _ in batches)
        seconds: dict[str, list[float]] = {"ours": [], "peer": []}
        for _ in range(1 if quick else ROUNDS):
            for side, times in seconds.items():
                started = time.perf_counter()
                for items, constraints in batches:
                    _answer(model, items, constraints if side == "ours" else None)
                times.append(time.perf_counter() - started)
    rates = {side: tokens / min(times) for side, times in seconds.items()}
    return [row(f"constrained against free, {NEW_TOKENS} tokens an answer", **rates, unit="tokens/s")]


def _asked(tokenizer: Any, task: str) -> tuple[list[dict[str, Any]], list[Any]]:
    from fragmodel.model.constraints import Constraint, Vocabulary

    items = sorted(_items(tokenizer, task), key=lambda item: -len(item["sequence"]))
    automaton = valid_answers(task, classes=[f"class {number}" for number in range(50)])
    assert automaton is not None
    unending = Constraint(Unending(*automaton), Vocabulary(tokenizer))
    return items, [unending.of_window(len(item["sequence"])) for item in items]


def _answer(model: Any, items: list[dict[str, Any]], constraints: list[Any] | None) -> None:
    from fragmodel.batching.answering import READ_AT_ONCE
    from fragmodel.batching.packing import PackedCollator, micro_batches
    from fragmodel.model.decoding import greedy
    from fragmodel.model.prefill import read_prompts

    parts = micro_batches(PackedCollator()(items), READ_AT_ONCE)
    ends = [model.config.eos_token_id] if constraints else []
    prompts = read_prompts(model, parts, NEW_TOKENS)
    found = greedy(prompts, max_new_tokens=NEW_TOKENS, end_ids=ends, constraints=constraints)
    assert constraints or all(len(answer.tokens) == NEW_TOKENS for answer in found)
    assert not any(answer.stopped for answer in found)
