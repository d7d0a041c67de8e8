"""Answers of any origin, matched one to one to the records that are scored."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fragmodel.data import delimited
from fragmodel.data.text_files import BadRow, is_parquet
from fragmodel.errors import UserError
from fragmodel.evaluation.references import Key, Reference
from fragmodel.tables import damage_told, open_table
from fragmodel.vocabulary import GROUNDING_TASKS, MODEL

_PREDICTED = (
    *("record_id", "text", "system", "data_name", "task_type", "prompt", "seconds"),
    *("confidence", "place_confidences", "candidates", "residue_scores"),
)


class Sureness(NamedTuple):
    """How sure a system is of an answer, as far as it says; see PREDICTIONS in :mod:`fragmodel.tables.contracts`."""

    answer: float | None = None
    places: tuple[float, ...] = ()
    residues: np.ndarray | None = None
    candidates: tuple[tuple[str, float], ...] = ()  # probable answers and their probabilities, ranked

    @property
    def stated(self) -> bool:
        """Whether it says anything."""
        return self.answer is not None or bool(self.places or self.candidates) or self.residues is not None


@dataclass(slots=True)
class Answers:
    """Texts by system and record, and all systems that were read."""

    texts: dict[str, dict[Key, str]] = field(default_factory=lambda: defaultdict(dict))
    prompts: dict[Key, str] = field(
        default_factory=dict
    )  # the model's question, where the predictions state it
    seconds: dict[tuple[str, Key], float] = field(default_factory=dict)  # by system and record, where stated
    sureness: dict[tuple[str, Key], Sureness] = field(default_factory=dict)  # likewise

    def systems_for(self, keys: Iterable[Key]) -> list[str]:
        """Systems to score on these records: the model always, a baseline where it has an answer at all."""
        keys = list(keys)
        found = [name for name, texts in self.texts.items() if name == MODEL or any(k in texts for k in keys)]
        return sorted(found, key=lambda name: (name != MODEL, name))


def read_answers(
    paths: Sequence[Path], references: Mapping[Key, Reference], task: str | None = None
) -> Answers:
    """Read PREDICTIONS tables, or Parquet or CSV files with at least ``record_id`` and ``text``.

    Rows without ``system`` are the model's. Rows without ``data_name`` and ``task_type`` are matched by id
    alone. With ``task``, rows that name another task type are passed over. A row without a text (null, or an
    empty field of a CSV file) is no answer. How sure a system is stands in ``confidence``, ``place_confidences`` and
    ``residue_scores``, ranked answers in ``candidates``, lists being JSON in a CSV file.

    Raises:
        UserError: a file cannot be read; a column is missing; a row has more or fewer fields than the header; an id
            is unknown, ambiguous or given twice for a system; a confidence of a class or a place is no number from 0
            to 1, or there are not as many residue scores as residues.
    """
    by_id: dict[str, list[Key]] = defaultdict(list)
    for key in references:
        by_id[key.record_id].append(key)
    answers = Answers()
    for path in paths:
        for number, row in _rows(path):
            if task is not None and row.get("task_type") not in (task, None, ""):
                continue
            key = _match(row, by_id, f"{path}: row {number}")
            system = row.get("system") or MODEL
            texts = answers.texts[system]
            if key in texts:
                raise UserError(f"{path}: row {number}: a second answer to record '{key.record_id}'")
            if row["text"] is None:
                continue  # no answer; without one the record counts as missing
            texts[key] = row["text"]
            if row.get("prompt") and (system == MODEL or key not in answers.prompts):
                answers.prompts[key] = row["prompt"]
            if seconds := _number(row.get("seconds")):
                answers.seconds[system, key] = seconds
            sure = _sureness(row, references[key], f"{path}: row {number}")
            if sure.stated:
                answers.sureness[system, key] = sure
    if not answers.texts:
        raise UserError(f"{', '.join(map(str, paths))}: no predictions")
    return answers


def _match(row: Mapping[str, Any], by_id: Mapping[str, list[Key]], where: str) -> Key:
    stated = {name: row[name] for name in ("data_name", "task_type") if row.get(name)}
    keys = [
        key
        for key in by_id.get(row["record_id"], [])
        if all(getattr(key, name) == value for name, value in stated.items())
    ]
    if not keys:
        within = "".join(f", {name} '{value}'" for name, value in stated.items())
        raise UserError(f"{where}: record_id '{row['record_id']}'{within} is not among the references")
    if len(keys) > 1:
        counts = Counter((key.data_name, key.task_type) for key in keys)
        names = ", ".join(f"{data}/{task}" for data, task in counts)
        raise UserError(
            f"{where}: record_id '{row['record_id']}' occurs in {names}; add columns data_name and task_type"
        )
    return keys[0]


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Numbered rows of a Parquet or CSV file that has ``record_id`` and ``text``, as strings; lists as they are.

    CSV cannot tell an absent value from an empty one: both are ``None``.
    """
    path = Path(path)
    if path.suffix.lower() == ".parquet" or is_parquet(path):
        with open_table(path) as parquet:
            names = parquet.schema_arrow.names
            _require(path, names)
            with damage_told(path):
                rows = parquet.read(columns=[name for name in _PREDICTED if name in names]).to_pylist()
        for number, row in enumerate(rows, start=1):
            yield (
                number,
                {
                    name: value if value is None or isinstance(value, list) else str(value)
                    for name, value in row.items()
                },
            )
        return
    _require(path, delimited.header(path)[0])
    for number, row in delimited.rows(path):
        if isinstance(row, BadRow):
            raise UserError(f"{path}: row {number}: {row.detail}")
        yield number, {name: value or None for name, value in row.items()}


def _sureness(row: Mapping[str, Any], reference: Reference, where: str) -> Sureness:
    places = _numbers(row, "place_confidences", where) if reference.key.task_type in GROUNDING_TASKS else []
    residues = _numbers(row, "residue_scores", where)
    answer = _number(row.get("confidence"))
    # That something is there may be said by any number, which ranks only.
    bounded = [] if answer is None or reference.key.task_type in GROUNDING_TASKS else [answer]
    for name, values in (("confidence", bounded), ("place_confidences", places)):
        if not all(0 <= value <= 1 for value in values):
            raise UserError(f"{where}: {name} must be from 0 to 1")
    if residues and len(residues) != reference.length:
        raise UserError(
            f"{where}: {len(residues)} residue_scores for a window of {reference.length} residues; give one for each"
        )
    candidates = _candidates(row.get("candidates"), where)
    return Sureness(answer, tuple(places), np.array(residues) if residues else None, candidates)


def _candidates(value: Any, where: str) -> tuple[tuple[str, float], ...]:
    """Ranked answers, in a CSV file written as JSON."""
    try:
        stated = json.loads(value) if isinstance(value, str) else value or []
        found = [(str(each["text"]), float(each["probability"])) for each in stated]
        if all(0 <= probability <= 1 for _, probability in found):
            return tuple(sorted(found, key=lambda each: -each[1]))
    except (ValueError, TypeError, KeyError):
        pass
    raise UserError(
        f'{where}: candidates must be a list such as [{{"text": "kinase", "probability": 0.9}}], from 0 to 1'
    )


def _numbers(row: Mapping[str, Any], name: str, where: str) -> list[float]:
    """The numbers of a list, in a CSV file written as JSON."""
    value = row.get(name)
    try:
        return [float(number) for number in (json.loads(value) if isinstance(value, str) else value or [])]
    except (ValueError, TypeError):
        raise UserError(f"{where}: {name} must be a list of numbers, such as [0.9, 0.2]") from None


def _number(text: str | None) -> float | None:
    """A number of a file made elsewhere; ``None`` where there is none."""
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _require(path: Path, names: Sequence[str]) -> None:
    for name in ("record_id", "text"):
        if name not in names:
            given = ", ".join(names) or "none"
            raise UserError(
                f"{path}: column '{name}' is missing (columns: {given}); predictions have record_id and text"
            )
