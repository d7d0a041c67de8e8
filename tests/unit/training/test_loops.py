"""Short runs of both programs in this process: what they begin beside, skip, save and say."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer
from small_runs import ROWS, small_run, write_rows
from tiny_models import TinyModels

from fragmodel.batching import token_cache
from fragmodel.embeddings import store
from fragmodel.embeddings.extract import embed_sequences
from fragmodel.embeddings.shards import ShardFile
from fragmodel.errors import UserError
from fragmodel.training import loop, trainer
from fragmodel.training.flags import INSTRUCT, TRAINER
from fragmodel.training.interrupt import Interruption
from fragmodel.training.loop import InstructLoop
from fragmodel.training.setup import prepare
from fragmodel.training.trainer import FragTrainer

LOOPS: dict[str, Callable] = {TRAINER: trainer.train, INSTRUCT: loop.train}


def run(program: str, tiny: TinyModels, folder: Path, *words: str) -> bool:
    arguments = small_run(tiny, folder, "--save_steps", "1", *words, program=program)
    return LOOPS[program](prepare(arguments), arguments)


def checkpoints(folder: Path) -> set[str]:
    return {path.name for path in (folder / "out").glob("checkpoint-*")}


@pytest.mark.parametrize("program", LOOPS)
def test_a_run_begins_beside_no_other_and_ends_once(
    program: str, tiny: TinyModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(program, tiny, tmp_path, "--max_steps", "3")
    assert checkpoints(tmp_path) == {"checkpoint-1", "checkpoint-2", "checkpoint-3"}
    with pytest.raises(UserError, match="holds checkpoints of an earlier run, up to step 3"):
        run(program, tiny, tmp_path, "--save_total_limit", "1")
    assert checkpoints(tmp_path) == {"checkpoint-1", "checkpoint-2", "checkpoint-3"}

    # Over with: nothing is trained, and it is said.
    capsys.readouterr()
    assert run(program, tiny, tmp_path, "--max_steps", "3", "--resume_from_checkpoint", "True")
    assert "No step is left: this run has done all of its 3" in capsys.readouterr().out
    with pytest.raises(UserError, match="max_steps differs"):
        run(program, tiny, tmp_path, "--resume_from_checkpoint", "True")

    assert run(program, tiny, tmp_path, "--save_total_limit", "1", "--overwrite_output_dir")
    assert checkpoints(tmp_path) == {"checkpoint-2"}


@pytest.mark.parametrize("program", LOOPS)
def test_the_store_is_opened_once_and_not_by_workers_and_epochs(
    program: str, tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequences = sorted({row["sequence"] for row in ROWS})
    for sequence in sequences:  # a shard each
        embed_sequences([sequence], encoder=tiny.encoder, store=tmp_path / "store", device="cpu")
    opened = tmp_path / "opened"
    read_index = store.read_index

    def counted(shard: ShardFile) -> pa.Table:
        with opened.open("a") as log:  # a file, since a worker's memory is its own
            log.write(f"{os.getpid()}\n")
        return read_index(shard)

    monkeypatch.setattr(store, "read_index", counted)
    words = f"--store {tmp_path}/store --dataloader_num_workers 2 --max_steps -1 --num_train_epochs 2"
    valid = write_rows(tmp_path / "valid.parquet")
    assert run(
        program, tiny, tmp_path, *words.split(), "--eval_files", str(valid), "--eval_strategy", "epoch"
    )
    assert opened.read_text().split() == [str(os.getpid())] * len(sequences)


@pytest.mark.parametrize("program", LOOPS)
def test_kept_token_ids_change_no_loss(
    program: str, tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = []
    for fewest in (10_000, 1, 1):  # without, made, read
        monkeypatch.setattr(token_cache, "FEWEST_RECORDS", fewest)
        assert run(program, tiny, tmp_path, "--overwrite_output_dir")
        entries = map(json.loads, (tmp_path / "out/log.jsonl").read_text().splitlines())
        losses.append([entry["loss"] for entry in entries if "loss" in entry])
        assert len(list(tmp_path.glob(".tokens/*.arrow"))) == (fewest == 1)
    assert losses[0] and losses == [losses[0]] * 3


def test_both_programs_draw_the_order_that_data_seed_says(tiny: TinyModels, tmp_path: Path) -> None:
    orders = []
    for words in ((), ("--data_seed", "7"), ("--data_seed", "42")):
        setup = prepare(small_run(tiny, tmp_path, *words))
        orders.append(list(setup.sampler))
    assert orders[0] == orders[2] != orders[1]


def scaled(tiny: TinyModels, folder: Path, scale: float, *words: str) -> tuple[Any, Any]:
    """The loop with the scaler of float16, which needs a GPU, put in by hand."""
    arguments = small_run(tiny, folder, *words, program=INSTRUCT)
    made = InstructLoop(prepare(arguments), arguments)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1)
    made.optimizer = AcceleratedOptimizer(made.optimizer.optimizer, scaler=scaler)
    made.accelerator.scaler, made.accelerator._optimizers = scaler, [made.optimizer]
    return made, scaler


@pytest.mark.parametrize("optim", ["adamw_torch_fused", "adamw_torch"])
def test_after_an_overflow_the_schedule_waits_with_the_optimizer(
    optim: str, tiny: TinyModels, tmp_path: Path
) -> None:
    words = ("--max_steps", "4", "--warmup_steps", "2", "--optim", optim)
    made, scaler = scaled(tiny, tmp_path, float("inf"), *words)
    weights = {name: p.detach().clone() for name, p in made.model.named_parameters() if p.requires_grad}
    batch = next(iter(made.loader))
    first = made.scheduler.get_last_lr()
    for _ in range(2):
        made._step([batch])
        assert made.scheduler.get_last_lr() == first
        assert all(torch.equal(p, weights[n]) for n, p in made.model.named_parameters() if n in weights)
    scaler.load_state_dict({**scaler.state_dict(), "scale": 1.0})
    made._step([batch])
    assert made.scheduler.get_last_lr() > first


def test_the_trainers_optimizer_too_tells_of_a_skipped_step(tiny: TinyModels, tmp_path: Path) -> None:
    """A fused one tells nobody, unless its scaler is to look for overflows itself."""
    arguments = small_run(tiny, tmp_path)
    optimizer = FragTrainer(prepare(arguments), arguments).create_optimizer()
    scaler = torch.amp.GradScaler("cpu", init_scale=1.0)
    weight = optimizer.param_groups[0]["params"][0]
    scaler.scale(weight.sum() * float("inf")).backward()
    called = []
    optimizer.step = lambda *_, **__: called.append(1)
    scaler.step(optimizer)
    assert not called


def test_the_scale_of_losses_is_in_the_checkpoint(tiny: TinyModels, tmp_path: Path) -> None:
    made, scaler = scaled(tiny, tmp_path, 4.0, "--save_steps", "1")
    with Interruption() as interruption:
        made.train(interruption)
    assert scaler.get_scale() == 16  # it grew in both steps
    again, other = scaled(tiny, tmp_path, 4.0, "--save_steps", "1", "--resume_from_checkpoint", "True")
    again._load_checkpoint(again.resumed)
    assert other.get_scale() == 16
