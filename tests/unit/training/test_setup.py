"""What is told before the first step: data, and whether the store is this encoder's and whole."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import ROWS, small_run, write_rows
from tiny_models import TinyModels, grounding_record
from transformers import EsmModel

from fragmodel.embeddings.extract import embed_sequences
from fragmodel.errors import UserError
from fragmodel.training.setup import prepare


def embed(tiny: TinyModels, store: Path, layer: int = -1, count: int = 3, encoder: Path | None = None) -> str:
    sequences = list(dict.fromkeys(row["sequence"] for row in ROWS))[:count]
    return embed_sequences(
        sequences, encoder=encoder or tiny.encoder, store=store, layer=layer, device="cpu"
    ).fingerprint


def test_a_store_of_this_encoder_is_read_without_the_encoder(tiny: TinyModels, tmp_path: Path) -> None:
    embed(tiny, tmp_path / "store")
    setup = prepare(small_run(tiny, tmp_path, "--store", str(tmp_path / "store")))
    assert setup.model.base_model.model.esm_encoder is None
    states = setup.train_dataset[0]["protein_hidden_states"]
    assert states.shape == (len(ROWS[0]["sequence"]) + 2, 48)


def test_other_processes_read_the_encoders_configuration_alone(
    tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed(tiny, tmp_path / "store")
    arguments = small_run(tiny, tmp_path, "--store", str(tmp_path / "store"))

    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("weights of the encoder were read")

    monkeypatch.setattr(type(arguments.training), "process_index", 1)
    monkeypatch.setattr(EsmModel, "from_pretrained", load)
    assert prepare(arguments).model.base_model.model.config.esm_config.hidden_size == 48


def test_a_store_of_another_encoder_of_the_same_width_is_refused(tiny: TinyModels, tmp_path: Path) -> None:
    encoder = EsmModel.from_pretrained(tiny.encoder, add_pooling_layer=False)
    with torch.no_grad():
        encoder.encoder.layer[0].intermediate.dense.weight[0, 0] += 1
    encoder.save_pretrained(tmp_path / "other")
    fingerprint = embed(tiny, tmp_path / "store", encoder=tmp_path / "other")
    for words in ((), ("--store_fingerprint", fingerprint)):
        arguments = small_run(tiny, tmp_path, "--store", str(tmp_path / "store"), *words)
        with pytest.raises(UserError, match="whose weights are not those of --esm_path"):
            prepare(arguments)


def test_a_store_of_another_layer_must_be_named(tiny: TinyModels, tmp_path: Path) -> None:
    fingerprint = embed(tiny, tmp_path / "store", layer=1)
    words = ("--store", str(tmp_path / "store"))
    with pytest.raises(UserError, match=r"are of layer 1, and the encoder's last is 2; .*" + fingerprint):
        prepare(small_run(tiny, tmp_path, *words))
    assert prepare(small_run(tiny, tmp_path, *words, "--store_fingerprint", fingerprint))


def test_a_store_that_lacks_sequences_is_told_before_the_first_step(tiny: TinyModels, tmp_path: Path) -> None:
    embed(tiny, tmp_path / "store", count=2)
    with pytest.raises(UserError, match="lacks 1 of 3 sequences, among them that of record 2; add them with"):
        prepare(small_run(tiny, tmp_path, "--store", str(tmp_path / "store")))


def test_validation_sequences_must_be_there_where_they_are_read(tiny: TinyModels, tmp_path: Path) -> None:
    embed(tiny, tmp_path / "store", count=2)
    write_rows(tmp_path / "records.parquet", ROWS[:2])
    valid = write_rows(tmp_path / "valid.parquet", ROWS[:3])
    words = ("--store", str(tmp_path / "store"), "--eval_files", str(valid))
    assert prepare(small_run(tiny, tmp_path, *words)).eval_dataset is None
    with pytest.raises(UserError, match="lacks 1 of 3 sequences"):
        prepare(small_run(tiny, tmp_path, *words, "--eval_strategy", "epoch"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "Evaluation dataset size: 0 (not used: --eval_strategy no)"),
        (("--eval_files",), "Evaluation dataset size: 2 (not used: --eval_strategy no)"),
        (("--eval_strategy", "epoch", "--eval_files"), "Evaluation dataset size: 2"),
    ],
)
def test_sizes_are_printed_as_documented(
    tiny: TinyModels, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], line: str
) -> None:
    valid = write_rows(tmp_path / "valid.parquet", [grounding_record(0), grounding_record(1)])
    prepare(small_run(tiny, tmp_path, *words, *([str(valid)] if words else [])))
    said = capsys.readouterr().out.splitlines()
    assert said[said.index("Training dataset size: 6") + 2] == line


@pytest.mark.parametrize(
    ("count", "chosen"), [(0, "012345"), (1, "0"), (3, "024"), (4, "0134"), (6, "012345"), (9, "012345")]
)
def test_records_to_validate_on_are_spread_evenly(
    tiny: TinyModels, tmp_path: Path, count: int, chosen: str
) -> None:
    valid = str(write_rows(tmp_path / "valid.parquet"))
    words = ("--eval_strategy", "epoch", "--eval_files", valid, "--max_eval_samples", str(count))
    dataset = prepare(small_run(tiny, tmp_path, *words)).eval_dataset
    assert [dataset[number]["record_id"] for number in range(len(dataset))] == list(chosen)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--optim", "adamw_bnb_8bit"), "--optim adamw_bnb_8bit: "),
        (("--lr_scheduler_type", "cosine_with_min_lr"), "--lr_scheduler_type cosine_with_min_lr: "),
        (("--lr_scheduler_kwargs", '{"nubmer": 1}'), "--lr_scheduler_type linear: "),
    ],
)
def test_what_cannot_be_made_is_told_before_weights_are_read(
    tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr("transformers.trainer_optimizer.is_bitsandbytes_available", lambda: False)
    with pytest.raises(UserError) as caught:
        prepare(small_run(tiny, tmp_path, "--esm_path", "/dev/null", *words))
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1
