"""What answers about windows say of the whole protein."""

from collections.abc import Sequence

from fragmodel.evaluation.parse import OK, parse_spans
from fragmodel.prediction.overlaps import merge
from fragmodel.prediction.questions import Answer, Question
from fragmodel.prediction.results import Annotation, Grounding, Reference
from fragmodel.vocabulary import Span


def grounding(questions: Sequence[Question], answers: Sequence[Answer], *, calibrated: bool) -> Grounding:
    """The places that the answers about one protein's windows state, merged (:func:`merge`)."""
    by_window: dict[Span, list[Annotation]] = {}
    faults = []
    for question, answer in zip(questions, answers, strict=True):
        parsed = parse_spans(answer.text, len(question.sequence))
        if parsed.status != OK:
            faults.append(parsed.status)
        shift = question.window.start
        places = [(name, span) for name, spans in parsed.groups for span in spans]
        sure = answer.places if len(answer.places) == len(places) else [None] * len(places)
        by_window.setdefault(question.window, []).extend(
            Annotation(
                question.class_name or name,
                Span(span.start + shift, span.end + shift),
                question.family,
                confidence,
            )
            for (name, span), confidence in zip(places, sure, strict=True)
        )
    texts = tuple(answer.text for answer in answers)
    return Grounding(tuple(merge(by_window.values())), texts, tuple(faults), calibrated=calibrated)


def reference(question: Question, answer: Answer, *, calibrated: bool) -> Reference:
    """An answer in words with the fragment, or the protein, that it is about."""
    span, shown = question.whole, question.span or Span(0, question.window.length)
    assert span is not None
    shift = question.window.start
    shown = Span(shown.start + shift, shown.end + shift)
    calibrated = answer.confidence is not None and calibrated
    return Reference(answer.text, span, shown, answer.stopped, answer.confidence, calibrated)
