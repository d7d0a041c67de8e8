"""Predictions and references in, metrics with intervals and a table of scored records out."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fragmodel.digests import write_noted
from fragmodel.evaluation.answers import Answers, Sureness, read_answers
from fragmodel.evaluation.calibration import Calibration, read_calibration
from fragmodel.evaluation.claims import against
from fragmodel.evaluation.judge import Comparer, Judged, Knowledge, judge, read_knowledge
from fragmodel.evaluation.metrics.bootstrap import estimate
from fragmodel.evaluation.metrics.semantic import Encode, Semantics, minilm
from fragmodel.evaluation.parse import MISSING, ClassNames
from fragmodel.evaluation.references import Key, Reference, read_references
from fragmodel.evaluation.subsets import clean, read_identities, subsets
from fragmodel.metric_names import RECORD_METRIC
from fragmodel.tables import SCORED, write_table
from fragmodel.versions import SCORES, versions_of
from fragmodel.vocabulary import ALL_DATA_SETS, DESCRIBING_TASKS, MODEL, TaskType

Comparable = dict[
    str, np.ndarray
]  # by system, the primary metric of each record [records]; NaN where it has none


def score(
    predictions: Sequence[Path],
    references: Sequence[Path],
    *,
    metrics_output: Path,
    table_output: Path | None,
    leakage: Path | None = None,
    train: Sequence[Path] = (),
    bootstrap_samples: int = 1000,
    seed: int = 1,
    identity_threshold: float = 0.3,
    clean_only: bool = False,
    task: str | None = None,
    encode: Encode | None = minilm,
    bertscore: Path | None = None,
    calibration: Path | None = None,
) -> dict[str, Any]:
    """Score every system of ``predictions`` on every data set and task of ``references``.

    Writes ``{data_name: {task_type: {"n", "proteins", "absent", "model", "baselines", "against", "calibration",
    "missing", "subsets", "per_class"}}}`` as JSON and returns it. With ``bootstrap_samples`` a metric is ``{"value",
    "low", "high"}`` where it has an interval, else a number. ``against`` tests the model against each baseline, see
    :mod:`fragmodel.evaluation.claims`; beside the data sets ``"all data sets"`` has ``n``, ``proteins`` and ``against``
    of the tasks that several have, over all of their records. ``clean_below`` is the threshold of ``clean_only``. A
    record without a prediction counts as an empty answer and in ``missing``. ``subsets`` have ``n``, ``absent`` and the
    metrics of parts of the records. The result is deterministic.

    Args:
        predictions: PREDICTIONS tables, or Parquet or CSV files with ``record_id`` and ``text``.
        references: RECORDS tables of the split that was predicted.
        metrics_output: the JSON file.
        table_output: SCORED table, a row for each record and system; ``None`` writes none.
        leakage: the audit's LEAKAGE table of the records; adds the parts by identity to training.
        train: RECORDS tables of the training split: class names that answers may give, and the descriptions of
            classes among which retrieval searches.
        bootstrap_samples: resamples of the 95 % intervals, drawn over proteins; 0 leaves the intervals out.
        seed: seed of the resamples.
        identity_threshold: records below this identity to training, by protein and by fragment, are the part ``clean``.
        clean_only: score only the records of that part (needs ``leakage``); predictions of others are passed over.
        task: score this task type only.
        encode: sentence encoder of the similarity and retrieval metrics; ``None`` leaves them out.
        bertscore: folder of a transformers encoder; adds BERTScore with it.
        calibration: what :func:`fragmodel.evaluation.calibrate.calibrate` wrote; the confidences of its system are
            calibrated by it.

    Raises:
        UserError: a file lacks a column, a prediction is unknown, ambiguous or given twice, or no record is left.
    """
    calibrated = read_calibration(calibration) if calibration else None
    records = read_references(references, task)
    answers = read_answers(predictions, records, task)
    knowledge = read_knowledge(train)
    identities = read_identities(leakage) if leakage is not None else None
    if clean_only:
        records = clean(records, identities, identity_threshold)
    comparers = _comparers(records, answers, knowledge, encode, bertscore)

    result: dict[str, Any] = {}
    pooled: dict[TaskType, list[tuple[list[Reference], Comparable]]] = defaultdict(list)
    rows: list[dict[str, Any]] = []
    for (data_name, task_type), group in _by_task(records).items():
        asked = [name for reference in group for name in (reference.classes or [reference.answer])]
        names = ClassNames([*knowledge.classes.get(data_name, ()), *asked])
        judged = {}
        for system in answers.systems_for(reference.key for reference in group):
            texts = [answers.texts[system].get(reference.key) for reference in group]
            sure = _sureness(answers, system, group, calibrated)
            judged[system] = judge(task_type, group, texts, names, comparers.get(data_name, []), sure)
            rows.extend(_scored_rows(system, group, answers, judged[system], sure))
        questions = [answers.prompts.get(reference.key, "") for reference in group]
        masks = subsets(group, identities, identity_threshold, questions)
        summary = _summary(judged, group, masks, bootstrap_samples, seed)
        compared = _comparable(task_type, judged)
        pooled[task_type].append((group, compared))
        summary["against"] = _against(task_type, compared, group, seed)
        summary["calibration"] = _calibrations(task_type, judged, calibrated)
        if clean_only:
            summary["clean_below"] = identity_threshold
        result.setdefault(data_name, {})[task_type] = summary
    if together := {task: _together(task, parts, seed) for task, parts in pooled.items() if len(parts) > 1}:
        result[ALL_DATA_SETS] = together
    write_json(metrics_output, result)
    if table_output is not None:
        write_table(table_output, SCORED, rows, {"seed": seed, "environment": versions_of(SCORES)})
    return result


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write ``values`` as indented JSON with sorted keys, whole or not at all."""
    write_noted(
        path, json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    )


def _sureness(
    answers: Answers, system: str, group: Sequence[Reference], calibration: Calibration | None
) -> list[Sureness]:
    """How sure a system is of each answer, calibrated where there is a calibration of it."""
    found = [answers.sureness.get((system, reference.key), Sureness()) for reference in group]
    if calibration is None or calibration.system != system or not group:
        return found
    return [calibration.applied(group[0].key.task_type, sure) for sure in found]


def _calibrations(
    task_type: TaskType, judged: Mapping[str, Judged], calibration: Calibration | None
) -> dict[str, Any]:
    """For each system with confidences of classes or places what calibrated them; None where nothing did."""
    stating = [
        name for name, item in judged.items() if "ece" in item.scores.values(np.ones((1, len(item.statuses))))
    ]
    return {
        name: calibration.told(task_type) if calibration and calibration.system == name else None
        for name in stating
    }


def _by_task(records: Mapping[Key, Reference]) -> dict[tuple[str, str], list[Reference]]:
    groups: dict[tuple[str, str], list[Reference]] = defaultdict(list)
    for key, reference in records.items():
        groups[key.data_name, key.task_type].append(reference)
    return dict(sorted(groups.items()))


def _comparers(
    records: Mapping[Key, Reference],
    answers: Answers,
    knowledge: Knowledge,
    encode: Encode | None,
    bertscore: Path | None,
) -> dict[str, list[Comparer]]:
    """What compares the texts of each data set that has free text to score."""
    texts: dict[str, set[str]] = defaultdict(set)
    for key, reference in records.items():
        if key.task_type in DESCRIBING_TASKS:
            texts[key.data_name].add(reference.answer)
            texts[key.data_name].update(given.get(key, "") for given in answers.texts.values())
    comparers: dict[str, list[Comparer]] = {name: [] for name in texts}
    if encode is not None:
        for name, found in texts.items():
            comparers[name].append(Semantics(found, knowledge.descriptions.get(name, {}), encode))
    if bertscore is not None and texts:
        from fragmodel.evaluation.metrics.bertscore import BertScore

        shared = BertScore(bertscore)
        for found in comparers.values():
            found.append(shared)
    return comparers


def _summary(
    judged: Mapping[str, Judged],
    group: Sequence[Reference],
    masks: Mapping[str, np.ndarray],
    samples: int,
    seed: int,
) -> dict[str, Any]:
    proteins = [reference.uid for reference in group]
    absent = np.array([reference.absent for reference in group])

    def systems(mask: np.ndarray | None) -> dict[str, Any]:
        metrics = {
            name: estimate(item.scores.values, proteins, samples=samples, seed=seed, mask=mask)
            for name, item in judged.items()
        }
        of = absent if mask is None else absent[mask]
        counts = {"n": len(of), "absent": int(of.sum())}
        return counts | {MODEL: metrics.pop(MODEL, {}), "baselines": metrics}

    summary = systems(None)
    summary["proteins"] = len(set(proteins))
    summary["missing"] = {name: item.statuses.count(MISSING) for name, item in judged.items()}
    summary["subsets"] = {name: systems(mask) for name, mask in masks.items()}
    if MODEL in judged and hasattr(judged[MODEL].scores, "per_class"):
        summary["per_class"] = judged[MODEL].scores.per_class()
    return summary


def _comparable(task_type: TaskType, judged: Mapping[str, Judged]) -> Comparable:
    metric = RECORD_METRIC[task_type]
    return {name: item.scores.per_record()[metric].astype(float) for name, item in judged.items()}


def _against(
    task_type: TaskType, scores: Comparable, group: Sequence[Reference], seed: int
) -> dict[str, Any]:
    """The model minus each baseline by the task's primary metric, on the records for which both have it."""
    own = scores.get(MODEL)
    found = {}
    for name, theirs in scores.items() if own is not None else ():
        both = np.flatnonzero(np.isfinite(own) & np.isfinite(theirs))
        if name != MODEL and len(both):
            uids = [group[i].uid for i in both]
            found[name] = against(theirs[both], own[both], uids, RECORD_METRIC[task_type], seed)
    return found


def _together(
    task_type: TaskType, parts: Sequence[tuple[list[Reference], Comparable]], seed: int
) -> dict[str, Any]:
    """All data sets of a task as one, with the systems that have answered each of them."""
    group = [reference for references, _ in parts for reference in references]
    everywhere = [name for name in parts[0][1] if all(name in scores for _, scores in parts)]
    scores = {name: np.concatenate([each[name] for _, each in parts]) for name in everywhere}
    return {
        "n": len(group),
        "proteins": len({reference.uid for reference in group}),
        "against": _against(task_type, scores, group, seed),
    }


def _scored_rows(
    system: str,
    group: Sequence[Reference],
    answers: Answers,
    judged: Judged,
    sureness: Sequence[Sureness],
) -> Iterator[dict[str, Any]]:
    metrics = judged.scores.per_record()
    for index, reference in enumerate(group):
        key, spans = reference.key, judged.groups[index]
        yield {
            **key._asdict(),
            "uid": reference.uid,
            "system": system,
            "prompt": answers.prompts.get(key),
            "reference": reference.answer,
            "text": answers.texts[system].get(key, ""),
            "parse_status": judged.statuses[index],
            "predicted_classes": [name for name, _ in spans],
            "predicted_spans": [[list(span) for span in places] for _, places in spans],
            "confidence": sureness[index].answer,
            "place_confidences": list(judged.places[index]) if judged.places else None,
            "place_right": judged.place_hits[index] if judged.place_hits else None,
            "seconds": answers.seconds.get((system, key)),
            "metrics": {
                name: float(values[index]) for name, values in metrics.items() if np.isfinite(values[index])
            },
        }
