"""A run that has no report yet: what is done, what runs or has failed, and where its log is."""

from collections import Counter
from pathlib import Path

from fragmodel.digests import read_json
from fragmodel.files import holder
from fragmodel.report.run_files import read_log
from fragmodel.training.watch import total_steps
from fragmodel.vocabulary import RUN_LOCK

DONE = "done in "  # how the log of a finished job ends
TAIL = 3  # last lines of the log of a job that has not finished


def unfinished(results: Path) -> list[str]:
    """A line on the Snakemake at work, one a stage, the step of training, and the logs of unfinished jobs."""
    owner = holder(results / RUN_LOCK)
    state = (
        f"unfinished; at work: {owner}"
        if owner
        else "unfinished, and nothing runs: start Snakemake again to go on"
    )
    logs = sorted((results / "logs").rglob("*.log"), key=lambda path: path.stat().st_mtime)
    done: Counter[str] = Counter()
    lines = []
    for path in logs:
        text = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if text and text[-1].startswith(DONE):
            done[path.relative_to(results / "logs").with_suffix("").parts[0]] += 1
        else:
            lines.append(f"{'running' if owner else 'not finished'}: {path}")
            lines += [f"    {line[:200]}" for line in text[-TAIL:]]
    stages = [f"done: {stage}{f' ({count} jobs)' if count > 1 else ''}" for stage, count in done.items()]
    return [f"{results}: {state}", *stages, *_training(results), *lines]


def _training(results: Path) -> list[str]:
    """How far the youngest training run is that has not finished."""
    attempts = (results / "training/checkpoints").glob("*/log.jsonl")
    youngest = max(attempts, key=lambda path: path.stat().st_mtime, default=None)
    if youngest is None or (youngest.parent / "finished").exists() or not (log := read_log(youngest)).train:
        return []
    settings = read_json(youngest.parent / "settings.json")["training"]
    last = log.train[-1]
    total = total_steps(settings["max_steps"], settings["epochs"], last)
    return [f"training: step {last['step']:,.0f} of {total:,}, loss {last['loss']:.4g}; {youngest}"]
