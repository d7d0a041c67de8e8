"""The section on the data: counts, rejects, relatives of test proteins in training, lengths and classes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fragmodel.report import plots
from fragmodel.report.run_files import SplitSummary
from fragmodel.report.style import Gallery, Picture
from fragmodel.vocabulary import SPLITS


def data_section(
    gallery: Gallery,
    splits: Sequence[SplitSummary],
    rejects: Sequence[dict[str, Any]],
    audit: Mapping[str, Any],
) -> dict[str, Any]:
    """Figures and tables of the section; ``audit`` is what :func:`fragmodel.homology.leakage.audit_leakage` wrote."""
    names = sorted({part.data_name for part in splits})
    pictures = []
    classes: dict[str, Counter[str]] = {}
    known: dict[str, tuple[int, int, int]] = {}
    for name in names:
        parts = _one_task([part for part in splits if part.data_name == name])
        lengths = {part.split: part.fragment_lengths for part in parts if len(part.fragment_lengths)}
        if lengths:
            middle = ", ".join(f"{split} {np.median(values):.0f}" for split, values in lengths.items())
            figure = plots.length_distribution(lengths, "fragment length")
            pictures.append(
                gallery.add(
                    f"lengths-{name}", name, f"Fragment lengths in {name}; median residues: {middle}.", figure
                )
            )
        classes[name] = sum((part.classes for part in parts), Counter())
        known[name] = _known_classes(parts)
    leakage = _leakage(gallery, audit)
    return {
        "lengths": pictures,
        "proteins": _protein_lengths(gallery, splits),
        "classes": [_class_figure(gallery, name, counts) for name, counts in classes.items() if counts],
        "common": {name: (len(counts), _by_count(counts)[:8]) for name, counts in classes.items()},
        "known": known,
        "splits": SPLITS,
        "split_rows": _split_rows(splits),
        "rejects": rejects,
        "leakage": leakage,
        "csv": {
            "data": (
                ["data_set", "task", "split", "records", "absent", "proteins", "rejected"],
                [
                    [p.data_name, p.task_type, p.split, p.records, p.absent, p.proteins, p.rejected]
                    for p in splits
                ],
            ),
            "classes": (
                ["data_set", "class", "records"],
                [[name, *item] for name, counts in classes.items() for item in _by_count(counts)],
            ),
            "rejects": (
                ["reason", "data_set", "fragments"],
                [[row["reason"], *item] for row in rejects for item in sorted(row["counts"].items())],
            ),
            "leakage": (
                [
                    "data_set", "task",
                    "proteins", *(f"identity_{limit}" for limit in leakage["limits"]),
                    "records", *(f"fragment_identity_{limit}" for limit in leakage["limits"]),
                    *(f"clean_{limit}" for limit in leakage["limits"]),
                ],
                [
                    [
                        row["data_name"], row["task"],
                        row["proteins"], *row["relatives"].values(),
                        row["records"], *row["fragment_relatives"].values(),
                        *row["clean"].values(),
                    ]
                    for row in leakage["rows"]
                ],
            ),
        },
    }  # fmt: skip


def _known_classes(parts: Sequence[SplitSummary]) -> tuple[int, int, int]:
    """Classes of the training records, of the test records, and of both."""
    train, test = (
        {name for part in parts if part.split == split for name in part.classes}
        for split in ("train", "test")
    )
    return len(train), len(test), len(train & test)


def _by_count(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _one_task(parts: Sequence[SplitSummary]) -> list[SplitSummary]:
    """The splits of one task, so that fragments which several tasks ask for count once; grounding has them all."""
    tasks = sorted({part.task_type for part in parts}, key=lambda task: (task != "grounding_single", task))
    return [part for part in parts if part.task_type == tasks[0]]


def _protein_lengths(gallery: Gallery, splits: Sequence[SplitSummary]) -> Picture | None:
    lengths = {}
    for name in SPLITS:
        found = [part.protein_lengths for part in splits if part.split == name and len(part.protein_lengths)]
        if found:
            lengths[name] = np.concatenate(found)
    if not lengths:
        return None
    middle = ", ".join(f"{split} {np.median(values):.0f}" for split, values in lengths.items())
    alt = f"Lengths of the proteins of all records; median residues: {middle}."
    return gallery.add(
        "protein-lengths", "All data sets", alt, plots.length_distribution(lengths, "protein length")
    )


def _class_figure(gallery: Gallery, name: str, counts: Counter[str]) -> Picture:
    once = sum(count == 1 for count in counts.values())
    most = max(counts.values())
    alt = (
        f"Frequency of {len(counts)} classes in {name}: the most common has {most} records, {once} have one."
    )
    return gallery.add(f"classes-{name}", name, alt, plots.class_frequencies(list(counts.values())))


def _split_rows(splits: Sequence[SplitSummary]) -> list[dict[str, Any]]:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for part in splits:
        row = rows.setdefault(
            (part.data_name, part.task_type), {"data_name": part.data_name, "task": part.task_type}
        )
        row[part.split] = part.records
        row[f"{part.split}_absent"] = part.absent
        row["proteins"] = row.get("proteins", 0) + part.proteins
        row["rejected"] = row.get("rejected", 0) + part.rejected
    return list(rows.values())


def _leakage(gallery: Gallery, audit: Mapping[str, Any]) -> dict[str, Any]:
    """Test proteins with a relative in training, and test records with one of their fragment."""
    limits = sorted((str(limit) for limit in audit.get("thresholds", [])), key=float, reverse=True)
    rows = [
        {
            "data_name": data_name,
            "task": task,
            "proteins": found["proteins"],
            "records": found["records"],
            **{
                kind: {limit: found[kind].get(limit, 0) for limit in limits}
                for kind in ("relatives", "fragment_relatives", "clean")
            },
        }
        for data_name, tasks in sorted(audit.get("datasets", {}).items())
        for task, found in tasks.items()
        if found.get("proteins")
    ]
    pictures = []
    if rows and limits:
        # The tasks of a data set ask about the same proteins: the one with most of them stands for all.
        widest = {row["data_name"]: row for row in sorted(rows, key=lambda row: row["proteins"])}
        pictures = [
            _leakage_picture(gallery, {name: widest[name] for name in sorted(widest)}, *kind)
            for kind in (
                ("leakage", "Test proteins with a relative in training", "relatives", "proteins"),
                (
                    "leakage-fragments",
                    "Test records with a relative of the fragment",
                    "fragment_relatives",
                    "records",
                ),
            )
        ]
    return {"pictures": pictures, "rows": rows, "limits": limits, "note": audit.get("note", "")}


def _leakage_picture(
    gallery: Gallery, rows: Mapping[str, dict[str, Any]], name: str, title: str, counted: str, of: str
) -> Picture:
    shares = {
        data_name: {limit: count / row[of] for limit, count in row[counted].items()}
        for data_name, row in rows.items()
    }
    text = "; ".join(
        f"{data_name}: " + ", ".join(f"{share:.0%} at {float(limit):.0%}" for limit, share in parts.items())
        for data_name, parts in shares.items()
    )
    alt = f"{title}: share with at least the given identity. {text}."
    return gallery.add(name, title, alt, plots.leakage(shares))
