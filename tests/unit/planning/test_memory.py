"""The estimated memory of a training step against what torch's allocator hands out in a real one."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import TEXTS, make_batch, make_dataset, make_packed, referring_record
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoTokenizer, LlamaForCausalLM

from fragmodel.config.run import RunConfig, parse_config
from fragmodel.model.sources import make_encoder
from fragmodel.model.stand_ins import build_decoder
from fragmodel.model.trained import ModelSpec
from fragmodel.planning.data import Lengths
from fragmodel.planning.memory import Planner, StepSettings
from fragmodel.planning.shapes import decoder_shape, encoder_shape

RESIDUES, BATCH = 200, 3


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An encoder and a decoder large enough that fixed small tensors do not count."""
    folder = tmp_path_factory.mktemp("models")
    make_encoder("stand-in", folder / "encoder", layers=2, dim=64, heads=4, seed=1)
    dialogues = [([{"role": "user", "content": text}], text) for text in TEXTS]
    shape = {"layers": 4, "dim": 128, "heads": 4, "epochs": 0, "seed": 1}
    build_decoder(folder / "decoder", dialogues, vocab_size=400, **shape)
    return folder / "encoder", folder / "decoder"


def config(folders: tuple[Path, Path], precision: str) -> RunConfig:
    return parse_config(
        {
            "datasets": {"VenusX_Dom": {"train": "train.json", "test": "test.json"}},
            "models": {"encoder": str(folders[0]), "decoder": str(folders[1])},
            "embeddings": {"mode": "in_loop"},
            "adapter": {"intermediate_dim": 128, "num_perceiver_heads": 4},
            "lora": {"rank": 8, "dropout": 0.1},
            "training": {"precision": precision},
        }
    )


def real_model(run: RunConfig) -> tuple[Any, Any]:
    spec = ModelSpec(
        esm_path=run.models.encoder,
        llama_path=run.models.decoder,
        **run.adapter.model_dump(),
        dtype=run.training.precision,
        lora_rank=run.lora.rank,
        lora_alpha=run.lora.alpha,
        lora_dropout=run.lora.dropout,
        target_modules=run.lora.target_modules,
        seed=1,
    )
    return spec.build(include_encoder=True)


def batch_of(tokenizer: Any, make: Any = make_batch) -> tuple[dict[str, torch.Tensor], Lengths]:
    sequence = "ACDEFGHIKLMNPQRSTVWY" * (RESIDUES // 20)
    rows = [
        referring_record(number, (0, RESIDUES), "zinc finger " * 12) | {"sequence": sequence}
        for number in range(BATCH)
    ]
    item = make_dataset(rows, tokenizer, latent=1)[0]
    prompt = item["labels"].count(-100) - RESIDUES - 2
    answer = len(item["labels"]) - RESIDUES - 2 - prompt
    return make(rows, tokenizer, latent=1), Lengths(residues=RESIDUES, prompt=prompt, answer=answer)


def peak(step: Any) -> int:
    """Most bytes that torch's CPU allocator had handed out at once while ``step`` ran."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    return max(itertools.accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())))


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_estimate_is_near_the_measured_peak(
    folders: tuple[Path, Path], precision: str, checkpointing: bool
) -> None:
    run = config(folders, precision)
    model, tokenizer = real_model(run)
    batch, lengths = batch_of(tokenizer)
    planner = Planner(StepSettings.of(run), encoder_shape(run.models), decoder_shape(run.models))
    estimate = planner.step(lengths, BATCH, checkpointing=checkpointing)

    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    model.train()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)

    def accumulate() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = model(**batch).loss
        loss.backward()

    accumulate()
    optimizer.step()
    weights = sum(weight.nbytes for weight in model.parameters())
    gradients = sum(weight.grad.nbytes for weight in trained)
    moments = sum(
        value.nbytes for state in optimizer.state.values() for value in state.values() if value.ndim
    )
    assert estimate.frozen + estimate.trained == pytest.approx(weights, rel=0.02)
    assert estimate.gradients == gradients
    assert estimate.optimizer == moments
    assert estimate.activations == pytest.approx(peak(accumulate), rel=0.1)


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_itself_needs_no_more(
    folders: tuple[Path, Path], precision: str, checkpointing: bool
) -> None:
    """It packs its records, here all in one part; the estimate is of a padded pass."""
    run = config(folders, precision)
    model, tokenizer = real_model(run)
    batch, lengths = batch_of(tokenizer, make_packed)
    planner = Planner(StepSettings.of(run), encoder_shape(run.models), decoder_shape(run.models))
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    model.train()

    def accumulate() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = model(**batch).loss
        loss.backward()

    accumulate()
    measured = peak(accumulate)
    assert measured < planner.step(lengths, BATCH, checkpointing=checkpointing).activations


def test_a_large_vocabulary_is_not_copied(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Training uses embeddings and head as they are; peft's layers, which a padded pass runs, copy them."""
    decoder = LlamaForCausalLM.from_pretrained(folders[1])
    decoder.resize_token_embeddings(50_000, mean_resizing=False)
    decoder.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(folders[1]).save_pretrained(tmp_path)
    run = config((folders[0], tmp_path), "float32")
    model, tokenizer = real_model(run)
    model.activation_checkpointing_enable({"use_reentrant": False})
    model.enable_input_require_grads()
    model.train()
    measured = []
    for make in (make_packed, make_batch):
        batch, lengths = batch_of(tokenizer, make)
        model(**batch).loss.backward()
        measured.append(peak(lambda batch=batch: model(**batch).loss.backward()))
    planner = Planner(StepSettings.of(run), encoder_shape(run.models), decoder_shape(run.models))
    estimate = planner.step(lengths, BATCH, checkpointing=True).activations
    assert measured[0] < estimate < 0.85 * measured[1]


def test_operations_are_those_of_a_real_step(folders: tuple[Path, Path]) -> None:
    run = config(folders, "float32")
    model, tokenizer = real_model(run)
    batch, lengths = batch_of(tokenizer)
    one = {name: value[:1] for name, value in batch.items()}
    planner = Planner(StepSettings.of(run), encoder_shape(run.models), decoder_shape(run.models))
    model.train()
    # Attention is not counted by torch on a CPU: take the planner's share of it away.
    counter = FlopCounterMode(display=False)
    encoder = FlopCounterMode(display=False)
    with counter:
        model(**one).loss.backward()
    with encoder:
        model.base_model.model.encode_protein(one["protein_input_ids"], one["protein_attention_mask"])
    heads_width = planner.decoder.hidden_size
    # Two products forward and five in the backward pass, over all pairs of positions.
    attention = 7 * 2 * lengths.tokens**2 * heads_width * planner.decoder.num_hidden_layers
    measured = counter.get_total_flops() - encoder.get_total_flops() + attention
    assert planner.training_operations(lengths, checkpointing=False) == pytest.approx(measured, rel=0.03)
    rows = RESIDUES + 2
    attention = 4 * rows**2 * planner.encoder.hidden_size * planner.encoder.num_hidden_layers
    measured = encoder.get_total_flops() + attention
    assert planner.encoder_operations(RESIDUES) == pytest.approx(measured, rel=0.05)


def test_both_formats_of_half_precision_take_the_same(folders: tuple[Path, Path]) -> None:
    """The documented command says float16."""
    steps = []
    for precision in ("bfloat16", "float16"):
        run = config(folders, precision)
        planner = Planner(StepSettings.of(run), encoder_shape(run.models), decoder_shape(run.models))
        steps.append(planner.step(Lengths(residues=50, prompt=20, answer=10), 2, checkpointing=True))
        planner.training_operations(Lengths(residues=50, prompt=20, answer=10), checkpointing=False)
    assert steps[0] == steps[1]
