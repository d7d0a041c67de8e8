"""Names for the reader: tasks, metrics, systems and parts of a test set, and how each number is written."""

from dataclasses import dataclass

from fragmodel.evaluation import parse
from fragmodel.vocabulary import MODEL

TASKS = {
    "referring_desc": "Describe a fragment",
    "referring_class": "Classify a fragment",
    "grounding_single": "Find one class",
    "grounding_group": "Find every class",
    "function": "Describe a protein",
}

SYSTEMS = {
    MODEL: "Model",
    "majority": "Majority",
    "nearest_embedding": "Nearest embedding",
    "alignment": "Alignment",
    "position_prior": "Position prior",
    "random_span": "Random span",
}

FREE_TEXT = ("referring_desc", "function")  # any text is an answer

# Answers that were read as they stand, those that were mended, and those from which nothing could be taken.
STATUS_GROUPS = {
    "well-formed": (parse.OK,),
    "mended": (parse.OUT_OF_RANGE, parse.REVERSED),
    "not usable": (parse.NO_SPAN, parse.UNKNOWN, parse.EMPTY, parse.MISSING),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is called and written."""

    key: str
    label: str
    higher_is_better: bool = True
    digits: int = 3

    def text(self, value: float) -> str:
        """The value with the metric's digits."""
        return f"{value:.{self.digits}f}"


_METRICS = {
    metric.key: metric
    for metric in (
        Metric("iou_mean", "Mean IoU"),
        Metric("iou_median", "Median IoU"),
        Metric("iou_at_1", "IoU@1"),
        Metric("all_hit_50", "All-hit@50"),
        Metric("all_hit_50_multi", "All-hit@50, several spans"),
        *(
            Metric(f"{key}_{limit}", f"{label} at IoU {limit / 100:g}")
            for key, label in (("f1", "F1"), ("precision", "Precision"), ("recall", "Recall"))
            for limit in (50, 75, 95)
        ),
        Metric("ap_50", "AP at IoU 0.5"),
        Metric("residue_f1", "Residue F1"),
        Metric("residue_mcc", "Residue MCC"),
        Metric("boundary_error", "Boundary error (residues)", higher_is_better=False, digits=1),
        Metric("parse_failure_rate", "Unreadable answers", higher_is_better=False),
        Metric("out_of_range_rate", "Out-of-range answers", higher_is_better=False),
        Metric("reversed_rate", "Reversed spans", higher_is_better=False),
        Metric("exact_match", "Exact match"),
        Metric("accuracy", "Accuracy"),
        Metric("macro_f1", "Macro F1"),
        Metric("mcc", "MCC"),
        Metric("unknown_rate", "Unknown answers", higher_is_better=False),
        Metric("bleu_2", "BLEU-2", digits=1),
        Metric("bleu_4", "BLEU-4", digits=1),
        Metric("chrf", "chrF", digits=1),
        Metric("rouge_1", "ROUGE-1"),
        Metric("rouge_2", "ROUGE-2"),
        Metric("rouge_l", "ROUGE-L"),
        Metric("similarity", "Sentence similarity"),
        Metric("bertscore_f1", "BERTScore F1"),
        Metric("retrieval_top1", "Retrieval top 1"),
        Metric("retrieval_top5", "Retrieval top 5"),
        Metric("retrieval_mrr", "Retrieval MRR"),
    )
}

# Columns of the first table of a task; its first metric decides comparisons and the order of examples.
_TEXT = ("rouge_l", "bleu_4", "chrf", "similarity", "retrieval_top1", "exact_match")
HEADLINE = {
    "referring_desc": _TEXT,
    "function": _TEXT,
    "referring_class": ("accuracy", "macro_f1", "mcc", "exact_match", "unknown_rate"),
    "grounding_single": (
        "iou_mean",
        "all_hit_50",
        "f1_50",
        "residue_f1",
        "boundary_error",
        "parse_failure_rate",
    ),
    "grounding_group": ("iou_mean", "all_hit_50", "f1_50", "ap_50", "agnostic_f1_50", "parse_failure_rate"),
}

# The first metric of a task as it is called for a single record.
RECORD_METRIC = {
    task: {"iou_mean": "iou"}.get(metrics[0], metrics[0]) for task, metrics in HEADLINE.items()
}  # fmt: skip


def metric(key: str) -> Metric:
    """The metric's names; an unknown one is called by its key, and higher is taken for better."""
    if key in _METRICS:
        return _METRICS[key]
    if key.startswith("agnostic_"):
        own = metric(key.removeprefix("agnostic_"))
        return Metric(key, f"{own.label}, any class", own.higher_is_better, own.digits)
    return Metric(key, words(key))


def primary(task: str) -> Metric:
    """The metric that decides comparisons of a task."""
    return metric(HEADLINE[task][0])


def record_metric(task: str) -> Metric:
    """The same metric for a single record."""
    own = primary(task)
    label = "IoU" if own.key == "iou_mean" else own.label
    return Metric(RECORD_METRIC[task], label, own.higher_is_better, own.digits)


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
    for prefix, text in (
        ("fragment_length_", "Fragment of {} residues"),
        ("identity_", "Identity to training {}"),
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
