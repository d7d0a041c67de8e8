"""The merged model answers as the one with adapters does."""

import json
import subprocess
import sys

import pytest
import torch
from tiny_models import TinyModels, build_model, grounding_record, make_batch, referring_record
from transformers import AutoModelForCausalLM, AutoTokenizer

from fragmodel.errors import UserError
from fragmodel.model.loading import load_trained
from fragmodel.model.trained import save_trained
from fragmodel.prediction.merged_model import merge
from fragmodel.prediction.provenance import DATA_FILE, families, window_length


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
def test_logits_are_those_before(tiny: TinyModels, tmp_path, tied: bool) -> None:
    spec = tiny.spec(tied=tied)
    model, tokenizer = build_model(spec)
    save_trained(model, tokenizer, spec, tmp_path / "trained")
    before, _ = load_trained(tmp_path / "trained", include_encoder=True)
    merge(tmp_path / "trained", tmp_path / "merged")
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    batch = make_batch([referring_record(0), grounding_record(1)], tokenizer)
    batch.pop("labels")
    with torch.no_grad():
        torch.testing.assert_close(after(**batch).logits, before(**batch).logits, atol=1e-5, rtol=1e-5)
    assert len(AutoTokenizer.from_pretrained(tmp_path / "merged")) == len(tokenizer)
    assert not any("lora" in name or "modules_to_save" in name for name in after.state_dict())
    with pytest.raises(UserError, match="exists already"):
        merge(tmp_path / "trained", tmp_path / "merged")


def test_import_fragmodel_alone_lets_transformers_load_it(tiny: TinyModels, tmp_path) -> None:
    """In a process of its own: here the architecture is registered already."""
    model, tokenizer = build_model(tiny.spec())
    save_trained(model, tokenizer, tiny.spec(), tmp_path / "trained")
    merge(tmp_path / "trained", tmp_path / "merged")
    program = """
import sys, fragmodel
assert not {"torch", "transformers"} & set(sys.modules)  # commands start at once
from transformers import AutoConfig, AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained("merged")
assert type(model) is fragmodel.Esm2LlamaInstructForCausalLM
assert type(AutoConfig.from_pretrained("merged")) is type(model.config)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_the_training_data_were_goes_with_it(tiny: TinyModels, tmp_path) -> None:
    model, tokenizer = build_model(tiny.spec())
    save_trained(model, tokenizer, tiny.spec(), tmp_path / "trained")
    entry = {"data_name": "Mine_Act", "task_type": "referring_class", "max_sequence_length": 300}
    (tmp_path / "trained" / DATA_FILE).write_text(json.dumps([entry]))
    merge(tmp_path / "trained", tmp_path / "merged")
    assert families(tmp_path / "merged") == ["active site"] and window_length(tmp_path / "merged") == 300
    with pytest.raises(UserError, match="is merged already"):
        merge(tmp_path / "merged", tmp_path / "again")


def test_a_folder_without_a_model_leaves_nothing(tmp_path) -> None:
    with pytest.raises(UserError, match="no fragmodel model"):
        merge(tmp_path, tmp_path / "merged")
    assert not list(tmp_path.iterdir())
