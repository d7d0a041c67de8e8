"""From a checked protein to the records of a task.

A record is a question about a window of the protein and its answer. What is asked of which window depends on
the protein, the task and the seed alone, never on other records.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from fragmodel.data import prompts
from fragmodel.data.grammar import grounding_answer
from fragmodel.data.records import Fault, Fragment, Protein
from fragmodel.data.windows import clip, divide, window_for, windows_for
from fragmodel.files import text_digest
from fragmodel.tables import Record
from fragmodel.vocabulary import LEAST_VISIBLE, LONGEST_WINDOW, Family, Span, TaskType


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the records of a table have in common."""

    task: TaskType
    data_name: str
    family: Family | None = None  # what the fragments are, for questions and readers; None: nothing tells
    split: str = "test"
    max_length: int = LONGEST_WINDOW  # residues of the longest window
    seed: int = 1
    least_visible: float = (
        LEAST_VISIBLE  # part of a fragment that a window shows at least, to be a target in it
    )


class Made(NamedTuple):
    """Records (several for one question when its protein became several windows) and what they are about."""

    records: list[Record]
    fragments: list[Fault]  # the fragments asked for, as faults to be should the record turn out a duplicate


class Labels(NamedTuple):
    """The classes of a record: names, ids, and the keys that are the same in every format."""

    names: list[str]
    ids: list[str]
    keys: list[str]


def make_records(protein: Protein, settings: Settings) -> Iterator[Made | Fault]:
    """Records of a checked protein, and a fault for each fragment of which the task can make none."""
    task = settings.task
    if task == "function":
        yield _function(protein, settings)
        return
    fragments = protein.fragments
    if not fragments:
        if not protein.faults:
            yield Fault("no_fragments", f"the protein has no fragments; task '{task}' needs at least one")
        return
    if task == "referring_desc":
        for fragment in fragments:
            if fragment.description.strip():
                yield _referring(protein, fragment, fragment.description, settings)
            else:
                yield _as_fault(
                    fragment, "no_description", f"field 'description' is empty; task '{task}' needs it"
                )
    elif task == "referring_class":
        for fragment in fragments:
            yield _referring(protein, fragment, fragment.class_name, settings)
    elif task == "grounding_single":
        for group in protein.by_class():
            yield _grounding(protein, [group], settings)
    else:
        yield _grounding(protein, list(protein.by_class()), settings)


def _function(protein: Protein, settings: Settings) -> Made | Fault:
    if not protein.function.strip():
        return Fault("no_function", "the protein has no function text; task 'function' needs it")
    length = len(protein.sequence)
    whole = Span(0, length)
    # Any window may stand for the protein; the draw is that of a fragment in its middle.
    middle = Span(length // 2, length // 2 + 1)
    window = window_for(middle, length, settings.max_length, uid=protein.uid, seed=settings.seed)
    flags = {*protein.flags, *(["window"] if window != whole else [])}
    record = record_of(
        protein.uid,
        protein.sequence,
        window,
        Labels([], [], []),
        [whole],
        settings,
        answer=prompts.plain(protein.function),
        flags=flags,
    )
    return Made([record], [Fault("", "", None)])


def _referring(protein: Protein, fragment: Fragment, answer: str, settings: Settings) -> Made:
    length = len(protein.sequence)
    window = window_for(fragment.span, length, settings.max_length, uid=protein.uid, seed=settings.seed)
    shown = clip(fragment.span, window)
    assert shown is not None
    flags = {
        *protein.flags,
        *fragment.flags,
        *(["fragment_cut"] if shown.length < fragment.span.length else []),
    }
    record = record_of(
        protein.uid,
        protein.sequence,
        window,
        _labels([fragment]),
        [fragment.span],
        settings,
        position_ref=shown,
        answer=prompts.plain(answer),
        flags=flags,
    )
    return Made([record], [_as_fault(fragment)])


def _grounding(
    protein: Protein, groups: Sequence[tuple[tuple[str, str], list[Fragment]]], settings: Settings
) -> Made:
    fragments = [fragment for _, members in groups for fragment in members]
    spans = [fragment.span for fragment in fragments]
    length = len(protein.sequence)
    records = []
    for window in windows_for(spans, length, settings.max_length, uid=protein.uid, seed=settings.seed):
        shown: list[tuple[Fragment, list[Span]]] = []  # first fragment of each class and all its places
        ignored: list[tuple[str, Span]] = []
        in_protein: list[Span] = []
        flags = set(protein.flags)
        for (name, _), members in groups:
            targets, small = divide([fragment.span for fragment in members], window, settings.least_visible)
            ignored += [(_plain(name), place) for _, place in small]
            in_protein += [span for span, _ in targets]
            for fragment in members:
                if fragment.span in dict(targets):
                    flags.update(fragment.flags)
            if any(place.length < span.length for span, place in targets):
                flags.add("fragment_cut")
            if targets:
                shown.append((members[0], [place for _, place in targets]))
        answer_groups = [(fragment.class_name, places) for fragment, places in shown]
        records.append(
            record_of(
                protein.uid,
                protein.sequence,
                window,
                _labels([fragment for fragment, _ in shown]),
                in_protein,
                settings,
                position_grd=[places for _, places in shown],
                ignored=ignored,
                answer=grounding_answer(settings.task, answer_groups),
                flags=flags,
            )
        )
    return Made(records, [_as_fault(fragment) for fragment in fragments])


def record_of(
    uid: str,
    sequence: str,
    window: Span,
    labels: Labels,
    spans: Sequence[Span],
    settings: Settings,
    *,
    answer: str,
    flags: set[str],
    position_ref: Span | None = None,
    position_grd: list[list[Span]] | None = None,
    ignored: Sequence[tuple[str, Span]] = (),
    turns: list[dict[str, str]] | None = None,
    start: int = 0,
    full_length: int | None = None,
) -> Record:
    """The record of a window.

    ``sequence`` is all that the file has of the protein: from residue ``start`` of ``full_length``.
    ``window`` and ``spans`` count along ``sequence``, the positions along the window; ``ignored`` are parts of
    fragments, with their class, that are no targets. Without ``turns`` the
    question comes from the templates: the first one, or in training one drawn by a hash of the protein.
    """
    # A record with a question of its own is told apart by all that it says: two questions about one span are two.
    own = "" if turns is None else json.dumps([turns, answer, position_ref, position_grd, full_length])
    record_id = _record_id(uid, sequence, labels, spans, window.start + start, start, settings, own)
    if turns is None:
        template = 0
        if settings.split == "train":
            count = prompts.template_count(settings.task)
            # One wording for all fragments of a protein: it must not tell them apart in place of their residues.
            template = int(text_digest("template", str(settings.seed), uid, size=8), 16) % count
        name = labels.names[0] if settings.task == "grounding_single" else ""
        turns = prompts.conversation(
            settings.task, settings.data_name, window.length, name, template, settings.family
        )
    return Record(
        record_id=record_id,
        uid=uid,
        data_name=settings.data_name,
        task_type=settings.task,
        sequence=sequence[window.start : window.end],
        start=start + window.start,
        full_length=full_length if full_length is not None else start + len(sequence),
        position_ref=position_ref,
        position_grd=position_grd,
        position_ignored=[
            {"class_name": name, "start": place.start, "end": place.end} for name, place in ignored
        ]
        or None,
        classes=labels.names,
        class_ids=labels.ids,
        conversation=turns,
        answer=answer,
        flags=sorted(flags),
    )


def _record_id(
    uid: str,
    sequence: str,
    labels: Labels,
    spans: Sequence[Span],
    window_start: int,
    start: int,
    settings: Settings,
    own: str,
) -> str:
    """The uid and a digest of all that tells records of one task apart.

    The same in every raw format, but for conversations, whose ``own`` question and answer count too.
    """
    places = " ".join(f"{span.start + start}-{span.end + start}" for span in spans)
    digest = text_digest(
        settings.task,
        uid,
        _sequence_digest(sequence),
        *labels.keys,
        "spans",
        places,
        str(window_start),
        *([own] if own else []),
        size=6,
    )
    return f"{uid}:{digest}"


@lru_cache(maxsize=16)
def _sequence_digest(sequence: str) -> str:
    """Digest of a protein; its records come one after the other."""
    return text_digest(sequence)


@lru_cache(maxsize=4096)
def _plain(name: str) -> str:
    """Class names recur in nearly every record."""
    return prompts.plain(name)


def _labels(fragments: Sequence[Fragment]) -> Labels:
    return Labels(
        [_plain(fragment.class_name) for fragment in fragments],
        [fragment.class_id for fragment in fragments],
        [fragment.class_key for fragment in fragments],
    )


def _as_fault(fragment: Fragment, reason: str = "", detail: str = "") -> Fault:
    return Fault(reason, detail, fragment.written, fragment.record)
