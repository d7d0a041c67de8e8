"""The page of an experiment, made from the files of its runs."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from fragmodel.report.experiment import RunFiles, make_experiment_page
from fragmodel.tables import LEAKAGE, SCORED, write_table

TASKS = {"referring_class": ("accuracy", "accuracy"), "grounding_single": ("iou", "iou_mean")}
HOSTILE = "<script>alert(1)</script>"
PROTEINS, SEEDS = 12, (1, 2, 3)
GAIN = {"plain": 0.0, "evidence": 0.25, "narrow": -0.02}


def write_run(folder: Path, variant: str, seed: int) -> RunFiles:
    """A run whose scores are the reference's plus the variant's gain and a little noise."""
    shared = np.random.default_rng(0)
    own = np.random.default_rng([seed, len(variant)])
    rows, metrics = [], {}
    for task, (of_record, of_all) in TASKS.items():
        base = shared.random(PROTEINS) * 0.6
        values = base + GAIN[variant] + own.normal(0, 0.02, PROTEINS)
        metrics[task] = {"n": PROTEINS, "model": {of_all: float(values.mean())}, "baselines": {}}
        rows += [
            {
                "record_id": f"r{number}",
                "uid": f"P{number}",
                "data_name": "Mine_Dom",
                "task_type": task,
                "system": "model",
                "reference": "a",
                "text": "b",
                "parse_status": "ok",
                "metrics": {of_record: float(value)},
            }
            for number, value in enumerate(values)
        ]
    write_table(folder / "scores.parquet", SCORED, rows)
    leakage = [
        {key: row[key] for key in ("record_id", "uid", "data_name", "task_type")}
        | {"identity": 0.9 if row["record_id"] == "r0" else 0.1}
        for row in rows
    ]
    write_table(folder / "leakage.parquet", LEAKAGE, leakage)
    (folder / "metrics.json").write_text(json.dumps({"Mine_Dom": metrics}))
    log = [
        {"step": step, "loss": 3 / step - GAIN[variant], "tokens_per_second": 1000.0 + seed}
        for step in (1, 2, 3)
    ] + [
        {"step": 3, "eval_loss": 1.2 - GAIN[variant]},
        {"step": 3, "jobs": 2, "seconds": 1800.0, "peak_memory_mb": 2500.0},
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log))
    files = {"metrics": "metrics.json", "scored": "scores.parquet", "leakage": "leakage.parquet"}
    return RunFiles(
        variant=variant,
        seed=seed,
        page=folder / "report.html",
        training_log=folder / "log.jsonl",
        gpus=2,
        **{name: folder / file for name, file in files.items()},
    )


def make(folder: Path) -> Path:
    runs = [write_run(folder / variant / str(seed), variant, seed) for variant in GAIN for seed in SEEDS]
    changes = {
        "plain": {},
        "evidence": {"evidence.enabled": True, "note": HOSTILE},
        "narrow": {"lora.rank": 2},
    }
    make_experiment_page(
        runs,
        reference="plain",
        changes=changes,
        threshold=0.3,
        title="With and without",
        output=folder / "comparison.html",
        figures_dir=folder / "figures",
        tables_dir=folder / "tables",
    )
    return folder / "comparison.html"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("experiment"))


def table(page: Path, name: str) -> list[dict[str, str]]:
    with (page.parent / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_it_says_which_differences_are_clear(page):
    text = re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))
    assert "evidence beside plain – clearly better in: Classify a fragment (also on the clean part)" in text
    found = {(row["variant"], row["task"], row["part"]): row for row in table(page, "differences")}
    assert len(found) == 2 * 2 * 2  # variants, tasks, parts
    gained = found["evidence", "grounding_single", "all"]
    assert gained["finding"] == "clearly better" and float(gained["difference"]) == pytest.approx(
        0.25, abs=0.02
    )
    assert (gained["records"], found["evidence", "grounding_single", "clean"]["records"]) == ("12", "11")
    assert len(gained["differences_by_seed"].split()) == len(SEEDS)


def test_scores_are_means_and_spreads_over_seeds(page):
    rows = [row for row in table(page, "scores") if (row["variant"], row["metric"]) == ("plain", "accuracy")]
    values = [float(row["mean_over_data_sets"]) for row in rows]
    assert [row["seed"] for row in rows] == ["1", "2", "3"]
    assert f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" in page.read_text(encoding="utf-8")


def test_cost_stands_beside_gain(page):
    (row,) = [row for row in table(page, "costs") if row["variant"] == "evidence"]
    assert float(row["gpu_hours"]) == pytest.approx(1.0)  # half an hour on two
    assert (float(row["peak_memory_gb"]), float(row["tokens_per_second"])) == pytest.approx((2.5, 1002.0))
    assert float(row["difference_referring_class"]) > 0.2


def test_it_needs_nothing_else_and_escapes_what_it_shows(page):
    text = page.read_text(encoding="utf-8")
    assert HOSTILE not in text and "alert(1)" in text
    assert not re.search(r'(src|href)="(https?:|//)', text)
    for variant in GAIN:
        for seed in SEEDS:
            assert f'href="{variant}/{seed}/report.html"' in text


def test_the_same_bytes_for_the_same_files(page, tmp_path):
    assert make(tmp_path).read_bytes() == page.read_bytes()


def test_one_variant_with_one_seed_has_a_page(tmp_path):
    run = write_run(tmp_path / "plain" / "1", "plain", 1)._replace(training_log=None)
    make_experiment_page(
        [run],
        reference="plain",
        changes={"plain": {}},
        threshold=0.3,
        title="Alone",
        output=tmp_path / "comparison.html",
        figures_dir=tmp_path / "figures",
        tables_dir=tmp_path / "tables",
    )
    assert "there is nothing to compare" in (tmp_path / "comparison.html").read_text(encoding="utf-8")
