"""The cheapest setting of a card, against a search over everything, and the document's own command."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from transformers import LlamaConfig

from fragmodel.config.run import parse_config
from fragmodel.planning.data import PROMPT_TOKENS, Lengths
from fragmodel.planning.memory import USABLE, Planner, StepMemory, StepSettings
from fragmodel.planning.optimizers import ADAMW
from fragmodel.planning.settings import GIB, Search, Setting, WayOut
from fragmodel.planning.shapes import decoder_shape, encoder_shape
from fragmodel.planning.text import _card

LENGTHS = Lengths(residues=1021, prompt=PROMPT_TOKENS, answer=512)
SETTINGS: dict[str, Any] = {
    "datasets": {"VenusX_Dom": {"train": "train.json", "test": "test.json"}},
    "models": {"encoder": "esm2_t33_650M_UR50D", "decoder": "meta-llama/Llama-3.1-8B-Instruct"},
}
# train_trainer.py's advanced command: the encoder in the loop, float16, batches of 2 × 8.
ADVANCED = {
    "embeddings": {"mode": "in_loop"},
    "adapter": {"intermediate_dim": 4096, "num_perceiver_layers": 12},
    "lora": {"rank": 64, "alpha": 128},
    "training": {"precision": "float16", "batch_size": 2, "gradient_accumulation": 8},
}


def search(sections: dict[str, Any]) -> Search:
    run = parse_config({**SETTINGS, **sections})
    planner = Planner(StepSettings.of(run), encoder_shape(run.models), decoder_shape(run.models))
    return Search(run, planner, LENGTHS)


@pytest.fixture(scope="module")
def advanced() -> Search:
    return search(ADVANCED)


def test_the_documents_command_fits_24_gb_in_half_precision_and_16_in_4_bits(advanced: Search) -> None:
    found = {card: advanced.cheapest(card) for card in (16, 24, 48)}
    assert found[24].config == {"training": {"gradient_checkpointing": True}}
    assert found[24].flags == "--gradient_checkpointing"
    assert found[16].config == {"training": {"gradient_checkpointing": True, "decoder_bits": 4}}
    assert found[16].flags == "--gradient_checkpointing --decoder_bits 4"
    assert found[48].config == {} and not found[48].checkpointing
    assert 20 * GIB < found[24].memory < 21.6 * GIB


def test_as_wide_as_the_decoder_its_adapter_alone_would_fill_a_card(advanced: Search) -> None:
    """By hand: 12 layers of 12 matrices of the width squared; weight, gradient and two moments in four bytes each."""
    wide = {**ADVANCED, "adapter": {**ADVANCED["adapter"], "perceiver_dim": 0}}
    more = search(wide).planner.standing().total - advanced.planner.standing().total
    projections = 2 * 4096 * 512
    assert more == pytest.approx(16 * (144 * (4096**2 - 512**2) - projections), rel=0.01)
    assert more > 35 * GIB


class Synthetic:
    """A planner whose parts are round numbers (GiB): what is left to the search is seen at once."""

    encoder = decoder = None

    def __init__(self, settings: StepSettings, *_: Any) -> None:
        self.settings = settings

    def like(self, settings: StepSettings) -> "Synthetic":
        return Synthetic(settings)

    def standing(self) -> StepMemory:
        settings = self.settings
        half = 1 if settings.frozen == "float32" else 2
        trained = settings.adapter.num_perceiver_layers * GIB
        return StepMemory(
            frozen=(10 if settings.decoder_bits else 64 // half) * GIB,
            trained=trained,
            gradients=trained,
            buckets=0,
            optimizer=2 * trained if settings.optimizer == ADAMW else trained // 2,
            activations=0,
        )

    def step(self, lengths: Lengths, batch: int, *, checkpointing: bool) -> StepMemory:
        activations = (2 if checkpointing else 20) * GIB // (1 if self.settings.frozen == "float32" else 2)
        return replace(self.standing(), activations=batch * activations)

    def tokens_at_once(self, lengths: Lengths, usable: int, *, checkpointing: bool) -> int:
        return lengths.tokens

    def gathered_bytes(self) -> int:
        return 3 * GIB


@pytest.fixture
def synthetic(monkeypatch: pytest.MonkeyPatch) -> Search:
    monkeypatch.setattr("fragmodel.planning.settings.Planner", Synthetic)
    run = parse_config({**SETTINGS, "training": {"gradient_checkpointing": True}})
    return Search(run, Synthetic(StepSettings.of(run)), LENGTHS)


def test_no_cheaper_choice_fits(synthetic: Search) -> None:
    """Over all choices, by hand, at cards between which each of them matters."""
    costs = (1, 2, 2, 4, 8)
    totals: dict[tuple[bool, ...], int] = {}
    for on in product((False, True), repeat=5):
        checkpointing, half, eight, four, one_layer = on
        layers = 1 if one_layer else 2
        frozen = 10 if four else 32 if half else 64
        activations = (2 if checkpointing else 20) / (2 if half else 1)
        totals[on] = int((frozen + layers * (2.5 if eight else 4) + activations) * GIB)
    for limit in sorted(totals.values()):
        card = (limit + 1) / USABLE / GIB
        least = min(
            sum(cost for cost, made in zip(costs, on, strict=True) if made)
            for on, total in totals.items()
            if total <= limit
        )
        setting = synthetic.cheapest(card)
        training, adapter = (setting.config.get(name, {}) for name in ("training", "adapter"))
        made = (
            setting.checkpointing,
            *(name in training for name in ("precision", "optimizer", "decoder_bits")),
            "num_perceiver_layers" in adapter,
        )
        assert sum(cost for cost, is_made in zip(costs, made, strict=True) if is_made) == least
        assert setting.memory == totals[made] <= limit
    assert isinstance(synthetic.cheapest(0.99 * min(totals.values()) / USABLE / GIB), WayOut)


def test_where_nothing_fits_the_cards_that_share_a_model_are_counted(synthetic: Search) -> None:
    """By hand: 32 GiB frozen and 8 of trained weights are dealt out beside 1 of activations and 3 that are gathered."""
    way = synthetic.cheapest(10 / USABLE)
    assert way == WayOut(least=int((10 + 2.5 + 1) * GIB), gpus=7)
    lines = [line.strip() for line in _card(10, way)]
    assert lines[0].endswith("does not fit, 13.5 GiB at the least")
    assert lines[1].startswith(
        "training.parallel: fsdp on 7 such GPUs, or a smaller decoder, or shorter windows"
    )
    assert synthetic.cheapest(4 / USABLE) == WayOut(least=way.least, gpus=None)
    assert "fsdp" not in " ".join(_card(4, synthetic.cheapest(4 / USABLE)))


def test_checkpointing_that_is_not_needed_is_switched_off(synthetic: Search) -> None:
    setting = synthetic.cheapest(200)
    assert isinstance(setting, Setting)
    assert setting.config == {"training": {"gradient_checkpointing": False}}
    assert setting.flags == "--gradient_checkpointing False"


def test_what_processes_that_share_a_model_gather() -> None:
    """By hand: embeddings, head and last norm, and two layers of eight, in four bytes."""
    run = parse_config(SETTINGS)
    shape = LlamaConfig(
        hidden_size=64, intermediate_size=96, num_hidden_layers=8, num_attention_heads=4, vocab_size=500
    )
    planner = Planner(StepSettings.of(run), encoder_shape(run.models), shape)
    layer = 4 * 64**2 + 3 * 64 * 96 + 2 * 64
    assert planner.gathered_bytes() == 4 * (2 * 500 * 64 + 64 + 2 * layer)


def test_text_can_be_pasted_and_says_when_checkpointing_can_be_off(advanced: Search) -> None:
    lines = list(_card(16, advanced.cheapest(16)))
    assert lines[1].strip() == "'training={gradient_checkpointing: true, decoder_bits: 4}'"
    assert lines[2].strip() == "--gradient_checkpointing --decoder_bits 4"
    (line,) = _card(48, advanced.cheapest(48))
    assert line.endswith("checkpointing can be off, as configured")
