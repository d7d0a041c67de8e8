"""From a file with a section `experiment` to the configs of its runs."""

import copy
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fragmodel.config.experiment import ExperimentConfig
from fragmodel.config.run import RunConfig, parse_config, parse_section, read_yaml
from fragmodel.errors import UserError

LEARNING = ("alignment", "training")
"""The sections that a seed of an experiment changes."""


class Run(NamedTuple):
    """One run of an experiment; ``values`` is its whole config, as a file would have it."""

    variant: str
    seed: int
    values: dict[str, Any]
    config: RunConfig

    @property
    def name(self) -> str:
        """In Snakemake's rules, before the rule's own name."""
        return f"{self.variant}_{self.seed}"


class Experiment(NamedTuple):
    """All runs, variant by variant; those of ``reference`` are what the others are compared with."""

    results: str
    reference: str
    runs: list[Run]
    changes: dict[str, dict[str, Any]]  # variant → key with dots → value, where it differs from the base

    @property
    def title(self) -> str:
        """Heading of the page."""
        return self.runs[0].config.report.title

    @property
    def identity_threshold(self) -> float:
        """Test records below this identity to training are clean, as in the scores of the reference."""
        of_reference = next(run.config for run in self.runs if run.variant == self.reference)
        return min(of_reference.evaluation.identity_thresholds, default=0.3)


def expand(values: Mapping[str, Any]) -> Experiment:
    """The runs of an experiment from the plain values of its file.

    Raises :class:`UserError` for a mistake, with the variant that has it.
    """
    base = dict(values)
    experiment = parse_section(ExperimentConfig, base.pop("experiment"), "experiment")
    if experiment.base:
        base = changed(read_yaml(experiment.base), base)
    base.pop("experiment", None)
    if repeated := [seed for seed in experiment.seeds if experiment.seeds.count(seed) > 1]:
        raise UserError(f"experiment.seeds: {repeated[0]} stands there twice; a seed makes one run")
    variants = dict(_variants(experiment))
    reference = experiment.reference or next(iter(variants))
    if reference not in variants:
        raise UserError(f"experiment.reference: no variant '{reference}'; there are: {', '.join(variants)}")
    results = parse_config(base, "the run that experiment varies").results
    runs = []
    for variant, changes in variants.items():
        for seed in experiment.seeds:
            config = changed({"shared": f"{results}/shared"} | base, changes)
            config["results"] = f"{results}/{variant}/seed-{seed}"
            config = changed(config, {f"{section}.seed": seed for section in LEARNING})
            parsed = parse_config(config, f"variant '{variant}'")
            runs.append(Run(variant, seed, config, parsed))
    return Experiment(results, reference, runs, variants)


def load_runs(path: str | Path) -> list[Run]:
    """The runs of a config file: one, or those of its experiment. Raises :class:`UserError` for a mistake."""
    values = read_yaml(path)
    if "experiment" in values:
        return expand(values).runs
    config = parse_config(values, str(path))
    return [Run("", config.training.seed, values, config)]


def changed(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with changed keys: sections are joined, other values replaced, and those that are None taken away."""
    result = copy.deepcopy(dict(base))
    for key, value in flat(changes).items():
        *sections, last = key.split(".")
        section = result
        for name in sections:
            if not isinstance(section.get(name), dict):
                section[name] = {}
            section = section[name]
        if value is None:
            section.pop(last, None)
        else:
            section[last] = copy.deepcopy(value)
    return result


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by their keys with dots; an empty section is a value."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _variants(experiment: ExperimentConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and changes of all variants, also of the grid's."""
    known: set[str] = set()
    for variant, changes in (experiment.variants or {"": {}}).items():
        for values in itertools.product(*experiment.grid.values()):
            chosen = dict(zip(experiment.grid, values, strict=True))
            parts = [variant, *(f"{key.rpartition('.')[2]}_{_word(value)}" for key, value in chosen.items())]
            name = "_".join(filter(None, parts))
            if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) or name == "shared":
                raise UserError(
                    f"experiment.variants: '{name}' cannot name a variant; take letters, digits and '_', not 'shared'"
                )
            if name in known:
                raise UserError(f"experiment: two variants are called '{name}'; give them other names")
            known.add(name)
            yield name, flat(changes or {}) | chosen


def _word(value: Any) -> str:
    """A value as part of a name."""
    return re.sub("[^A-Za-z0-9]+", "_", str(value)).strip("_")
