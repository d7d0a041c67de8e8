"""Section of an experiment: variants of a run, each trained with several seeds."""

from typing import Annotated, Any

from pydantic import Field

from fragmodel.config.section import Section

Value = str | bool | int | float | list[str | int | float]


class ExperimentConfig(Section):
    """Variants of the run that the file describes, each with every seed, in one workflow."""

    base: str | None = None
    """Config file of the run that is varied; the other keys of this file change it. Without it they are the run."""
    variants: dict[str, dict[str, Any] | None] = {}
    """Changed keys by the variant's name, nested or with dots (`lora.rank: 8`); `null` takes a key away. Others are \
compared with the first."""
    grid: dict[str, Annotated[list[Value], Field(min_length=1)]] = {}
    """Values by key (`lora.rank: [8, 32]`): each variant with each combination of them."""
    seeds: Annotated[list[int], Field(min_length=1)] = [1]
    """Seeds of alignment and training; the data, and stand-ins, go by the run's `seed` in all runs."""
    reference: str | None = None
    """The variant that the others are compared with; the first unless given."""
