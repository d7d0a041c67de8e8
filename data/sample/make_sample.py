"""Cut the shipped sample out of the full collection of annotated proteins.

    python data/sample/make_sample.py COLLECTION data/sample

COLLECTION is a folder with `fragllm/`, `venusx/` and `conversation/` (see README.md). Nothing is changed: the
script only chooses proteins, such that classes recur within train and in test and a small model can learn
them.
"""

import argparse
import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

FAMILIES = ("Dom", "Act", "BindI", "Evo", "Motif")
PROTEINS = {"train": 24, "valid": 4, "test": 6}
LONG = {("Dom", "train"): 2, ("Evo", "test"): 1}  # proteins that need windows
LONGEST = 420  # residues of the others
MOST_FRAGMENTS = 6  # of one protein
FUNCTIONS = {"train": 96, "valid": 12, "test": 16}  # proteins with a function text, each text once
SHORT, LONGEST_TEXT = 300, 500  # residues and characters of these


def places(protein: dict) -> int:
    """Number of fragments."""
    return sum(len(entry["frags"]) for entry in protein["fragments"])


def categories(protein: dict) -> set[str]:
    """Its classes."""
    return {entry["category"] for entry in protein["fragments"]}


def value(protein: dict, count: Counter, learnable: set[str], wanted: set[str] | None) -> tuple:
    """Sort key: proteins of learnable classes that are rare so far (and wanted) come first, then short ones."""
    mine = categories(protein)
    gain = sum((1 if wanted is None or c in wanted else 0.4) / (1 + count[c]) for c in mine & learnable)
    return (not mine <= learnable, -gain, len(protein["sequence"]), protein["uid"])


def choose(splits: dict[str, list[dict]], family: str) -> dict[str, list[dict]]:
    """Test proteins whose classes several short train proteins carry; then train proteins, their classes
    first.
    """
    usable = {name: [p for p in split if places(p) <= MOST_FRAGMENTS] for name, split in splits.items()}
    short = {name: [p for p in split if len(p["sequence"]) <= LONGEST] for name, split in usable.items()}
    known = Counter(c for protein in short["train"] for c in categories(protein))
    learnable = {c for c, count in known.items() if count > 1}
    chosen: dict[str, list[dict]] = {}
    asked: set[str] = set()
    for name in ("test", "valid", "train"):
        picked = [p for p in usable[name] if 1021 < len(p["sequence"]) < 2600][: LONG.get((family, name), 0)]
        count = Counter(c for protein in picked for c in categories(protein))
        while short[name] and len(picked) < PROTEINS[name]:
            wanted = asked if name == "train" else None
            _, best = min((value(p, count, learnable, wanted), n) for n, p in enumerate(short[name]))
            picked.append(short[name].pop(best))
            count.update(categories(picked[-1]))
        asked |= set(count)
        chosen[name] = sorted(picked, key=lambda protein: protein["uid"])
    return chosen


def nested(collection: Path, target: Path) -> dict[str, tuple[str, str]]:
    """Write the nested JSON; returns names and types of InterPro entries in the collection's active sites."""
    names: dict[str, tuple[str, str]] = {}
    for family in FAMILIES:
        folder = collection / "fragllm" / f"VenusX_{family}"
        splits = {name: json.loads((folder / f"{name}.json").read_text()) for name in PROTEINS}
        for protein in (protein for split in splits.values() for protein in split):
            for entry in protein["fragments"]:
                if family == "Act" and entry["interpro_id"].startswith("IPR"):
                    names[entry["interpro_id"]] = ("Active_site", entry["category"])
        (target / f"VenusX_{family}").mkdir(parents=True, exist_ok=True)
        chosen = choose(splits, family)
        for name in PROTEINS:
            proteins = chosen[name]
            text = json.dumps(proteins, indent=1, ensure_ascii=False)
            (target / f"VenusX_{family}" / f"{name}.json").write_text(text + "\n", encoding="utf-8")
            print(family, name, len(proteins), "proteins,", sum(map(places, proteins)), "fragments")
    return names


def copy_rows(source: Path, target: Path, keep: Callable[[int, dict], bool]) -> list[dict]:
    """Copy the rows of a CSV file for which ``keep(number, row)`` holds; returns them."""
    with source.open(newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        rows = [row for number, row in enumerate(reader) if keep(number, row)]
        columns = reader.fieldnames
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(target.parent.name, target.stem, len(rows), "rows")
    return rows


def main() -> None:
    """Write the sample."""
    csv.field_size_limit(1 << 24)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collection", type=Path)
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    names = nested(arguments.collection, arguments.target)

    # Two entries that stand in every split, and one more in train and test.
    wanted = {"IPR008271", "IPR008266", "IPR018221"}
    used = set()
    for split in PROTEINS:
        rows = copy_rows(
            arguments.collection / "venusx" / f"active_site_fragment_cls_{split}.csv",
            arguments.target / "VenusXcsv_Act" / f"{split}.csv",
            lambda _, row: row["interpro_id"] in wanted and len(row["seq_full"]) < 700,
        )
        used |= {row["interpro_id"] for row in rows}
    lines = ["ENTRY_AC\tENTRY_TYPE\tENTRY_NAME"] + ["\t".join((key, *names[key])) for key in sorted(used)]
    (arguments.target / "VenusXcsv_Act" / "entry.list").write_text("\n".join(lines) + "\n", encoding="utf-8")

    with (arguments.collection / "conversation" / "index.csv").open(newline="") as handle:
        index = [
            row
            for row in csv.DictReader(handle)
            if row["task"] == "referring_desc" and row["family"] == "Dom"
        ]
    for split in PROTEINS:
        numbers = {int(row["row"]) for row in index if row["split"] == split}
        copy_rows(
            arguments.collection / "conversation" / "referring_desc.csv",
            arguments.target / "Conversations_Dom" / f"{split}.csv",
            lambda number, _, numbers=numbers: number in numbers,
        )

    for split, count in FUNCTIONS.items():
        known: set[str] = set()

        def is_new(_: int, row: dict, known: set[str] = known, count: int = count) -> bool:
            fits = len(row["sequence"]) <= SHORT and len(row["function"]) <= LONGEST_TEXT
            if not fits or row["function"] in known or len(known) == count:
                return False
            known.add(row["function"])
            return True

        copy_rows(
            arguments.collection / "function" / f"{split}.csv",
            arguments.target / "Function" / f"{split}.csv",
            is_new,
        )


if __name__ == "__main__":
    main()
