"""Records that bring their own question and answer: checks, control markers, windows, classes.

The user turn of a stored conversation holds exactly one protein marker and, in referring tasks, exactly one
fragment marker. Files write one protein marker for each residue (and two more); such a run becomes one
marker. Every other ``<|`` is broken up, so that text from a file can never pass for a control token. Span
markers in an answer stay only around intervals of ``position_grd``.
"""

import re
from dataclasses import replace

from fragmodel.data import prompts
from fragmodel.data.answers import broken, class_of, mark_spans, name_groups, stated_spans
from fragmodel.data.grammar import NONE, grounding_answer, says_none
from fragmodel.data.prompts import FRAGMENT, PROTEIN
from fragmodel.data.records import Conversation, Fault
from fragmodel.data.tasks import Labels, Made, Settings, record_of
from fragmodel.data.validate import LONGEST_PROTEIN, Invalid, clean_sequence
from fragmodel.data.windows import clip, divide, empty_window, window_for, windows_for
from fragmodel.tables import Record
from fragmodel.vocabulary import GROUNDING_TASKS, REFERRING_TASKS, Span

_PROTEIN_RUN = re.compile(rf"{re.escape(PROTEIN)}(?:\s*{re.escape(PROTEIN)})*")


def make_record(raw: Conversation, settings: Settings) -> Made | list[Fault]:
    """The record of a conversation in the asked task, or a fault for each span (one if it has none)."""
    try:
        if raw.faults:
            raise Invalid(raw.faults[0].reason, raw.faults[0].detail)
        sequence, flags = clean_sequence(raw.sequence)
        raw = replace(raw, sequence=sequence, flags=tuple({*raw.flags, *flags}))
        turns, answer = _turns_and_answer(raw, settings)
        _check_positions(raw, answer, settings)
        return _windowed(raw, turns, answer, settings)
    except Invalid as invalid:
        places = [_written(span) for span in _asked(raw, settings)]
        return [Fault(invalid.reason, invalid.detail, text, raw.record) for text in places or [None]]


def _turns_and_answer(raw: Conversation, settings: Settings) -> tuple[list[dict[str, str]], str]:
    turns: list[dict[str, str]] = []
    answer = raw.answer
    for turn in raw.turns:
        if turn["role"] == "assistant":
            answer = turn["content"] if answer is None else answer
        elif turn["role"] in ("system", "user"):
            turns.append(dict(turn))
        else:
            raise Invalid("bad_conversation", f"role {turn['role']!r}; expected system, user or assistant")
    users = [turn for turn in turns if turn["role"] == "user"]
    if len(users) != 1:
        raise Invalid("bad_conversation", f"the conversation has {len(users)} user turns; expected one")
    if answer is None or not answer.strip():
        raise Invalid("no_answer", "field 'answer' is empty and no assistant turn stands in for it")
    for turn in turns:
        if turn["role"] == "user":
            turn["content"] = _question(turn["content"], settings)
        else:
            turn["content"] = broken(turn["content"]).strip()
    return turns, answer


def _question(content: str, settings: Settings) -> str:
    """The user turn with one protein marker, one fragment marker where the task refers, and no other."""
    runs = _PROTEIN_RUN.findall(content)
    if len(runs) > 1:
        raise Invalid(
            "bad_conversation", f"the user turn holds {len(runs)} runs of protein markers; expected one"
        )
    refers = settings.task in REFERRING_TASKS
    if refers and content.count(FRAGMENT) > 1:
        raise Invalid("bad_conversation", "the user turn holds several fragment markers; expected one")
    content = _PROTEIN_RUN.sub(PROTEIN, content)
    kept = {PROTEIN, FRAGMENT} if refers else {PROTEIN}
    content = "".join(
        piece if marker and piece in kept else broken(piece)
        for piece, marker in prompts.split_markers(content)
    ).strip()
    if refers and FRAGMENT not in content:
        content = f"Fragment: {FRAGMENT}\n{content}"
    return content if runs else f"Protein: {PROTEIN}\n{content}"


def _check_positions(raw: Conversation, answer: str, settings: Settings) -> None:
    refers = settings.task in REFERRING_TASKS
    needed, value = ("position_ref", raw.position_ref) if refers else ("position_grd", raw.position_grd)
    nothing = settings.task in GROUNDING_TASKS and says_none(answer)
    if settings.task != "function" and not value and not nothing:
        raise Invalid("no_position", f"field '{needed}' is empty; task '{settings.task}' needs it")
    end = raw.start + len(raw.sequence)
    if raw.start < 0 or end > LONGEST_PROTEIN:
        raise Invalid("bad_field", f"field 'start' is {raw.start}, expected 0 or more, within a protein")
    if raw.full_length is not None and not end <= raw.full_length <= LONGEST_PROTEIN:
        raise Invalid(
            "bad_field",
            f"field 'full_length' is {raw.full_length}; the sequence ends at residue {end}, and no known protein has "
            f"more than {LONGEST_PROTEIN:,} residues",
        )
    spans = [span for group in raw.position_grd or [] for span in group]
    for span in [raw.position_ref, *spans] if raw.position_ref else spans:
        if span.end <= span.start:
            raise Invalid(
                "empty_span", f"the span [{span.start}, {span.end}] has no residues (ends are exclusive)"
            )
        if span.start < 0 or span.end > len(raw.sequence):
            raise Invalid(
                "outside",
                f"the span [{span.start}, {span.end}] leaves the sequence of {len(raw.sequence)} residues; "
                "positions count along the field 'sequence', from 0",
            )


def _windowed(raw: Conversation, turns: list[dict[str, str]], answer: str, settings: Settings) -> Made:
    if settings.task in GROUNDING_TASKS:
        records = _grounding_records(raw, turns, answer, settings)
    else:
        records = [_single_record(raw, turns, answer, settings)]
    places = [_written(span) for span in _asked(raw, settings)] or [None]
    return Made(records, [Fault("", "", place, raw.record) for place in places])


def _single_record(raw: Conversation, turns: list[dict[str, str]], answer: str, settings: Settings) -> Record:
    """The one record of a referring task or `function`; grounded spans that its window shows stay with it."""
    length = len(raw.sequence)
    target = raw.position_ref if raw.position_ref else Span(length // 2, length // 2 + 1)
    window = window_for(target, length, settings.max_length, uid=raw.uid, seed=settings.seed)
    shown = clip(target, window)
    groups = [
        [place for _, place in divide(group, window, settings.least_visible)[0]]
        for group in raw.position_grd or []
    ]
    names = [class_of(answer)] if settings.task == "referring_class" else []
    cut = shown is not None and shown.length < target.length
    return record_of(
        raw.uid,
        raw.sequence,
        window,
        Labels(names, [""] * len(names), names),
        [target],
        settings,
        answer=mark_spans(answer, [span for group in groups for span in group]),
        flags={*raw.flags, *(["fragment_cut"] if cut else [])},
        position_ref=shown if raw.position_ref else None,
        position_grd=groups if raw.position_grd else None,
        turns=turns,
        start=raw.start,
        full_length=raw.full_length,
    )


def _grounding_records(
    raw: Conversation, turns: list[dict[str, str]], answer: str, settings: Settings
) -> list[Record]:
    """A record for each window; when the sequence is cut, our own answer lists what the window shows."""
    question = next(turn["content"] for turn in turns if turn["role"] == "user")
    named = name_groups(
        answer, question, raw.position_grd or [], settings.task, settings.family or "fragment"
    )
    spans = [span for _, group in named for span in group]
    length = len(raw.sequence)
    if not spans:  # the record says that there is nothing to find, in any window
        anywhere = empty_window([], length, settings.max_length, uid=raw.uid, seed=settings.seed)
        assert anywhere is not None
        return [_absent_record(raw, turns, [name for name, _ in named], anywhere, settings)]
    records = []
    for window in windows_for(spans, length, settings.max_length, uid=raw.uid, seed=settings.seed):
        parts = [(name, *divide(group, window, settings.least_visible)) for name, group in named]
        shown = [(name, [place for _, place in targets]) for name, targets, _ in parts if targets]
        asked = [(span, place) for _, targets, _ in parts for span, place in targets]
        names = [name for name, _ in shown]
        flags = set(raw.flags)
        if any(place.length < span.length for span, place in asked):
            flags.add("fragment_cut")
        if window == Span(0, length):
            text = mark_spans(answer, spans)
            if stated_spans(answer) != set(spans):
                flags.add("answer_spans_differ")
        else:
            text = grounding_answer(settings.task, shown)
            flags.add("answer_rebuilt")
        records.append(
            record_of(
                raw.uid,
                raw.sequence,
                window,
                Labels(names, [""] * len(names), names),
                [span for span, _ in asked],
                settings,
                answer=text,
                flags=flags,
                position_grd=[places for _, places in shown],
                ignored=[(name, place) for name, _, small in parts for _, place in small],
                turns=turns,
                start=raw.start,
                full_length=raw.full_length,
            )
        )
    return records


def _absent_record(
    raw: Conversation, turns: list[dict[str, str]], names: list[str], window: Span, settings: Settings
) -> Record:
    return record_of(
        raw.uid,
        raw.sequence,
        window,
        Labels(names, [""] * len(names), names),
        [],
        settings,
        answer=NONE,
        flags={*raw.flags, "absent_stated"},
        position_grd=[[] for _ in names],
        turns=turns,
        start=raw.start,
        full_length=raw.full_length,
    )


def _asked(raw: Conversation, settings: Settings) -> list[Span]:
    return raw.spans(settings.task not in GROUNDING_TASKS)


def _written(span: Span) -> str:
    return f"[{span.start}, {span.end}]"
