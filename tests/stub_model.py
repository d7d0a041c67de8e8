"""A model with known answers, under the real questions, windows and merging."""

from types import SimpleNamespace

from fragmodel.prediction.class_ids import ClassIds
from fragmodel.prediction.model import Answer, FragModel, Question


class StubModel(FragModel):
    """Finds every run of W of its window as class "run of W; 100 %"; describes a fragment by its residues."""

    def __init__(self, window: int = 40, batch_size: int = 2, fail_after: int | None = None) -> None:
        self.parts, self.calibration = SimpleNamespace(), None
        self.class_ids = ClassIds({"VenusX_Dom": {"ids": {"Run of W; 100 %": ["IPR000001", "W"]}}}, {})
        self.families = ("domain", "motif")
        self.window, self.batch_size, self.fail_after = window, batch_size, fail_after
        self.asked: list[Question] = []

    def answer(self, questions, *, answered=None):
        if self.fail_after is not None and len(self.asked) >= self.fail_after:
            raise KeyboardInterrupt
        self.asked += questions
        if answered is not None:
            answered(len(questions))
        return [Answer(self._text(question), True) for question in questions]

    def _text(self, question: Question) -> str:
        if question.span:
            return question.sequence[question.span.start : question.span.end]
        if question.family == "motif":
            return "nothing here"
        spans, start = [], None
        for place, letter in enumerate(question.sequence + "A"):
            if letter == "W" and start is None:
                start = place
            elif letter != "W" and start is not None:
                spans.append(f"<|reserved_special_token_3|>({start},{place})<|reserved_special_token_4|>")
                start = None
        return f"run of W; 100 %: {', '.join(spans)}" if spans else ""
