"""Chooses records for the example browser and puts together what is shown of each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from fragmodel.data import prompts
from fragmodel.evidence.block import HEAD
from fragmodel.metric_names import RECORD_METRIC
from fragmodel.report import labels
from fragmodel.report.run_files import by_place, place_of, read_class_ids
from fragmodel.report.tracks import Track, in_protein, percent, ruler, tracks
from fragmodel.tables import RECORDS, Record, read_table, record_at
from fragmodel.vocabulary import GROUNDING_TASKS, MODEL, REFERRING_TASKS

_MOST_TRACKS = 6
_SHORT_MARKERS = {
    prompts.PROTEIN: "⟨protein⟩",
    prompts.FRAGMENT: "⟨fragment⟩",
    prompts.SPAN_OPEN: "",
    prompts.SPAN_CLOSE: "",
}


class RecordScore(NamedTuple):
    """A system's score on one record; ``row`` in the scored table."""

    score: float
    data_name: str
    uid: str
    record_id: str
    row: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What one system said."""

    system: str
    score: float | None
    status: str
    text: str
    tracks: list[Track]
    left_out: int  # tracks beyond those that are drawn


@dataclass(frozen=True, slots=True)
class Example:
    """One record with its answers; the model's comes first."""

    task: str
    data_name: str
    record_id: str
    uid: str
    kind: str  # "best" or "worst"
    place: float  # among the examples of its task: 0 for the worst, 1 for the best
    start: int
    end: int  # of the window in the protein
    full_length: int
    window: tuple[float, float]  # left and width in percent
    ruler: list[tuple[float, int]]  # where residue numbers stand, in percent
    class_ids: list[str]
    question: str
    reference: str
    truth: list[Track]
    left_out: int
    answers: list[Answer]


def record_scores(scored: pa.Table, task: str, system: str, key: str | None = None) -> list[RecordScore]:
    """Scores of a system by a metric of single records, where it is defined; the worst first, ties by name.

    By default it is the task's first metric.
    """
    values = pc.map_lookup(scored["metrics"], pa.scalar(key or RECORD_METRIC.get(task, "")), "first")
    wanted = pc.and_(pc.equal(scored["task_type"], task), pc.equal(scored["system"], system))
    rows = pc.indices_nonzero(pc.and_kleene(wanted, pc.is_valid(values))).to_pylist()
    columns = (values, scored["data_name"], scored["uid"], scored["record_id"])
    return sorted(RecordScore(*(column[row].as_py() for column in columns), row) for row in rows)


def choose(scores: Sequence[RecordScore], count: int) -> list[tuple[str, RecordScore]]:
    """Up to ``count`` records as (kind, record): half of them the worst, data sets in turn; none twice."""
    worst = _in_turn(scores)[: count // 2]
    taken = {item.row for item in worst}
    best = [item for item in _in_turn(scores[::-1]) if item.row not in taken][: count - len(worst)]
    return [("worst", item) for item in worst] + [("best", item) for item in best]


def _in_turn(scores: Sequence[RecordScore]) -> list[RecordScore]:
    """In the given order, but data sets in turn, and a protein's second record after the first of all others."""
    seen: Counter[tuple[str, str]] = Counter()
    rounds_of: dict[int, int] = {}
    for item in scores:
        rounds_of[item.row] = seen[item.data_name, item.uid]
        seen[item.data_name, item.uid] += 1
    queues: dict[str, list[RecordScore]] = {}
    for item in sorted(scores, key=lambda item: rounds_of[item.row]):
        queues.setdefault(item.data_name, []).append(item)
    rounds = zip_longest(*(queues[name] for name in sorted(queues)))
    return [item for group in rounds for item in group if item is not None]


def make_examples(
    scored: pa.Table, records: Sequence[Path], tasks: Sequence[str], count: int
) -> list[Example]:
    """The examples of all tasks, those of a task together, the worst first."""
    chosen = []
    for task in tasks:
        items = choose(record_scores(scored, task, MODEL), count)
        last = max(len(items) - 1, 1)
        chosen += [
            (task, kind, index / last, item)
            for index, (kind, item) in enumerate(sorted(items, key=lambda chosen: chosen[1].score))
        ]
    keys = {(item.data_name, task, item.record_id) for task, _, _, item in chosen}
    found = _records(records, keys)
    answers = _answers(scored, keys)
    class_ids = read_class_ids(records)
    return [
        _example(kind, place, found[key], answers[key], class_ids.get(item.data_name, {}))
        for task, kind, place, item in chosen
        if (key := (item.data_name, task, item.record_id)) in found
    ]


def _records(paths: Sequence[Path], keys: set[tuple[str, str, str]]) -> dict[tuple[str, str, str], Record]:
    found = {}
    for path in by_place(paths):
        place = place_of(path)[:2]
        wanted = [record_id for *where, record_id in keys if tuple(where) == place]
        if wanted:
            table = read_table(path, RECORDS)
            for row in pc.indices_nonzero(pc.is_in(table["record_id"], pa.array(wanted))).to_pylist():
                record = record_at(table, row)
                found[*place, record.record_id] = record
    return found


def _answers(
    scored: pa.Table, keys: set[tuple[str, str, str]]
) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    ids = pa.array(sorted({record_id for *_, record_id in keys}), pa.string())
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in scored.filter(pc.is_in(scored["record_id"], ids)).to_pylist(maps_as_pydicts="strict"):
        key = (row["data_name"], row["task_type"], row["record_id"])
        found.setdefault(key, []).append(row)
    for rows in found.values():
        rows.sort(key=lambda row: (row["system"] != MODEL, row["system"]))
    return found


def _example(
    kind: str, place: float, record: Record, answers: list[dict[str, Any]], class_ids: Mapping[str, str]
) -> Example:
    task, start, whole = record.task_type, record.start, record.full_length
    length = len(record.sequence)
    if task in REFERRING_TASKS:
        groups = [("fragment", [record.position_ref])] if record.position_ref else []
    else:
        spans = record.position_grd or []
        named = len(record.classes) == len(spans)
        groups = list(zip(record.classes if named else [""] * len(spans), spans, strict=True))
    truth = tracks(groups, start, whole, class_ids)
    return Example(
        task=task,
        data_name=record.data_name,
        record_id=record.record_id,
        uid=labels.printable(record.uid),
        kind=kind,
        place=round(place, 4),
        start=start,
        end=start + length,
        full_length=whole,
        window=percent(start, start + length, whole),
        ruler=ruler(whole),
        class_ids=[labels.printable(name) for name in dict.fromkeys(record.class_ids) if name],
        question=_question(record, answers),
        reference=_shown(record.answer, task, start),
        truth=truth[:_MOST_TRACKS],
        left_out=max(0, len(truth) - _MOST_TRACKS),
        answers=[_answer(row, record, class_ids) for row in answers],
    )


def _question(record: Record, answers: list[dict[str, Any]]) -> str:
    """What the model was asked, with the evidence that the question had; the record's own where none is stated."""
    asked = next((turn["content"] for turn in record.conversation[::-1] if turn["role"] == "user"), "")
    prompt = next((row["prompt"] for row in answers if row["system"] == MODEL and row["prompt"]), asked)
    text, head, evidence = prompt.rpartition(HEAD)
    if not head:
        return readable(prompt)
    return readable(text + head) + _shown(evidence, record.task_type, record.start)


def _answer(row: dict[str, Any], record: Record, class_ids: Mapping[str, str]) -> Answer:
    task, start = record.task_type, record.start
    groups = zip(row["predicted_classes"] or [], row["predicted_spans"] or [], strict=False)
    # Places of the one class that was asked for come without its name.
    asked = record.classes[0] if task == "grounding_single" and record.classes else ""
    named = [(name or asked, spans) for name, spans in groups if spans]
    sure = row["place_confidences"] or []
    found = tracks(named, start, record.full_length, class_ids, sure if None not in sure else ())
    return Answer(
        system=row["system"],
        score=row["metrics"].get(RECORD_METRIC.get(task, "")),
        status=row["parse_status"],
        text=_shown(row["text"], task, start),
        tracks=found[:_MOST_TRACKS],
        left_out=max(0, len(found) - _MOST_TRACKS),
    )


def _shown(text: str, task: str, start: int) -> str:
    """An answer to be read, its places in the whole protein."""
    return in_protein(readable(text), start) if task in GROUNDING_TASKS else readable(text)


def readable(text: str) -> str:
    """Text with short names for the control markers, at most 1,500 characters of it."""
    shown = "".join(
        _SHORT_MARKERS[piece] if marker else piece for piece, marker in prompts.split_markers(text)
    )
    shown = labels.printable(shown)
    return shown if len(shown) <= 1500 else shown[:1500].rstrip() + " …"
