"""The cheapest setting of a run that fits a card: as configured where that fits, else with the fewest concessions."""

import math
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from fragmodel.config.run import RunConfig
from fragmodel.planning.data import Lengths
from fragmodel.planning.memory import USABLE, Planner, StepMemory, StepSettings
from fragmodel.planning.optimizers import ADAMW

GIB = 2**30
CHECKPOINTING = "training.gradient_checkpointing"
MOST_GPUS = 64


@dataclass(frozen=True)
class Concession:
    """A setting that saves memory: its key and value in the config, its flags, and what it costs."""

    key: str
    value: Any
    flags: str
    cost: int  # 1: time or disk; 2: precision; 4: the frozen decoder's precision; 8: another model


CONCESSIONS = (
    Concession(CHECKPOINTING, True, "--gradient_checkpointing", 1),
    Concession("embeddings.mode", "store", "--store FOLDER", 1),
    Concession("training.precision", "bfloat16", "--torch_dtype bfloat16 --bf16", 2),
    Concession("training.optimizer", "adamw_bnb_8bit", "--optim adamw_bnb_8bit", 2),
    Concession("training.decoder_bits", 4, "--decoder_bits 4", 4),
    Concession("adapter.num_perceiver_layers", 1, "--num_perceiver_layers 1", 8),
)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What to change for a card, and what a step then takes."""

    config: dict[str, dict[str, Any]]  # section → key → value; empty: as configured
    flags: str  # the same for a training program
    checkpointing: bool
    memory: int  # bytes of a step on one of the longest records
    tokens: int  # that go through the model at once


@dataclass(frozen=True, kw_only=True)
class WayOut:
    """Where nothing fits: the bytes of a step with every concession, and how many such cards would share a model."""

    least: int
    gpus: int | None  # None: more than anyone has


class Search:
    """Looks for the settings of several cards; what one has found out serves the next."""

    def __init__(self, run: RunConfig, planner: Planner, lengths: Lengths) -> None:
        self.settings, self.planner, self.lengths = StepSettings.of(run), planner, lengths
        self.configured = run.training.gradient_checkpointing
        self.open = tuple(each for each in CONCESSIONS if _is_open(each, run))
        choices = [
            chosen for number in range(len(self.open) + 1) for chosen in combinations(self.open, number)
        ]
        self.choices = sorted(choices, key=lambda chosen: sum(each.cost for each in chosen))
        self._planners = {self._key(self.settings): planner}

    def cheapest(self, card: int) -> Setting | WayOut:
        """For a card of ``card`` GiB."""
        usable = int(USABLE * card * GIB)
        for chosen in self.choices:
            planner, checkpointing = self._planner(chosen), any(each.key == CHECKPOINTING for each in chosen)
            if planner.standing().total > usable:
                continue
            memory = planner.step(self.lengths, 1, checkpointing=checkpointing).total
            if memory <= usable:
                tokens = planner.tokens_at_once(self.lengths, usable, checkpointing=checkpointing)
                return self._setting(chosen, memory, tokens, checkpointing)
        least = self._planner(self.open).step(self.lengths, 1, checkpointing=True).total
        return WayOut(least=least, gpus=self._gpus(usable))

    def _setting(
        self, chosen: tuple[Concession, ...], memory: int, tokens: int, checkpointing: bool
    ) -> Setting:
        changes = [(each.key, each.value, each.flags) for each in chosen]
        if checkpointing == self.configured:
            changes = [change for change in changes if change[0] != CHECKPOINTING]
        elif self.configured:
            changes.append((CHECKPOINTING, False, "--gradient_checkpointing False"))
        config: dict[str, dict[str, Any]] = {}
        for key, value, _ in changes:
            section, _, name = key.partition(".")
            config.setdefault(section, {})[name] = value
        flags = " ".join(flags for _, _, flags in changes)
        return Setting(config=config, flags=flags, checkpointing=checkpointing, memory=memory, tokens=tokens)

    def _planner(self, chosen: tuple[Concession, ...]) -> Planner:
        settings = self.settings
        for each in chosen:
            match each.key:
                case "embeddings.mode":
                    settings = replace(settings, states="float32")
                case "training.precision":
                    settings = replace(settings, frozen=each.value, computed=each.value)
                case "training.optimizer":
                    settings = replace(settings, optimizer=each.value)
                case "training.decoder_bits":
                    settings = replace(settings, decoder_bits=each.value)
                case "adapter.num_perceiver_layers":
                    adapter = settings.adapter.model_copy(update={"num_perceiver_layers": each.value})
                    settings = replace(settings, adapter=adapter)
        key = self._key(settings)
        if key not in self._planners:
            self._planners[key] = Planner(settings, self.planner.encoder, self.planner.decoder)
        return self._planners[key].like(settings)

    @staticmethod
    def _key(settings: StepSettings) -> str:
        """What a step's activations depend on."""
        return repr(replace(settings, decoder_bits=None, optimizer=""))

    def _gpus(self, usable: int) -> int | None:
        """GPUs that hold a step together by ``parallel: fsdp``, which deals out all that stands between steps.

        Each gathers the embeddings and, of the layers, the one in use and the next.
        """
        chosen = tuple(each for each in self.open if each.cost < 2 or each.key == "training.precision")
        planner = self._planner(chosen).like(
            replace(self._planner(chosen).settings, decoder_bits=None, optimizer=ADAMW, processes=1)
        )
        step = planner.step(self.lengths, 1, checkpointing=True)
        room = usable - step.activations - planner.gathered_bytes()
        if room <= 0:
            return None
        gpus = max(2, math.ceil((step.total - step.activations) / room))
        return gpus if gpus <= MOST_GPUS else None


def _is_open(concession: Concession, run: RunConfig) -> bool:
    """Whether the run has not made this concession yet, and may. Checkpointing is tried both ways."""
    section, _, name = concession.key.partition(".")
    if concession.key == CHECKPOINTING:
        return True
    if concession.key == "training.optimizer":
        return run.training.optimizer == ADAMW and run.training.parallel != "fsdp"
    if concession.key == "training.precision":
        return run.training.precision == "float32"
    return getattr(getattr(run, section), name) != concession.value


def parts_of(memory: StepMemory) -> dict[str, int]:
    """Bytes by part, and their sum."""
    return {**vars(memory), "total": memory.total}
