"""Well-formed answers, counted during training."""

import json
from types import SimpleNamespace

import pyarrow as pa
import pytest
from tiny_models import grounding_record, referring_record

from fragmodel.model.decoding import Answered
from fragmodel.tables import RECORDS, record_at
from fragmodel.training import probe
from fragmodel.training.log import TrainingLog
from fragmodel.training.probe import Probe

OPEN, CLOSE, END = "<|reserved_special_token_3|>", "<|reserved_special_token_4|>", 9
ANSWERS = {
    1: f"{OPEN}(0,5){CLOSE}",  # in the window of 10 residues
    2: f"{OPEN}(0,11){CLOSE}",  # leaves it
    3: f"{OPEN}(5,5){CLOSE}",  # holds nothing
    4: "SH3 domain",  # a training class, for a referring record only
    5: "no domain",
    6: "none",  # there is nothing to find
}


class Model:
    """Whether it is being trained is all that it knows."""

    training = True

    def eval(self):
        self.training = False

    def train(self, mode):
        self.training = mode


def first_tokens(model, prompts, *, end, max_new_tokens, constraints=None):
    """Answers each record with its first prompt token."""
    assert not model.training and end == END
    assert all("labels" not in prompt and len(prompt["input_ids"]) == 1 for prompt in prompts)
    return [Answered(prompt["input_ids"]) for prompt in prompts]


def probe_of(tokens: list[int], referring: bool) -> Probe:
    made = Probe.__new__(Probe)
    made.tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=END)
    made.chat = SimpleNamespace(decode=lambda ids: ANSWERS[ids[0]])
    made.classes, made.scored, made.constraints = {"SH3 domain"}, True, []
    made.items = [{"input_ids": [token, 8, 8], "labels": [-100, 8, 8]} for token in tokens]
    places = {"span": (0, 2), "answer": "SH3 domain"} if referring else {"spans": [(0, 10)]}
    row = (referring_record if referring else grounding_record)(**places)
    table = pa.Table.from_pylist(
        [row | {"sequence": "M" * 10, "classes": ["SH3 domain"]}] * len(tokens), schema=RECORDS
    )
    made.records = [record_at(table, index) for index in range(len(tokens))]
    return made


@pytest.mark.parametrize(
    ("tokens", "referring", "formed", "score"),
    [
        ([1], False, 1.0, 0.5),  # half of the true span
        ([2], False, 0.0, 1.0),  # what leaves the window is cut
        ([3], False, 0.0, 0.0),
        ([4, 5], True, 0.5, 0.5),
        ([4, 1, 1, 1], False, 0.75, 0.375),
        ([6, 5], False, 0.5, 0.0),
        ([6], True, 0.0, 0.0),
    ],
)
def test_counts_answers_in_form_and_scores_them(tokens, referring, formed, score, monkeypatch):
    monkeypatch.setattr(probe, "answer_prompts", first_tokens)
    model = Model()
    assert probe_of(tokens, referring)(model) == {"well_formed": formed, "score": pytest.approx(score)}
    assert model.training


def test_tasks_weigh_alike_and_what_has_no_form_is_scored_alone(monkeypatch):
    monkeypatch.setattr(probe, "answer_prompts", first_tokens)
    made = probe_of([4, 5, 5, 5], referring=True)
    made.records[0] = made.records[0]._replace(task_type="referring_desc")
    assert made(Model()) == {"well_formed": 0.0, "score": pytest.approx((1 + 0) / 2)}
    made.scored = False
    assert made(Model()) == {"well_formed": 0.0}


def test_where_there_is_nothing_to_find_saying_so_is_right(monkeypatch):
    monkeypatch.setattr(probe, "answer_prompts", first_tokens)
    made = probe_of([6, 1], referring=False)
    made.records = [record._replace(position_grd=[[]], answer="none") for record in made.records]
    assert made(Model()) == {"well_formed": 1.0, "score": pytest.approx(0.5)}


def test_the_score_is_that_of_valid_answers(monkeypatch):
    def valid_ones(model, prompts, *, constraints=None, **options):
        return [Answered([1])] if constraints else first_tokens(model, prompts, **options)

    monkeypatch.setattr(probe, "answer_prompts", valid_ones)
    made = probe_of([5], referring=False)
    made.constraints = [object()]
    assert made(Model()) == {"well_formed": 0.0, "score": pytest.approx(0.5)}


def test_the_log_holds_it(tmp_path):
    TrainingLog(tmp_path / "log.jsonl").answers(step=50, well_formed=0.75)
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {"step": 50, "well_formed": 0.75}
