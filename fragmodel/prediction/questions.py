"""What is asked of a model about one window of a protein, and what it answers."""

from dataclasses import dataclass

from fragmodel.evidence.find import Line
from fragmodel.vocabulary import Span, TaskType


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one window of a protein."""

    task: TaskType
    sequence: str  # of the window
    window: Span  # in the protein
    family: str
    class_name: str = ""
    span: Span | None = None  # the fragment, within the window
    whole: Span | None = None  # the fragment, or the protein of which the function is asked, in the protein


@dataclass(frozen=True, slots=True)
class Answer:
    """A generated text, whether the model ended it itself, and how sure it is.

    ``confidence`` is that of a class, or that there is something to find; ``places`` those of each place.
    """

    text: str
    stopped: bool
    confidence: float | None = None
    places: tuple[float, ...] = ()
    evidence: tuple[Line, ...] = ()  # what the question said of relatives
    candidates: tuple[tuple[str, float], ...] = ()  # probable texts and their probabilities, where asked for
