"""Valid answers in tokens: for tokenizers of several kinds, and from models that have learnt nothing."""

import itertools
import json
import random

import pytest
import torch
from tiny_models import TinyModels, build_model, grounding_record, make_dataset, referring_record
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from fragmodel.batching.answering import answer_prompts, read_answer
from fragmodel.data.grammar import says_none
from fragmodel.data.prompts import SPAN_CLOSE, SPAN_OPEN
from fragmodel.data.valid_answers import END, valid_answers
from fragmodel.evaluation.parse import OK, parse_spans
from fragmodel.model import constraints
from fragmodel.model.answer_forms import Constraints
from fragmodel.model.chat import ChatEncoder
from fragmodel.model.constraints import Constraint, Vocabulary, token_bytes
from fragmodel.vocabulary import Span

CLASSES = ["SH3 domain", "kinase", "β-barrel"]
FORMS = {"VenusX_Dom": {"classes": CLASSES, "none": ["grounding_group"]}}


def made(words: list[str], decoder: decoders.Decoder) -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate(words)}
    backend = Tokenizer(models.BPE(vocabulary, [], ignore_merges=True))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoder
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>")
    tokenizer.add_special_tokens({"additional_special_tokens": [SPAN_OPEN, SPAN_CLOSE]})
    return tokenizer


PIECES = [*"0123456789", "10", "12", "100", "(", ")", ",", "),", "(1", ",1", "2)", "x"]


@pytest.mark.parametrize(
    "tokenizer",
    [
        made([*PIECES, "Ġ", ",Ġ", "noneĠ"], decoders.ByteLevel()),
        made(
            [*PIECES, "▁", ",▁", "<0x2C>"], decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
        ),
    ],
    ids=["bytes", "pieces"],
)
def test_every_way_of_writing_a_valid_answer_and_no_other(tokenizer: PreTrainedTokenizerFast) -> None:
    """All sequences of up to four tokens between the markers, tried one by one."""
    constraint = Constraint(valid_answers("grounding_single", window=12), Vocabulary(tokenizer))
    texts = token_bytes(tokenizer)
    inside = constraint.after(constraint.start, tokenizer.convert_tokens_to_ids(SPAN_OPEN))
    close = tokenizer.convert_tokens_to_ids(SPAN_CLOSE)

    def accepts(tokens: tuple[int, ...]) -> bool:
        state = inside
        for token in (*tokens, close):
            if token not in constraint.follow(state).ids:
                return False
            state = constraint.after(state, token)
        return constraint.follow(state).may_end

    valid = {f"({start},{end})" for start in range(12) for end in range(start + 1, 13)}
    pieces, tried = sorted(texts), set()
    for length in (1, 2, 3, 4):
        for tokens in itertools.product(pieces, repeat=length):
            text = b"".join(texts[token] for token in tokens).decode()
            tried.add(text)
            if accepts(tokens) != (text in valid):
                raise AssertionError(text)
    assert len(tried & valid) > 20


def test_numbers_of_several_digits_are_those_found_byte_by_byte() -> None:
    """Every state within a place, for a tokenizer of all strings of up to three digits; windows share one memory."""
    digits = ["".join(each) for size in (1, 2, 3) for each in itertools.product("0123456789", repeat=size)]
    tokenizer = made([*digits, "(", ")", ",", "1,", "Ġ"], decoders.ByteLevel())
    vocabulary = Vocabulary(tokenizer)
    first = Constraint(valid_answers("grounding_single", window=9), vocabulary)
    for window in (9, 10, 1021):
        constraint = first.of_window(window)
        for before in (None, Span(0, window), Span(7, 8), Span(window - 1, window)):
            for start in (None, 7, window - 2, window - 1):
                for done in ("", "0", "1", "10", str(window)):
                    state = ("number", before, start, done, ())
                    expected, _ = constraint._search(state, vocabulary.words)
                    if expected:
                        assert sorted(constraint.follow(state).ids) == sorted(expected), (window, state)


def test_windows_of_other_lengths_share_names_and_no_places() -> None:
    tokenizer = made([*"0123456789(),:ab\n", "Ġ"], decoders.ByteLevel())
    alone = [
        Constraint(valid_answers("grounding_group", window=window, classes=["a", "b"]), Vocabulary(tokenizer))
        for window in (4, 30)
    ]
    shared = [alone[0].of_window(4), alone[0].of_window(30)]
    generator = torch.Generator().manual_seed(1)
    for one, other in zip(shared, alone, strict=True):
        for _ in range(20):
            state = one.start
            for _ in range(40):
                ids = one.follow(state).ids
                assert sorted(ids) == sorted(other._follow(state).ids)
                assert one.follow(state).may_end == other._follow(state).may_end
                state = one.after(state, int(ids[torch.randint(0, len(ids), (1,), generator=generator)]))
                if not state:
                    break


def test_the_letters_of_bytes_are_those_of_the_tokenizer() -> None:
    assert set(constraints._letters()) == set(pre_tokenizers.ByteLevel.alphabet())
    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    text = "β (1,2)\n·\u00ad"
    ((written, _),) = split.pre_tokenize_str(text)
    assert bytes(constraints._letters()[letter] for letter in written) == text.encode()


def test_a_tokenizer_that_cannot_write_is_named(tiny: TinyModels) -> None:
    from fragmodel.errors import UserError

    tokenizer = made(["x"], decoders.ByteLevel())
    constraint = Constraint(valid_answers("grounding_single", window=12), Vocabulary(tokenizer))
    opened = constraint.after(constraint.start, tokenizer.convert_tokens_to_ids(SPAN_OPEN))
    with pytest.raises(UserError, match="cannot write a valid answer"):
        constraint.follow(opened)


@pytest.fixture(scope="module")
def untrained(tiny: TinyModels):
    model, tokenizer = build_model(tiny.spec())
    return model.eval(), tokenizer


ROWS = [
    make(number) | {"task_type": task}
    for number in range(3)
    for make, task in (
        (referring_record, "referring_class"),
        (grounding_record, "grounding_single"),
        (grounding_record, "grounding_group"),
    )
]


@pytest.mark.parametrize(("limit", "closed"), [(24, True), (60, True), (160, False)])
def test_a_model_that_was_never_trained_answers_validly(untrained, limit: int, closed: bool) -> None:
    model, tokenizer = untrained
    chat = ChatEncoder(tokenizer, 2)
    dataset = make_dataset(ROWS, tokenizer, prompts_only=True)
    bounds = Constraints(tokenizer, FORMS, closed=closed)
    kinds = [(row["task_type"], len(row["sequence"])) for row in ROWS]
    found = answer_prompts(
        model,
        [dataset[number] for number in range(len(ROWS))],
        end=tokenizer.eos_token_id,
        max_new_tokens=limit,
        constraints=[bounds.of(task, residues, ("VenusX_Dom",)) for task, residues in kinds],
    )
    for (task, residues), answer in zip(kinds, found, strict=True):
        sure = read_answer(task, answer, chat, "")
        text = sure["text"]
        if task == "referring_class":
            assert text in CLASSES or not closed
            assert 0 < sure["confidence"] <= 1
            continue
        read = parse_spans(text, residues)
        assert read.status == OK and bool(read.spans) != says_none(text)
        assert parse_spans(chat.decode(answer.tokens), residues).status == OK
        assert len(sure["place_confidences"]) == len(read.spans)
        assert all(0 < each <= 1 for each in sure["place_confidences"])
        assert (sure["confidence"] is None) == (task == "grounding_single" or not closed)
        if task == "grounding_group":
            assert all(name and (name in CLASSES or not closed) for name, _ in read.groups)


def test_open_lines_are_whatever_is_no_place() -> None:
    """Random walks over a tokenizer of all bytes: each answer reads as it was meant."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = made([*alphabet, "<|", "x|", ":Ġ", "none", ",Ġ", ")Ċ"], decoders.ByteLevel())
    forms = {"D": {"classes": ["a"], "none": ["grounding_group"]}}
    constraint = Constraints(tokenizer, forms, closed=False).of("grounding_group", 12, ("D",))
    generator = random.Random(1)
    chat = ChatEncoder(tokenizer, 0)
    opens = tokenizer.convert_tokens_to_ids(SPAN_OPEN)
    for _ in range(300):
        state, tokens, lines = constraint.start, [], 1
        while state:
            ids = constraint.follow(state).ids.tolist()
            token = opens if opens in ids and generator.random() < 0.5 else generator.choice(ids)
            if tokenizer.eos_token_id in ids and generator.random() < 0.5:
                token = tokenizer.eos_token_id
            state = constraint.after(state, token)
            lines += bool(state) and state[:3] == ("text", None, b"")
            tokens.append(token)
        text = chat.decode(tokens)
        read = parse_spans(text, 12)
        assert read.status == OK, text
        assert says_none(text) or (len(read.groups) == lines and all(name for name, _ in read.groups)), text


def test_a_free_answer_that_is_valid_stays_as_it_is(untrained) -> None:
    """The model is made to prefer a valid answer, token by token, in the tokens of its own tokenizer."""
    _, tokenizer = untrained
    text = f"{SPAN_OPEN}(3,9){SPAN_CLOSE}, {SPAN_OPEN}(3,12){SPAN_CLOSE}"
    wanted = ChatEncoder(tokenizer, 2).answer(text)
    constraint = Constraints(tokenizer, FORMS).of("grounding_single", 30, ("VenusX_Dom",))
    state = constraint.start
    for token in wanted:
        assert list(constraint.follow(state).ids).count(token) == 1
        state = constraint.after(state, token)
    assert state == ()  # it ended, with the token that ends the turn


def test_probabilities_are_those_among_what_is_allowed(untrained) -> None:
    """A class by its tokens: held to the softmax over the allowed tokens, by hand."""
    model, tokenizer = untrained
    rows = ROWS[:1]
    dataset = make_dataset(rows, tokenizer, prompts_only=True)
    constraint = Constraints(tokenizer, FORMS).of("referring_class", 0, ("VenusX_Dom",))
    item = dataset[0]
    end = tokenizer.eos_token_id
    (answer,) = answer_prompts(model, [item], end=end, max_new_tokens=40, constraints=[constraint])
    state, total, tokens = constraint.start, 0.0, []
    for token in [*answer.tokens, end]:
        following = constraint.follow(state)
        longer = item | {"input_ids": item["input_ids"] + tokens}
        (free,) = answer_prompts(model, [longer], end=-1, max_new_tokens=1, constraints=None)
        logits = next_logits(model, longer)
        allowed = torch.tensor(following.ids)
        total += float(torch.log_softmax(logits[allowed].float(), 0)[list(following.ids).index(token)])
        state = constraint.after(state, token)
        tokens.append(token)
        assert free.tokens == [int(logits.argmax())]
    assert sum(answer.log_probabilities) == pytest.approx(total, abs=1e-4)


def next_logits(model, item: dict) -> torch.Tensor:
    from fragmodel.batching.packing import PackedCollator
    from fragmodel.model.prefill import read_prompts

    return read_prompts(model, [PackedCollator()([item])], 1).logits[0]


def test_forms_say_what_training_answers(tiny: TinyModels, tmp_path) -> None:
    from fragmodel.model.answer_forms import forms_of, read_forms, write_forms

    rows = [*ROWS, grounding_record(2) | {"answer": "none", "position_grd": [[]], "classes": ["absent"]}]
    _, tokenizer = build_model(tiny.spec())
    found = forms_of([make_dataset(rows, tokenizer).records])
    assert found["VenusX_Dom"]["none"] == ["grounding_single"]
    assert "absent" in found["VenusX_Dom"]["classes"]
    assert found["VenusX_Dom"]["ids"]["kinase"] == ["IPR000719"]
    write_forms(tmp_path, found)
    assert read_forms(tmp_path) == found == json.loads((tmp_path / "answers.json").read_text())
    assert read_forms(tmp_path / "elsewhere") == {}


def test_the_end_is_always_near() -> None:
    """From any state that can be reached at random an end is reached by taking the first way each time."""
    automaton = valid_answers("grounding_group", window=1021, classes=CLASSES, may_be_none=True)
    generator = torch.Generator().manual_seed(1)
    for _ in range(50):
        state = automaton.start
        for _ in range(int(torch.randint(0, 60, (1,), generator=generator))):
            ways = [after for symbol, after in automaton.symbols(state) if symbol != END]
            if not ways:
                break
            state = ways[int(torch.randint(0, len(ways), (1,), generator=generator))]
        assert list(automaton.symbols(state))


@pytest.mark.parametrize("points", [True, False])
def test_a_model_points_to_lines_of_evidence_where_it_has_learnt_to(points: bool) -> None:
    tokenizer = made(["=", "1", "2", "3", "a", "b"], decoders.ByteLevel())
    forms = {"D": {"classes": ["a", "b"], "ids": {}, "none": [], "points": points}}
    question = "Which?\nRelatives:\n1. 40 %: a\n2. 30 %: b\n3. 20 %: none"
    constraint = Constraints(tokenizer, forms).of("referring_class", 100, ("D",), question)
    assert constraint is not None
    begin = constraint.follow(constraint.start).ids.tolist()
    assert set(tokenizer.convert_ids_to_tokens(begin)) == ({"a", "b", "="} if points else {"a", "b"})
    if points:
        pointed = constraint.after(constraint.start, tokenizer.convert_tokens_to_ids("="))
        lines = constraint.follow(pointed).ids.tolist()
        assert tokenizer.convert_ids_to_tokens(lines) == ["1", "2"], "the third says nothing"
