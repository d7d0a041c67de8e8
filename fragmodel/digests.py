"""Digests of a folder of weights, which are checked when it is loaded.

They lie in the folder, in the form that ``sha256sum --check`` reads. A folder without them (from a hub, of the user's
own) is taken as it is.
"""

import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from fragmodel.errors import UserError
from fragmodel.files import file_digest, write_text

SUMS = "fragmodel.sha256"
SWITCH = "FRAGMODEL_VERIFY"
_LINE = re.compile(r"([0-9a-f]{64})  ([^/]+)")


def note_digests(folder: str | Path, names: Iterable[str] | None = None) -> None:
    """Write the digests of the files ``names`` in ``folder``; by default of all but links, which lead to others'."""
    folder = Path(folder)
    if names is None:
        files = (path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
        names = (path.name for path in files if path.name != SUMS and not path.name.startswith("."))
    names = sorted(set(names))
    sums = _each(folder, names)
    write_text(folder / SUMS, "".join(f"{sums[name]}  {name}\n" for name in names))


def drop_digests(folder: str | Path) -> None:
    """Before files of a folder are written again: those that were noted are no longer theirs."""
    (Path(folder) / SUMS).unlink(missing_ok=True)


def faults(folder: str | Path) -> list[str]:
    """What in a folder is not as it was noted, a message for each file; none where nothing was noted."""
    folder = Path(folder)
    path = folder / SUMS
    if not path.is_file():
        return []
    lines = path.read_bytes().decode("utf-8", errors="replace").splitlines()
    noted = [_LINE.fullmatch(line) for line in lines]
    if not noted or not all(noted):
        return [f"{path}: damaged"]
    expected = {match[2]: match[1] for match in noted if match}
    found = _each(folder, expected)
    return [
        f"{folder / name}: " + ("damaged" if found[name] else "missing")
        for name, digest in expected.items()
        if found[name] != digest
    ]


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
