"""A small run to make reports of: real proteins, records and scores made by the package, seeded invented answers."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from fragmodel.data.grammar import NONE, grounding_answer, read_places
from fragmodel.data.records import Fragment, Protein
from fragmodel.data.tasks import Made, Settings, make_records
from fragmodel.evaluation.score import score
from fragmodel.tables import PREDICTIONS, RECORDS, REJECTS, write_table
from fragmodel.vocabulary import Span, TaskType

PROTEINS = Path(__file__).parent / "data" / "report_proteins.json"
TASKS: tuple[TaskType, ...] = ("referring_desc", "referring_class", "grounding_single", "grounding_group")
# What a hostile file could hold: it must reach the page as text and nothing else.
HOSTILE = "</script><script>window.hacked = 1</script> \"quoted\" 'single' <|x|> $x^2$ & {{ 7 * 7 }}"
# How often each system answers rightly.
SKILL = {"model": 0.6, "alignment": 0.5, "majority": 0.15, "random_span": 0.05}


def proteins_of(data_name: str) -> list[Protein]:
    """The stored proteins of a data set."""
    found = json.loads(PROTEINS.read_text(encoding="utf-8"))[data_name]
    return [
        Protein(
            uid=item["uid"],
            sequence=item["sequence"],
            record=number,
            fragments=[
                Fragment(
                    class_name=entry["class_name"],
                    class_id=entry["class_id"],
                    span=Span(*span),
                    description=entry["description"],
                )
                for entry in item["fragments"]
                for span in entry["spans"]
            ],
        )
        for number, item in enumerate(found, start=1)
    ]


def build_run(folder: Path, data_names: tuple[str, ...] = ("VenusX_Dom", "VenusX_Act")) -> dict[str, Any]:
    """Lay out the files of a run in ``folder``; returns the arguments of :func:`make_report`."""
    rng = random.Random(7)
    records, rejects, scored, metrics = [], [], [], {}
    for data_name in data_names:
        proteins = proteins_of(data_name)
        tested = 6 if data_name == data_names[0] else 10  # too few for intervals, and enough
        if data_name == data_names[0]:
            proteins[0] = replace(proteins[0], uid=HOSTILE)
        test_files, predictions = [], []
        for task in TASKS:
            for split, part in (("train", proteins[tested:]), ("valid", []), ("test", proteins[:tested])):
                settings = Settings(task=task, data_name=data_name, split=split)
                made = [m for protein in part for m in make_records(protein, settings) if isinstance(m, Made)]
                rows = [record._asdict() for item in made for record in item.records]
                if task == "grounding_single":
                    rows += [_absent(row, rows) for row in rows[1::3]]
                records.append(folder / "data" / data_name / task / f"{split}.parquet")
                write_table(records[-1], RECORDS, rows)
                rejects.append(folder / "rejects" / data_name / task / f"{split}.parquet")
                write_table(rejects[-1], REJECTS, _rejects(f"{data_name}/{split}.json", len(part)))
                if split == "test":
                    test_files.append(records[-1])
                    predictions += [
                        _prediction(system, row, rows, rng)
                        for system in SKILL
                        if not (system == "random_span" and task.startswith("referring"))
                        for row in rows
                    ]
        answers = folder / "predictions" / f"{data_name}.parquet"
        write_table(answers, PREDICTIONS, predictions)
        scored.append(folder / "scores" / f"{data_name}.parquet")
        output = folder / "scores" / f"{data_name}.json"
        metrics |= score(
            [answers], test_files, metrics_output=output, table_output=scored[-1],
            train=[path for path in records if path.stem == "train"], bootstrap_samples=50, encode=None,
        )  # fmt: skip
    return {
        "records": records,
        "rejects": rejects,
        "training_log": _write(folder / "training" / "log.jsonl", _log()),
        "metrics": _write(folder / "metrics.json", json.dumps(metrics)),
        "scored": scored,
        "leakage": _write(folder / "audit" / "leakage.json", json.dumps(_leakage(data_names))),
        "output": folder / "report.html",
        "figures_dir": folder / "figures",
        "tables_dir": folder / "tables",
        "title": "A small run",
        "examples": 6,
        "run": _run(),
    }


def _absent(row: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A record about a class that the protein of ``row`` has not."""
    own = {name for each in rows if each["uid"] == row["uid"] for name in each["classes"]}
    name = next(name for each in rows for name in each["classes"] if name not in own)
    return row | {
        "record_id": f"{row['record_id']}-absent",
        "classes": [name],
        "class_ids": [""],
        "position_grd": [[]],
        "position_ignored": None,
        "answer": NONE,
        "flags": ["absent_random"],
    }


def _prediction(
    system: str, row: dict[str, Any], rows: list[dict[str, Any]], rng: random.Random
) -> dict[str, Any]:
    text = _answer(row, rows, SKILL[system], rng)
    return {
        "system": system,
        "record_id": row["record_id"],
        "data_name": row["data_name"],
        "task_type": row["task_type"],
        "prompt": row["conversation"][-1]["content"],
        "text": text,
        "reference": row["answer"],
        "stopped": True,
        "tokens": 12,
        "seconds": 0.1,
        **(_confidences(row, text) if system == "model" else {}),
    }


def _confidences(row: dict[str, Any], text: str) -> dict[str, Any]:
    """Too sure of most, and a little surer of what is right."""
    own = random.Random(row["record_id"])
    sure = [
        round(min(1.0, own.uniform(0.2, 0.9) + 0.2 * (text == row["answer"])), 3) for _ in read_places(text)
    ]
    if row["position_grd"] is not None:
        return {"place_confidences": sure}
    return {"confidence": own.uniform(0.4, 1)} if row["task_type"] == "referring_class" else {}


def _answer(row: dict[str, Any], rows: list[dict[str, Any]], skill: float, rng: random.Random) -> str:
    """The reference, something near it, another record's answer, or text that cannot be read."""
    draw = rng.random()
    if draw < skill / 2:
        return row["answer"]
    if draw > 0.95:
        return HOSTILE if draw > 0.97 else ""
    if row["position_grd"] is None or draw > 0.9:
        return rng.choice(rows)["answer"]
    if not any(row["position_grd"]):
        return rng.choice(rows)["answer"]
    length = len(row["sequence"])
    shift = 3 if draw < skill else length // 3
    moved = [
        [
            _moved(Span(*span), rng.randint(-shift, shift), rng.randint(-shift, shift), length)
            for span in spans
        ]
        for spans in row["position_grd"]
    ]
    return grounding_answer(row["task_type"], list(zip(row["classes"], moved, strict=True)))


def _moved(span: Span, left: int, right: int, length: int) -> Span:
    start = min(max(span.start + left, 0), length - 1)
    return Span(start, max(start + 1, min(span.end + right, length)))


def _rejects(source: str, count: int) -> list[dict[str, Any]]:
    reasons = ("span_outside_sequence", "conflicting_labels", HOSTILE)
    return [
        {
            "source": source,
            "record": number + 1,
            "uid": f"P{number}",
            "fragment": "SH3 domain 10-20",
            "reason": reasons[number % 3],
            "detail": "field 'end_position' lies behind the last residue; check the coordinate base",
        }
        for number in range(count // 2)
    ]


def _log() -> str:
    lines = []
    for step in range(5, 205, 5):
        loss = 0.9 + 3 * 0.98**step
        rate = 2e-4 * min(step / 10, 1 - step / 220)
        lines.append(
            {
                "step": step,
                "epoch": step / 70,
                "loss": loss,
                "learning_rate": rate,
                "tokens_per_second": 900 + step % 7,
            }
        )
        if step % 50 == 0:
            lines.append({"step": step, "eval_loss": loss + 0.1})
    return "".join(json.dumps(line) + "\n" for line in lines)


def _leakage(data_names: tuple[str, ...]) -> dict[str, Any]:
    part = {
        "proteins": 6,
        "relatives": {"0.9": 0, "0.5": 1, "0.3": 2},
        "records": 9,
        "fragment_relatives": {"0.9": 1, "0.5": 2, "0.3": 4},
        "clean": {"0.9": 8, "0.5": 6, "0.3": 4},
    }
    return {
        "method": "mmseqs2",
        "note": "MMseqs2 easy-search; the alignment covers at least half of the shorter sequence.",
        "thresholds": [0.9, 0.5, 0.3],
        "train_sequences": 6 * len(data_names),
        "test_sequences": 6 * len(data_names),
        "datasets": {name: dict.fromkeys(TASKS, part) for name in data_names},
    }


def _run() -> dict[str, Any]:
    return {
        "config": {
            "seed": 1,
            "training": {"loop": "trainer", "epochs": 3.0},
            "lora": {"rank": 32, "alpha": 64},
        },
        "models": {
            "encoder": {"name": "ESM-2, 4 layers", "stand_in": True, "parameters": 210_000},
            "decoder": {"name": "LLaMA, 4 layers", "stand_in": True, "parameters": 2_900_000},
        },
        "versions": {"fragmodel": "0.1.0", "torch": "2.13.0"},
        "trainable_parameters": 1_234_567,
    }


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
