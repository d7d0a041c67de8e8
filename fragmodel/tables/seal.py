"""A checksum over a Parquet file's footer.

Parquet has checksums of its pages, none of the footer that says what the pages mean: a flipped byte there may read
back as other values. The seal is a value in the file's own metadata: eight hex digits, the CRC-32 of the footer with
zeros in their place. Other readers see one more key. https://github.com/apache/parquet-format, section "File Format":
a file ends with the footer, its length (4 bytes, little endian) and the letters PAR1.
"""

import re
import zlib
from pathlib import Path
from typing import BinaryIO

KEY = b"fragmodel.seal"
UNSEALED = b"0" * 8
_TAIL = 8
# In Thrift's compact protocol a key-value pair's value follows its key as type and field (0x18), length, bytes.
_PLACE = re.compile(re.escape(KEY) + rb"\x18\x08([0-9a-f]{8})")


def seal(path: Path) -> None:
    """Seal a file that was closed with the pair :data:`KEY`: :data:`UNSEALED` in its metadata."""
    with path.open("r+b") as file:
        start, footer = _footer(file)
        place = _PLACE.search(footer)
        assert place is not None
        file.seek(start + place.start(1))
        file.write(_digits(footer))


def check(path: str | Path) -> None:
    """Raise ``ValueError`` where a footer is not the one that was sealed; one without a seal is taken as it is."""
    with Path(path).open("rb") as file:
        _, footer = _footer(file)
    place = _PLACE.search(footer)
    if place is None:
        return
    start, end = place.span(1)
    if place[1] != _digits(footer[:start] + UNSEALED + footer[end:]):
        raise ValueError("the footer is not what was written")


def _footer(file: BinaryIO) -> tuple[int, bytes]:
    """Where the footer begins, and its bytes with those after it."""
    size = file.seek(0, 2)
    file.seek(max(size - _TAIL, 0))
    length = int.from_bytes(file.read(4), "little") + _TAIL
    if length > size:
        raise ValueError("the file is too short")
    file.seek(size - length)
    return size - length, file.read()


def _digits(footer: bytes) -> bytes:
    return b"%08x" % zlib.crc32(footer)
