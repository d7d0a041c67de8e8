"""What each metric is called, which way is better, how it is written, and the headline of each task.

What the metrics mean is in docs/metrics.md; :mod:`fragmodel.evaluation.metrics` computes them.
"""

from dataclasses import dataclass, replace

from fragmodel.vocabulary import TaskType

GIVEN_PRESENCE = "†"
"""Beside the name of a metric that is computed on the records alone that have something to find."""


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is called and written, and between which bounds it lies."""

    key: str
    label: str
    higher_is_better: bool = True
    digits: int = 3
    given_presence: bool = False  # computed on the records alone that have something to find
    lowest: float = 0.0
    highest: float | None = 1.0  # None: there is no upper bound

    @property
    def marked_label(self) -> str:
        """The label, with :data:`GIVEN_PRESENCE` where it holds."""
        return f"{self.label} {GIVEN_PRESENCE}" if self.given_presence else self.label

    def records(self, n: int, absent: int) -> int:
        """How many of ``n`` records it is computed on, when ``absent`` of them have nothing to find."""
        return n - absent if self.given_presence else n

    def text(self, value: float) -> str:
        """The value with the metric's digits."""
        return f"{value:.{self.digits}f}"


_METRICS = {
    metric.key: metric
    for metric in (
        Metric("iou_mean", "Mean IoU", given_presence=True),
        Metric("iou_median", "Median IoU", given_presence=True),
        Metric("iou_at_1", "IoU@1", given_presence=True),
        Metric("all_hit_50", "All-hit@50", given_presence=True),
        Metric("all_hit_50_multi", "All-hit@50, several spans", given_presence=True),
        *(
            Metric(f"{key}_{limit}", f"{label} at IoU {limit / 100:g}", given_presence=True)
            for key, label in (("f1", "F1"), ("precision", "Precision"), ("recall", "Recall"))
            for limit in (50, 75, 95)
        ),
        Metric("ap_50", "AP at IoU 0.5", given_presence=True),
        *(
            Metric(f"residue_{key}", f"Residue {label}", given_presence=True)
            for key, label in (("precision", "precision"), ("recall", "recall"), ("f1", "F1"))
        ),
        Metric("residue_mcc", "Residue MCC", lowest=-1, given_presence=True),
        Metric(
            "boundary_error",
            "Boundary error (residues)",
            higher_is_better=False,
            digits=1,
            highest=None,
            given_presence=True,
        ),
        Metric("false_positive_rate", "False positives where absent", higher_is_better=False),
        Metric("specificity", "Specificity"),
        Metric("detection_precision", "Detection precision"),
        Metric("detection_recall", "Detection recall"),
        Metric("detection_auroc", "Detection AUROC"),
        Metric("residue_mcc_all", "Residue MCC, absent too", lowest=-1),
        Metric("residue_aupr", "Residue AUPR"),
        Metric("ece", "Calibration error (ECE)", higher_is_better=False),
        Metric("confidence_auroc", "Confidence AUROC"),
        Metric("aurc", "Risk over coverage (AURC)", higher_is_better=False),
        Metric("right_at_50", "Right among the surest 50 %"),
        Metric("right_at_80", "Right among the surest 80 %"),
        *(Metric(f"top_{rank}", f"Right class among the first {rank}") for rank in (1, 5, 10)),
        *(
            Metric(f"recall_50_at_{rank}", f"Recall@{rank} at IoU 0.5", given_presence=True)
            for rank in (1, 5, 10)
        ),
        Metric("parse_failure_rate", "Unreadable answers", higher_is_better=False),
        Metric("out_of_range_rate", "Out-of-range answers", higher_is_better=False),
        Metric("reversed_rate", "Reversed spans", higher_is_better=False),
        Metric("exact_match", "Exact match"),
        Metric("accuracy", "Accuracy"),
        Metric("macro_f1", "Macro F1"),
        Metric("mcc", "MCC", lowest=-1),
        Metric("unknown_rate", "Unknown answers", higher_is_better=False),
        Metric("bleu_2", "BLEU-2", digits=1, highest=100),
        Metric("bleu_4", "BLEU-4", digits=1, highest=100),
        Metric("chrf", "chrF", digits=1, highest=100),
        Metric("rouge_1", "ROUGE-1"),
        Metric("rouge_2", "ROUGE-2"),
        Metric("rouge_l", "ROUGE-L"),
        Metric("similarity", "Sentence similarity", lowest=-1),
        Metric("bertscore_f1", "BERTScore F1", lowest=-1),
        Metric("retrieval_top1", "Retrieval top 1"),
        Metric("retrieval_top5", "Retrieval top 5"),
        Metric("retrieval_mrr", "Retrieval MRR"),
    )
}

# What is scored with the records that have nothing to find; empty without any.
DETECTION = (
    "false_positive_rate",
    "specificity",
    "detection_precision",
    "detection_recall",
    "detection_auroc",
    "residue_mcc_all",
)
# How well confidences tell right from wrong: of classes, and of places; empty for systems that state none.
CONFIDENCE = ("ece", "confidence_auroc", "aurc", "right_at_50", "right_at_80", "residue_aupr")
# Where what is right stands among the candidates of an answer; empty for systems that give none.
CANDIDATES = tuple(f"{name}_{rank}" for name in ("top", "recall_50_at") for rank in (1, 5, 10))
_TEXT = ("rouge_l", "bleu_4", "chrf", "similarity", "retrieval_top1", "exact_match")
# What the report and the model card show of a task; the first, its primary metric, decides comparisons.
HEADLINE: dict[TaskType, tuple[str, ...]] = {
    "referring_desc": _TEXT,
    "referring_class": ("accuracy", "macro_f1", "mcc", "exact_match", "unknown_rate"),
    "grounding_single": (
        "iou_mean",
        "all_hit_50",
        "f1_50",
        "residue_f1",
        "boundary_error",
        "parse_failure_rate",
        "false_positive_rate",
    ),
    "grounding_group": (
        "iou_mean",
        "all_hit_50",
        "f1_50",
        "ap_50",
        "agnostic_f1_50",
        "parse_failure_rate",
        "false_positive_rate",
    ),
    "function": _TEXT,
}

# The primary metric of a task as it is called for a single record.
RECORD_METRIC = {
    task: {"iou_mean": "iou"}.get(metrics[0], metrics[0]) for task, metrics in HEADLINE.items()
}  # fmt: skip


def metric(key: str) -> Metric:
    """The metric's names; an unknown one is called by its key, and higher is taken for better."""
    if key in _METRICS:
        return _METRICS[key]
    if key.startswith("agnostic_"):
        own = metric(key.removeprefix("agnostic_"))
        return replace(own, key=key, label=f"{own.label}, any class")
    return Metric(key, key.replace("_", " ").capitalize())


def primary(task: str) -> Metric:
    """The metric that decides comparisons of a task."""
    return metric(HEADLINE[task][0])


def record_metric(task: str) -> Metric:
    """The same metric for a single record."""
    own = primary(task)
    label = "IoU" if own.key == "iou_mean" else own.label
    return replace(own, key=RECORD_METRIC[task], label=label)
