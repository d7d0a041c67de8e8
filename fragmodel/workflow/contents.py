"""What the bytes of files and folders are, as digests that Snakemake compares in place of times.

A file that was touched, copied or restored is the same; one that was replaced by an older one is not. Large files are
hashed once: their digests are kept in a file beside the results, under all that the system says of a change.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from fragmodel.config.models import fair_esm_file
from fragmodel.data.readers import open_sources
from fragmodel.digests import read_json, write_noted
from fragmodel.errors import UserError
from fragmodel.files import file_digest, text_digest

_SMALL = 1 << 16  # bytes; hashing them takes no longer than looking them up


class Contents:
    """Digests of files, remembered in ``memory`` between runs of Snakemake."""

    def __init__(self, memory: Path) -> None:
        self._path = memory
        self._known: dict[str, list] = {}
        with suppress(OSError, UserError):  # the first run, or a damaged file: all is hashed anew
            self._known = read_json(memory)

    def of(self, paths: Iterable[str | Path]) -> str:
        """Digest of the files' and folders' bytes and of the names within folders; what is missing counts as such."""
        parts: list[str] = []
        for path in map(Path, paths):
            if path.is_dir():
                files = sorted(file for file in path.rglob("*") if file.is_file())
                parts += [part for file in files for part in (str(file.relative_to(path)), self._file(file))]
            else:
                parts.append(self._file(path) if path.is_file() else "")
        return text_digest(*parts, size=8)

    def _file(self, path: Path) -> str:
        about = path.stat()
        if about.st_size <= _SMALL:
            return file_digest(path)
        # The time of the last change of the inode cannot be set back, as that of the contents can.
        state = [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
        name = str(path.absolute())
        known = self._known.get(name)
        if known is None or known[:-1] != state:
            self._known[name] = known = [*state, file_digest(path)]
            self._save()
        return known[-1]

    def _save(self) -> None:
        with suppress(
            OSError
        ):  # only a memory: those who must write there tell of a folder that is protected
            write_noted(self._path, json.dumps(self._known, indent=0))


def raw_contents(contents: Contents, raw: Sequence[str], *, format: str, split: str) -> str:
    """Digest of all files that the ingestion of a split reads: with those beside the raw files and in folders."""
    try:
        # Files are the same for every family; "fragment" takes those of any format.
        sources = open_sources([Path(path) for path in raw], format=format, family="fragment", split=split)
    except UserError:
        return contents.of(raw)  # ingestion will tell what is wrong
    return contents.of(path for source in sources for path in source.inputs)


def source_contents(contents: Contents, source: str) -> str:
    """Digest of a model's weights and settings: of a local file or folder, or the version of a package."""
    for path in (Path(source), fair_esm_file(source)):
        if (found := path.expanduser()).exists():
            return contents.of([found])
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(source)
    except PackageNotFoundError:
        return ""  # a stand-in, or a name at a hub: its revision is a key of its own
