"""Data set folders as the Hugging Face hub gives them: the files of one split."""

import re
from pathlib import Path

from fragmodel.errors import UserError

_WORDS = {"train": "train", "training": "train", "valid": "valid", "validation": "valid", "val": "valid"}
_WORDS |= {"dev": "valid", "test": "test"}
_KINDS = (".parquet", ".csv", ".jsonl", ".json")  # the first kind that a split has is read


def split_files(folder: Path, split: str) -> list[Path]:
    """Files whose name (or whose folder's name) has a word for ``split``: `data/train-00000-of-00002.parquet`.

    Raises :class:`UserError` when there is none.
    """
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    for kind in _KINDS:
        matching = [path for path in files if path.name.removesuffix(".gz").endswith(kind)]
        if found := [path for path in matching if split in _splits(path.relative_to(folder))]:
            return found
    names = ", ".join(str(path.relative_to(folder)) for path in files[:6]) or "nothing"
    raise UserError(f"{folder}: no Parquet, CSV or JSON file of split '{split}' (found {names})")


def _splits(path: Path) -> set[str]:
    """Splits that the file's name tells, or else its folders' names."""
    for part in reversed(path.parts):
        if found := {_WORDS[word] for word in re.split(r"[^a-z]+", part.lower()) if word in _WORDS}:
            return found
    return set()
