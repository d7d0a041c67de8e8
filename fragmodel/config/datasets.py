"""Sections of the raw data."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from fragmodel.config.section import Fraction, Paths, Positive, Section
from fragmodel.vocabulary import LEAST_VISIBLE, LONGEST_WINDOW, MOST_REJECTED, Family, TaskType


class DatasetConfig(Section):
    """One data set: raw files for each split, and what to ask of them."""

    train: Paths
    """Raw files of the training split: nested JSON, conversations, VenusX CSV, function CSV, …"""
    valid: Paths = []
    """Raw files of the validation split; may be empty."""
    test: Paths = []
    """Raw files of the test split."""
    split: Literal["published", "by_cluster"] = "published"
    """`published` takes the splits as the files have them; `by_cluster` deals the proteins of `train` to all three, \
together with those of all such data sets, so that no two relatives stand in different ones, by protein or by \
fragment."""
    split_identity: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Sequence identity from which `by_cluster` takes two proteins or fragments for relatives."""
    tasks: list[TaskType] = ["referring_desc", "referring_class", "grounding_single", "grounding_group"]
    """Task types to make from the files."""
    family: Family | None = None
    """What the fragments are, where the data set's name does not tell (`VenusX_Res_Act_MF50`: active site)."""
    complete: Literal["stated", "all", "none"] = "stated"
    """Proteins of whose family every fragment is annotated, so that a class without one is absent: those of which the \
files [say so](formats.md#what-is-absent), `all` or `none`. Only they get negative records."""
    format: str = "auto"
    """Raw format; `auto` recognises it by content."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Sampling weight of the data set: 2 draws each of its records twice as often as weight 1."""

    @field_validator("tasks")
    @classmethod
    def _tasks_once(cls, value: list[TaskType]) -> list[TaskType]:
        if not value or len(set(value)) != len(value):
            raise ValueError("name each task type once, and at least one")
        return value

    @model_validator(mode="after")
    def _files_fit_the_split(self) -> "DatasetConfig":
        if self.split == "published" and not self.test:
            raise ValueError("test: required key is missing (or set split: by_cluster)")
        if self.split == "by_cluster" and (self.valid or self.test):
            raise ValueError("split: by_cluster deals the files of train; leave valid and test out")
        return self


class NegativesConfig(Section):
    """Records of the grounding tasks about what a protein does not have; the right answer is `none`."""

    share: Annotated[float, Field(ge=0)] = 0.0
    """Negative records for each positive one, as far as the data have them; 0 makes none."""
    hard: Fraction = 0.5
    """Part of those about one class that ask for a [likelier](formats.md#what-is-absent) one; the others ask for any \
class of the data set."""


class IngestConfig(Section):
    """From raw files to validated Parquet."""

    max_sequence_length: Positive = LONGEST_WINDOW
    """Residues of the longest window; longer proteins are cut into windows."""
    min_visible_fraction: Fraction = LEAST_VISIBLE
    """Part of a fragment that a window must show to ask for it there; a smaller one is ignored, in scores too."""
    max_rejected_fraction: Fraction = MOST_REJECTED
    """Stop when more than this part of a file's fragments is at fault. What a file lacks, such as descriptions, is \
[no fault](formats.md#rejects)."""
    negatives: NegativesConfig = NegativesConfig()
    """Questions about what is absent."""
