"""Questions, and the four control markers in the text of questions and answers.

A marker in the stored text is one of the documented ``<|reserved_special_token_N|>`` strings. Text that comes
from data is passed through :func:`plain` before it is put into a template, so that a marker in stored text
always is one that this module (or the validated conversation reader) wrote.
"""

import re

from fragmodel.vocabulary import Family, TaskType, family_of

PROTEIN = "<|reserved_special_token_1|>"  # stands for the whole protein: residues + 2 soft tokens
FRAGMENT = "<|reserved_special_token_2|>"  # stands for the fragment: perceiver_latent_size soft tokens
SPAN_OPEN = "<|reserved_special_token_3|>"
SPAN_CLOSE = "<|reserved_special_token_4|>"
MARKERS = (PROTEIN, FRAGMENT, SPAN_OPEN, SPAN_CLOSE)
MARKER = re.compile("|".join(re.escape(marker) for marker in MARKERS))

SYSTEM = "You annotate protein sequences. Answer from the residues that you are shown."

# The first template of a task is the fixed one of evaluation; training draws among all of them by record.
_QUESTIONS: dict[str, tuple[str, ...]] = {
    "referring_desc": (
        "Protein: {protein}\nFragment: {fragment}\nDescribe the {family} in this fragment.",
        "In the protein {protein}, what is known of the {family} at {fragment}?",
        "{protein}\nGive a description of the {family} {fragment} of this protein.",
    ),
    "referring_class": (
        "Protein: {protein}\nFragment: {fragment}\nWhich {family} class is this fragment?",
        "In the protein {protein}, name the {family} class of the fragment {fragment}.",
        "{protein}\nTo which class does the {family} {fragment} belong?",
    ),
    "grounding_single": (
        "Protein of {length} residues: {protein}\nWhere is {class_name}?",
        "Find {class_name} in the protein {protein} of {length} residues.",
        "{protein}\nThese are {length} residues. Give every place of {class_name}.",
    ),
    "grounding_group": (
        "Protein of {length} residues: {protein}\nList every {family} with its place.",
        "Find all {family} annotations in the protein {protein} of {length} residues.",
        "{protein}\nThese are {length} residues. Name each {family} and where it is.",
    ),
    "function": (
        "Protein of {length} residues: {protein}\nWhat is the function of this protein?",
        "Describe what the protein {protein} of {length} residues does.",
        "{protein}\nWhich function does this protein of {length} residues have?",
    ),
}


def template_count(task: TaskType) -> int:
    """How many question templates a task has."""
    return len(_QUESTIONS[task])


def plain(text: str) -> str:
    """Text from data, on one line and with every ``<|`` broken up, so that it holds no control marker."""
    return " ".join(text.replace("<|", "< |").split())


def conversation(
    task: TaskType,
    data_name: str,
    length: int,
    class_name: str = "",
    template: int = 0,
    family: Family | None = None,
) -> list[dict[str, str]]:
    """System and user turn for a record; ``length`` is the number of residues that are shown.

    The questions name ``family``, or what the data set's name tells.
    """
    question = _QUESTIONS[task][template].format(
        protein=PROTEIN,
        fragment=FRAGMENT,
        family=family or family_of(data_name),
        class_name=plain(class_name),
        length=length,
    )
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]


def split_markers(content: str) -> list[tuple[str, bool]]:
    """Cut a text into ``(piece, is_marker)`` pieces, in order; joined they give the text again."""
    pieces: list[tuple[str, bool]] = []
    position = 0
    for match in MARKER.finditer(content):
        if match.start() > position:
            pieces.append((content[position : match.start()], False))
        pieces.append((match.group(), True))
        position = match.end()
    if position < len(content):
        pieces.append((content[position:], False))
    return pieces
