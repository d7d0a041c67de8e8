"""Section of the evidence."""

from typing import Annotated

from pydantic import Field

from fragmodel.config.section import Positive, Section


class EvidenceConfig(Section):
    """What annotated relatives say about a question, put into the question."""

    enabled: bool = False
    """Put evidence into the questions: what the nearest annotated training proteins suggest, carried through their \
alignments."""
    max_lines: Positive = 3
    """Different suggestions of relatives that a question shows at most, the nearest's first."""
    max_e_value: Annotated[float, Field(gt=0)] = 1.0
    """Relatives that are less certain are left out. Wider than for a claim of kinship: the model sees the identity \
and the residues, and may doubt."""
    profiles: bool = False
    """Add a line of what profile hidden Markov models of the training fragments find: it may speak where no relative \
is near enough, and finds every copy of a repeat."""
    pointers: bool = False
    """Teach the model to answer with the number of a line that agrees (`=1`), which is read as that line: a line as a \
whole is one choice, also for a decoder that is too small to copy its words."""
    compare: bool = True
    """Ask the trained model without evidence, too, and score it as a system of its own."""
