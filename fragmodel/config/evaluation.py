"""Sections of evaluation and report."""

from typing import Annotated, Literal

from pydantic import Field

from fragmodel.config.section import Folder, Paths, Positive, Section


class EvaluationConfig(Section):
    """Generation and scoring."""

    split: Literal["valid", "test"] = "test"
    """The split that is generated and scored."""
    model: Folder | None = None
    """Folder of a trained model to evaluate instead of training one: of another run, exported, or merged. Its encoder
    must be `models.encoder`."""
    max_new_tokens: Positive = 128
    """Longest generated answer."""
    constrained: bool = True
    """Answer by what is valid alone: places inside the window, classes that training has, `none` where training says \
it. Descriptions are free text in any case."""
    classes: Literal["closed", "open"] = "closed"
    """`closed`: an answer names classes of the training records; `open`: any class, as free text (in groups some 80 \
bytes at most); places stay inside the window."""
    candidates: Positive = 1
    """Probable answers to keep for each record, ranked, beside the answer itself; 1 keeps none. The search for them \
takes up to as many times the work of the answer; the question is read once."""
    place_draws: Annotated[int, Field(ge=0)] = 16
    """Constrained answers about places: where none has a probability of one half, so many are drawn, and the one that \
overlaps most with all is given; 0 gives the most probable one."""
    batch_size: Positive = 32
    """Records generated together."""
    calibration_records: Annotated[int, Field(ge=0)] = 200
    """Validation records of each data set and task, at most, from whose answers confidences are calibrated; 0 leaves \
them as they are, and so does `split: valid`."""
    shards: Positive = 1
    """Jobs among which the batches of each data set are dealt; a lost job repeats its own shard only."""
    gpus: Annotated[int, Field(ge=0, le=1)] = 0
    """GPUs that each generation job asks the cluster for; a visible GPU is used in any case."""
    baselines: list[
        Literal[
            "majority",
            "nearest_embedding",
            "linear_probe",
            "alignment",
            "profile_search",
            "position_prior",
            "random_span",
        ]
    ] = [
        "majority",
        "nearest_embedding",
        "linear_probe",
        "alignment",
        "profile_search",
        "position_prior",
        "random_span",
    ]
    """Baselines to score beside the model."""
    annotations: dict[str, Paths] = {}
    """Annotations made elsewhere, scored as systems: files by the system's name (InterProScan results with their \
FASTA, UniProt files, HMMER's domain tables, or tables with `uid`, `class`, `start`, `end`). Every data set is looked \
up in them."""
    bootstrap_samples: Annotated[int, Field(ge=0)] = 1000
    """Bootstrap resamples of the 95 % intervals; 0 leaves the intervals out."""
    bertscore: str | None = None
    """Local folder of a transformers encoder: adds BERTScore with it to the metrics of free text."""
    clean_only: bool = False
    """Score only test records that are clean: neither protein nor fragment has a relative in training (from the \
lowest of `identity_thresholds` on)."""
    identity_thresholds: list[Annotated[float, Field(gt=0, le=1)]] = [0.9, 0.5, 0.3]
    """Sequence identities at which test proteins and fragments are checked for relatives in training."""


class ReportConfig(Section):
    """The HTML page."""

    title: str = "fragmodel run"
    """Heading of the page."""
    examples: Positive = 12
    """Examples for each task in the example browser, half of them the worst."""
