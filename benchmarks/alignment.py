"""The first 100 steps of instruction tuning on the shipped sample, from aligned adapters and from untrained ones.

`config/alignment.yaml` is run up to its alignment stage; then the same training is started twice for each seed of
batches and dropout. What is compared is the mean training loss of parts of the 100 steps, and the validation loss after
them. `results/benchmarks/alignment-first-steps.svg` is drawn from it.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.measure import row
from fragmodel.config.run import RunConfig, parse_config

ROOT = Path(__file__).parents[1]
STEPS = 100
UNIT = "nats a token"
PARTS = ((1, 10), (11, 30), (31, 100))
FIGURE = ROOT / "results/benchmarks/alignment-first-steps.svg"


def run(quick: bool) -> list[dict]:
    """Rows of nats a token, means over the seeds; `ours` starts from the aligned adapters."""
    seeds = (1,) if quick else (1, 2, 3, 4, 5)
    with tempfile.TemporaryDirectory(prefix="fragmodel-alignment-") as name:
        config = _aligned(Path(name))
        losses, validation = {}, {}
        for side in ("ours", "peer"):
            found = [_train(config, Path(name), side, seed) for seed in seeds]
            losses[side] = [
                sum(each) / len(each) for each in zip(*(train for train, _ in found), strict=True)
            ]
            validation[side] = [valid for _, valid in found]
    _draw(losses, len(seeds))
    rows = []
    for first, last in PARTS:
        ours, peer = (statistics.mean(losses[side][first - 1 : last]) for side in ("ours", "peer"))
        rows.append(
            row(f"training loss, steps {first} to {last}, aligned beside not", ours, peer, UNIT, less=True)
        )
    ours, peer = (statistics.mean(validation[side]) for side in ("ours", "peer"))
    spread = (
        statistics.stdev(a - b for a, b in zip(*validation.values(), strict=True)) if len(seeds) > 1 else 0
    )
    name = f"validation loss after {STEPS} steps (difference ± {spread:.3f} over {len(seeds)} seeds)"
    return [*rows, row(name, ours, peer, UNIT, less=True)]


def _aligned(folder: Path) -> RunConfig:
    """Run the shipped example up to alignment, with everything that it makes in ``folder``."""
    values = yaml.safe_load((ROOT / "config/alignment.yaml").read_text(encoding="utf-8"))
    values["results"] = str(folder / "results")
    values["embeddings"]["store"], values["alignment"]["store"] = str(folder / "store"), str(folder / "texts")
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "align", "--configfile", str(path), "--quiet", "rules"]
    subprocess.run(command, cwd=ROOT, check=True)
    return parse_config(values)


def _train(config: RunConfig, folder: Path, side: str, seed: int) -> tuple[list[float], float]:
    """Training loss of every step, and the validation loss after the last."""
    from fragmodel.embeddings.manifest import fingerprint_of
    from fragmodel.training.launch import launch

    results, run = Path(config.results), folder / f"{side}-{seed}"
    splits = {
        split: [
            results / f"data/{n}/{t}/{split}.parquet" for n, d in config.datasets.items() for t in d.tasks
        ]
        for split in ("train", "valid")
    }
    launch(
        encoder=results / "models/encoder",
        decoder=results / "models/decoder",
        **splits,
        weights=[1.0] * len(splits["train"]),
        store=Path(config.embeddings.store),
        fingerprint=fingerprint_of(sorted((results / "embeddings").glob("*.parquet"))),
        checkpoints=run / "checkpoints",
        model=run / "model",
        log=run / "log.jsonl",
        adapter=config.adapter,
        lora=config.lora,
        training=config.training.model_copy(
            update={"max_steps": STEPS, "log_steps": 1, "checkpoint_steps": STEPS, "probe_records": 0}
        ),
        seed=seed,
        code="",
        anew=True,
        aligned=results / "alignment/model" if side == "ours" else None,
    )
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    valid = [entry["eval_loss"] for entry in entries if "eval_loss" in entry]
    return [entry["loss"] for entry in entries if "loss" in entry], valid[-1]


def _draw(losses: dict[str, list[float]], seeds: int) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    for side, label in (("peer", "untrained adapters"), ("ours", "aligned adapters")):
        axes.plot(range(1, STEPS + 1), losses[side], label=label, linewidth=1.2)
    axes.set(xlabel="step", ylabel="training loss, nats a token", title=f"Mean of {seeds} seeds")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, metadata={"Date": None})


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2))
