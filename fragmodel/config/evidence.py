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
    """Different suggestions that a question shows at most, the nearest relative's first."""
    max_e_value: Annotated[float, Field(gt=0)] = 1.0
    """Relatives that are less certain are left out. Wider than for a claim of kinship: the model sees the identity \
and the residues, and may doubt."""
    compare: bool = True
    """Ask the trained model without evidence, too, and score it as a system of its own."""
