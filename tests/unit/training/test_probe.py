"""Well-formed answers, counted during training."""

import json
from types import SimpleNamespace

import pytest
import torch

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


def first_tokens(model, prompts, *, end, max_new_tokens):
    """Answers each record with its first prompt token."""
    assert not model.training and end == END
    assert all("labels" not in prompt and len(prompt["input_ids"]) == 1 for prompt in prompts)
    return [prompt["input_ids"] for prompt in prompts]


def probe_of(tokens: list[int], referring: bool) -> Probe:
    made = Probe.__new__(Probe)
    made.tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=END)
    made.chat = SimpleNamespace(decode=lambda ids: ANSWERS[ids[0]])
    made.classes = {"SH3 domain"}
    made.items = [
        {
            "input_ids": [token, 8, 8],
            "labels": [-100, 8, 8],
            "sequence": "M" * 10,
            "position_ref": [0, 2] if referring else None,
            "protein_hidden_states": torch.zeros(12, 4),
        }
        for token in tokens
    ]
    return made


@pytest.mark.parametrize(
    ("tokens", "referring", "expected"),
    [
        ([1], False, 1.0),
        ([2], False, 0.0),
        ([3], False, 0.0),
        ([4, 5], True, 0.5),
        ([4, 1, 1, 1], False, 0.75),
        ([6, 5], False, 0.5),
        ([6], True, 0.0),
    ],
)
def test_counts_answers_in_form(tokens, referring, expected, monkeypatch):
    monkeypatch.setattr(probe, "greedy_answers", first_tokens)
    model = Model()
    assert probe_of(tokens, referring)(model) == expected
    assert model.training


def test_the_log_holds_it(tmp_path):
    TrainingLog(tmp_path / "log.jsonl").answers(step=50, well_formed=0.75)
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {"step": 50, "well_formed": 0.75}
