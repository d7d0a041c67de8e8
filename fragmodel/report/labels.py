"""Names for the reader: tasks, systems, statuses and parts of a test set, and how each number is written."""

from fragmodel.evaluation import parse
from fragmodel.metric_names import record_metric
from fragmodel.vocabulary import MODEL, WITHOUT_EVIDENCE

TASKS = {
    "referring_desc": "Describe a fragment",
    "referring_class": "Classify a fragment",
    "grounding_single": "Find one class",
    "grounding_group": "Find every class",
    "function": "Describe a protein",
}

SYSTEMS = {
    MODEL: "Model",
    WITHOUT_EVIDENCE: "Model without evidence",
    "majority": "Majority",
    "nearest_embedding": "Nearest embedding",
    "linear_probe": "Linear probe",
    "alignment": "Alignment",
    "profile_search": "Profile search",
    "position_prior": "Position prior",
    "random_span": "Random span",
}

EVIDENCE = {"evidence_some": "Question with evidence", "evidence_none": "Question without evidence"}

# Answers that were read as they stand, those that were mended, and those from which nothing could be taken.
STATUS_GROUPS = {
    "well-formed": (parse.OK,),
    "mended": (parse.OUT_OF_RANGE, parse.REVERSED),
    "not usable": (parse.NO_SPAN, parse.UNKNOWN, parse.EMPTY, parse.MISSING),
}


def record_score(task: str, value: float) -> str:
    """A record's score in words: ``IoU 0.812``, ``correct``."""
    if task == "referring_class":
        return "correct" if value == 1 else "wrong"
    own = record_metric(task)
    return f"{own.label} {own.text(value)}"


def task(key: str) -> str:
    """The task in plain words."""
    return TASKS.get(key, words(key))


def system(key: str) -> str:
    """The system's name."""
    return SYSTEMS.get(key, words(key))


def part(key: str) -> str:
    """The name of a part of the test set, as :mod:`fragmodel.evaluation.subsets` calls it."""
    if key == "clean":
        return "No relative in training"
    if key in EVIDENCE:
        return EVIDENCE[key]
    for prefix, text in (
        ("fragment_length_", "Fragment of {} residues"),
        ("identity_", "Identity of the protein to training {}"),
        ("fragment_identity_", "Identity of the fragment to training {}"),
    ):
        if key.startswith(prefix):
            return text.format(key.removeprefix(prefix).replace("-", "–")).replace(
                "of 1 residues", "of 1 residue"
            )
    return words(key)


def words(key: str) -> str:
    """A key with spaces and a capital: ``parse_failure`` becomes ``Parse failure``."""
    text = key.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def status_group(status: str) -> str:
    """The group of a parse status; an unknown one counts as not usable."""
    return next((name for name, members in STATUS_GROUPS.items() if status in members), "not usable")


def count(number: float) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{number:,.0f}".replace(",", "\u202f")


def signed(difference: float) -> str:
    """A difference of scores with its sign: ``+0.254``, ``−0.012``, ``0.000``."""
    text = f"{difference:+.3f}"
    return text.replace("-", "−") if float(text) else text[1:]


def duration(seconds: float) -> str:
    """A time in its two largest units: ``2 h 05 min``, ``1 min 10 s``, ``4.2 s``."""
    if seconds < 60:
        return f"{seconds:.1f}\u202fs"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}\u202fmin {rest:02d}\u202fs"
    return f"{minutes // 60}\u202fh {minutes % 60:02d}\u202fmin"


def size(number: float) -> str:
    """A large number in three digits: ``1.23 M``."""
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.3g}\u202f{unit}"
    return f"{number:.0f}"


def printable(text: str) -> str:
    """Text without control characters, which neither HTML nor SVG may hold; line breaks and tabs stay."""
    return "".join(c if (c >= " " and c != "\x7f") or c in "\n\t" else "\ufffd" for c in text)


def shorten(text: str, width: int) -> str:
    """``text`` on one line, cut with an ellipsis when it is longer than ``width`` characters."""
    text = " ".join(printable(text).split())
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"
