"""Digests of folders of weights and of single JSON files, which are checked when these are read.

They lie in the folder, or in a hidden file beside the single file, in the form that ``sha256sum --check`` reads. What
has none (from a hub, of the user's own) is taken as it is.
"""

import json
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

from fragmodel.errors import UserError
from fragmodel.files import file_digest, write_text
from fragmodel.vocabulary import CARD_FILE

SUMS = "fragmodel.sha256"
SWITCH = "FRAGMODEL_VERIFY"
_ALONE = "FRAGMODEL_FILES_ALONE"
_LINE = re.compile(r"([0-9a-f]{64})  ([^/]+)")


def note_digests(folder: str | Path, names: Iterable[str] | None = None) -> None:
    """Write the digests of the files ``names`` in ``folder``.

    By default of all but links, which lead to others' files, and cards, which people edit.
    """
    folder = Path(folder)
    if names is None:
        files = (path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
        left_out = {SUMS, CARD_FILE}
        names = (path.name for path in files if path.name not in left_out and not path.name.startswith("."))
    names = sorted(set(names))
    sums = _each(folder, names)
    write_text(folder / SUMS, "".join(f"{sums[name]}  {name}\n" for name in names))


def drop_digests(folder: str | Path) -> None:
    """Before files of a folder are written again: those that were noted are no longer theirs."""
    (Path(folder) / SUMS).unlink(missing_ok=True)


def noted(folder: str | Path) -> dict[str, str]:
    """The digests of a folder's files by their names; none where they are missing, or not to be read."""
    path = Path(folder) / SUMS
    lines = path.read_bytes().decode("utf-8", errors="replace").splitlines() if path.is_file() else []
    found = [_LINE.fullmatch(line) for line in lines]
    return {match[2]: match[1] for match in found if match} if all(found) else {}


def faults(folder: str | Path) -> list[str]:
    """What in a folder is not as it was noted, a message for each file; none where nothing was noted."""
    folder = Path(folder)
    if not (folder / SUMS).is_file():
        return []
    if not (expected := noted(folder)):
        return [f"{folder / SUMS}: damaged"]
    found = _each(folder, expected)
    return [
        f"{folder / name}: " + ("damaged" if found[name] else "missing")
        for name, digest in expected.items()
        if found[name] != digest
    ]


def write_noted(path: Path, text: str) -> None:
    """Write a file whole or not at all, and its digest beside it."""
    sums = _sums_of(path)
    sums.unlink(missing_ok=True)  # a kill between the two leaves a file without a digest
    write_text(path, text)
    note_digest(path)


def note_digest(path: Path) -> None:
    """Write the digest of a file that is not written any more beside it."""
    if _ALONE not in os.environ:
        write_text(_sums_of(path), f"{file_digest(path)}  {path.name}\n")


def files_travel_alone() -> None:
    """Have jobs note no digests of single files: a storage keeps none, and its files would meet those of older ones."""
    os.environ[_ALONE] = "yes"


def fault_of(path: Path) -> str | None:
    """What is wrong with a single file by the digest beside it; None without one."""
    sums = _sums_of(path)
    if not sums.is_file():
        return None
    noted = _LINE.fullmatch(sums.read_bytes().decode("utf-8", errors="replace").rstrip("\n"))
    if noted is None:
        return f"{sums}: damaged"
    return None if noted[1] == file_digest(path) else f"{path}: its bytes are not those of {sums.name}"


def read_json(path: str | Path, kind: type = dict) -> Any:
    """The object, or value of another ``kind``, that a JSON file holds.

    Raises :class:`UserError` where the file is missing, is no such JSON, or is not as its digest says.
    """
    path = Path(path)
    try:
        value = json.loads(read_noted(path))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:  # also bytes that are no text
        said = " ".join(str(error).split())[:100]
        raise UserError(
            f"{path}: not valid JSON ({said}); restore it, or have its stage write it anew"
        ) from None
    if not isinstance(value, kind):
        raise UserError(f"{path}: no JSON {'object' if kind is dict else kind.__name__}; restore it")
    return value


def read_noted(path: Path) -> bytes:
    """The bytes of a file. Raises :class:`UserError` where they are not as the digest beside it says."""
    if is_checked() and (fault := fault_of(path)):
        raise UserError(
            f"{fault}; its stage writes it anew (whoever changed it on purpose removes {_sums_of(path).name})"
        )
    return path.read_bytes()


def _sums_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.sha256")


def check_digests(folder: str | Path, remedy: str = "restore it from a copy, or make it anew") -> None:
    """Raise :class:`UserError` where a folder is not as it was noted; each file is read once in a process.

    The environment variable FRAGMODEL_VERIFY=no leaves it out.
    """
    if is_checked() and (found := faults(folder)):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise UserError(
            f"{found[0]}{more}: its bytes are not those of {SUMS}; {remedy} (whoever changed it on purpose removes "
            f"{SUMS}, or sets {SWITCH}=no)"
        )


def is_checked() -> bool:
    """Whether the user wants digests and checksums to be checked when something is loaded."""
    return os.environ.get(SWITCH, "yes").lower() not in ("no", "0", "off", "false")


def _each(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Digests of files, several at a time; an empty one for a file that is not there."""
    names = list(names)
    with ThreadPoolExecutor(max_workers=4) as pool:
        return dict(zip(names, pool.map(_digest, [folder / name for name in names]), strict=True))


def _digest(path: Path) -> str:
    if not path.is_file():
        return ""
    about = path.stat()
    return _read(path.absolute(), about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


@lru_cache(maxsize=1024)
def _read(path: Path, *state: int) -> str:
    """The digest of a file in a ``state``: a folder is checked by all that load something from it."""
    return file_digest(path)
