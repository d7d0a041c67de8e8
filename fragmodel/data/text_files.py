"""The text of a file that was made elsewhere, plain or gzip-compressed, and what its rows are.

Faults of the whole file (missing, empty, damaged, another encoding) raise :class:`UserError` with its name.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from fragmodel.errors import UserError
from fragmodel.files import check_regular


class BadRow(NamedTuple):
    """A row of which nothing can be read, and why."""

    detail: str


Row = tuple[int, dict[str, Any] | BadRow]  # position in the file, counted from 1, and what stands there

_GZIP = b"\x1f\x8b"
_BLANK = 1 << 24  # bytes; a thousandfold less may unpack to them


class _Unpacked(gzip.GzipFile):
    """A gzip file's bytes; raises :class:`UserError` where they are nothing but space for too long."""

    blank = 0

    def read1(self, size: int = -1) -> bytes:
        """As of any buffered file; this is what text is read by."""
        content = super().read1(size)
        self.blank = 0 if content.strip() else self.blank + len(content)
        if self.blank > _BLANK:
            raise UserError(
                f"{self.name}: unpacks to more than {_BLANK >> 20} MiB of blank lines; no file of records"
            )
        return content


def _binary(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked when they are gzip's."""
    check_regular(path)
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
    return _Unpacked(path) if packed else path.open("rb")


@contextmanager
def opened(path: Path) -> Iterator[IO[str]]:
    """The file's text (UTF-8, byte order mark removed, line ends as they are); faults become
    :class:`UserError`.
    """
    try:
        with _binary(path) as binary:
            head = binary.read(4)
            binary.seek(0)
            if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise UserError(f"{path}: the text is UTF-16; convert it to UTF-8")
            yield io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder, expected a file") from None
    except UnicodeDecodeError as error:
        wrong = error.object[error.start]
        raise UserError(f"{path}: not UTF-8 text (byte 0x{wrong:02x}); convert it to UTF-8") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: the gzip stream is damaged or cut short ({error})") from None


def head_of(path: Path, size: int = 1 << 16) -> str:
    """The first characters of the text; raises :class:`UserError` when there is nothing but space."""
    with opened(path) as text:
        head = text.read(size)
    if not head.strip():
        said = "begins with nothing but blank lines" if head[size - 1 :] else "is empty"
        raise UserError(f"{path}: the file {said}")
    return head


def text_flags(path: Path) -> tuple[str, ...]:
    """Normalisations that reading the file as text takes: "bom" and "crlf"."""
    with _binary(path) as binary:
        head = binary.read(1 << 16)
    flags = ["bom"] if head.startswith(b"\xef\xbb\xbf") else []
    return tuple([*flags, "crlf"] if b"\r\n" in head else flags)


def is_parquet(path: Path) -> bool:
    """Whether the file starts as Parquet does."""
    check_regular(path)
    try:
        with path.open("rb") as raw:
            return raw.read(4) == b"PAR1"
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder, expected a file") from None
