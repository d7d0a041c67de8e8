"""Whether a line of evidence says what is right."""

from collections.abc import Iterable, Sequence

from fragmodel.data.grammar import NONE, says_none
from fragmodel.evidence.find import Line
from fragmodel.tables import Record
from fragmodel.vocabulary import GROUNDING_TASKS, REFERRING_TASKS, Span

CLOSE = 0.5  # IoU over residues from which places are taken for the same, as in AP at IoU 0.5


def agreeing(record: Record, lines: Sequence[Line]) -> int | None:
    """The number, from 1, of the first line that agrees with a record's answer; None where no line does.

    Referring: its fragment has the same class. Grounding: classes and residues together have an IoU of
    :data:`CLOSE` or more. Function: the same text.
    """
    for number, line in enumerate(lines, start=1):
        if line.text != NONE and _agrees(record, line):
            return number
    return None


def _agrees(record: Record, line: Line) -> bool:
    if record.task_type in REFERRING_TASKS:
        known = {name.casefold() for name in record.classes or [record.answer]}
        return any(fragment.class_name.casefold() in known for fragment in line.fragments)
    if record.task_type not in GROUNDING_TASKS:
        return line.text == record.answer
    if says_none(record.answer):
        return False
    one_class = record.task_type == "grounding_single"
    names = [""] if one_class else record.classes
    truth = _residues(zip(names, record.position_grd or [], strict=False))
    said = _residues(("" if one_class else each.class_name, [each.span]) for each in line.fragments)
    return len(truth & said) >= CLOSE * len(truth | said) > 0


def _residues(groups: Iterable[tuple[str, Sequence[Span]]]) -> set[tuple[str, int]]:
    return {
        (name.casefold(), residue) for name, spans in groups for span in spans for residue in range(*span)
    }
