"""What the model says of a protein, typed. All positions are 0-based and half-open, in the whole protein."""

from dataclasses import dataclass

from fragmodel.vocabulary import Span


@dataclass(frozen=True, slots=True)
class Annotation:
    """One place of a class in a protein."""

    class_name: str
    span: Span
    family: str = "fragment"  # the kind that was asked for: domain, active site, …
    confidence: float | None = None  # 0 to 1, how sure the model is that the place is right
    class_ids: tuple[str, ...] = ()  # identifiers of the class, such as InterPro accessions


@dataclass(frozen=True, slots=True)
class Absence:
    """What the model was asked for and said `none` about, in every window."""

    class_name: str  # "" where a family was asked for
    family: str
    confidence: float | None = None  # 0 to 1, how sure the model is that there is nothing


@dataclass(frozen=True, slots=True)
class Grounding:
    """Every place that was found in a protein, in order of place."""

    annotations: tuple[Annotation, ...]
    texts: tuple[str, ...]  # the answers as generated, one a question
    faults: tuple[str, ...] = ()  # what could not be read in them, see fragmodel.evaluation.parse
    calibrated: bool = False  # of the confidences: 0.8 means right in four cases of five; else they rank only
    absences: tuple[Absence, ...] = ()
    candidates: tuple[Annotation, ...] = ()
    """Places that probable answers name, by probability (never calibrated), where candidates were asked for."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What the model says of a fragment, or of a whole protein."""

    text: str
    span: Span  # what was asked about
    shown: Span  # the part of it that the model saw: all, unless it is longer than a window
    stopped: bool  # False: the text was cut at the longest allowed answer
    confidence: float | None = None  # of a class: 0 to 1, how sure the model is of it
    calibrated: bool = False  # of the confidence, as in Grounding
    class_ids: tuple[str, ...] = ()  # of a class: its identifiers, such as InterPro accessions
    candidates: tuple[tuple[str, float], ...] = ()
    """Of a class: probable ones and their probabilities (never calibrated), where candidates were asked for."""
