"""The words that every part of the package uses, each defined once: tasks, splits, families, names, spans."""

import re
from typing import Literal, NamedTuple, get_args

TaskType = Literal["referring_desc", "referring_class", "grounding_single", "grounding_group", "function"]
TASK_TYPES: tuple[TaskType, ...] = get_args(TaskType)
REFERRING_TASKS = ("referring_desc", "referring_class")
GROUNDING_TASKS = ("grounding_single", "grounding_group")
DESCRIBING_TASKS = ("function", "referring_desc")  # whose answers describe a protein or a fragment

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

# The part of a data set's name that tells what its fragments are, and the noun for them.
FAMILIES = {
    "dom": "domain",
    "act": "active site",
    "bindi": "binding site",
    "evo": "conserved site",
    "motif": "motif",
}

LINEAR_LAYERS = (
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
)  # of a decoder's layer
STAND_IN = "stand-in"  # in the place of a model's name: a small seeded one
MODEL = "model"  # the system that is evaluated, among the names of the baselines
SOURCE_FILE = "fragmodel_source.json"  # in a folder of weights: where they come from
LONGEST_WINDOW = (
    1021  # residues of a window unless set otherwise; as published, with BOS and EOS it fits ESM-1b's 1024
)


class Span(NamedTuple):
    """Residues ``start`` (included) to ``end`` (excluded), counted from 0."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Number of residues."""
        return self.end - self.start


def family_of(data_name: str) -> str:
    """Noun for the fragments of a data set, from the suffix of its name (`VenusX_Dom`: domain)."""
    return FAMILIES.get(re.split(r"[_-]", data_name)[-1].lower(), "fragment")
