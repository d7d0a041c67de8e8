"""What the stages that runs may share depend on: where these settings are equal, so are the files.

Runs with the key `shared` keep such a stage's files in a folder that is named after its settings. A key that is
missing here would let a run read what other settings made; `fragmodel/workflow/experiment.py` refuses what it can see.
"""

import json
from fnmatch import fnmatch
from typing import Any, NamedTuple

from fragmodel.config.run import RunConfig
from fragmodel.config.variants import flat
from fragmodel.files import text_digest
from fragmodel.vocabulary import STAND_IN


class Stage(NamedTuple):
    """A stage that does not depend on what is trained."""

    paths: tuple[str, ...]
    """What its rules write below `results`, `logs` and `benchmarks`; the first words of the paths."""
    keys: tuple[str, ...]
    """Settings, with `*` for any characters."""
    after: tuple[str, ...] = ()
    """Stages whose files it reads."""


STAGES = {
    "data": Stage(
        ("data", "rejects", "splits", "ingest", "windows"),
        ("seed", "datasets.*", "ingest.*", "evaluation.split", "packages"),
    ),
    "audit": Stage(("audit",), ("evaluation.identity_thresholds",), ("data",)),
    "encoder": Stage(("models/encoder",), ("seed", "models.encoder*", "models.stand_in.encoder_*")),
    "evidence": Stage(
        ("evidence", "questions"),
        ("evidence.max_lines", "evidence.profiles", "evidence.max_e_value", "evidence.pointers"),
        ("data",),
    ),
    "decoder": Stage(
        ("models/decoder",),
        ("seed", "models.decoder*", "models.stand_in.decoder_*", "models.stand_in.vocab_size"),
        ("asked", "both"),
    ),
    # What a stand-in is trained on, by `models.stand_in.text`; no files of their own.
    "asked": Stage((), ("evidence.enabled",), ("data", "evidence")),
    "both": Stage((), ("models.stand_in.text",), ("data", "evidence")),
    "embeddings": Stage(("embeddings",), ("embeddings.*",), ("data", "encoder")),
    "texts": Stage(
        ("alignment/texts",),
        tuple(f"alignment.{key}" for key in (
            "store", "layer", "pooling", "segments", "max_text_tokens", "text_batch_size", "precision", "gpus"
        )),
        ("data", "decoder"),
    ),
    "alignment": Stage(("alignment",), ("alignment.*", "adapter.*"), ("embeddings", "texts")),
    "baselines": Stage(
        ("baselines",), ("evaluation.baselines", "evaluation.annotations*"), ("embeddings",)
    ),
}  # fmt: skip
"""By name; of two whose paths begin alike the earlier is meant."""
_TRAINING_ALONE = ("datasets.*.weight",)


def place_of(run: RunConfig, path: str) -> str:
    """Where a run has the file ``path`` of a results folder: in its own, or in that of the stage that runs share."""
    return f"{shared_folders(run).get(stage_of(path), run.results)}/{path}"


def shared_folders(run: RunConfig) -> dict[str | None, str]:
    """The folder of each stage by its name; empty for a run that shares nothing."""
    if run.shared is None:
        return {}
    settings = flat(run.model_dump(mode="json"))
    return {
        name: f"{run.shared}/{name}-{text_digest(json.dumps(_settings(name, settings)), size=4)}"
        for name, stage in STAGES.items()
        if stage.paths
    }


def stage_of(path: str) -> str | None:
    """The stage that writes ``path``, told below the folder of the run; None for what a run does not share."""
    for part in ("logs/", "benchmarks/"):
        path = path.removeprefix(part)
    for name, stage in STAGES.items():
        if any(path == start or path.startswith((f"{start}/", f"{start}.")) for start in stage.paths):
            return name
    return None


def _settings(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings that a stage and those before it depend on."""
    stage = STAGES[name]
    own = {
        key: value
        for key, value in settings.items()
        if any(fnmatch(key, pattern) for pattern in stage.keys)
        and not any(fnmatch(key, pattern) for pattern in _TRAINING_ALONE)
    }
    text = settings["models.stand_in.text"] if settings["models.decoder"] == STAND_IN else None
    for before in stage.after:
        if STAGES[before].paths or before == text:
            own |= _settings(before, settings)
    return dict(sorted(own.items()))
