"""Token ids of a Parquet file's texts, made once and kept beside it for every process, shard and later run.

``.tokens/<stem>.<digest of the Parquet file>.<digest of the tokenizer>.arrow`` is one Arrow record batch: ``key``
(16 bytes, ascending: the BLAKE2b digest of a text) and ``ids`` (list of int32). It is memory-mapped, so that all
processes of a machine share one copy in the page cache, and it is written whole or not at all. The schema's metadata
has a checksum; a damaged file is made again. Deleting the folder costs time alone.
"""

import fcntl
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa

from fragmodel.files import atomic_path, file_digest
from fragmodel.model.chat import ChatEncoder

FOLDER = ".tokens"
FEWEST_RECORDS = 10_000  # fewer are tokenised in a second or two
_KEY_BYTES = 16
_SCHEMA = pa.schema([("key", pa.binary(_KEY_BYTES)), ("ids", pa.large_list(pa.int32()))])


class TokenCache:
    """Read access. Raises ``ValueError`` or ``OSError`` for a file that is damaged or missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all().combine_chunks()
        key, ids = (table.column(name).chunk(0) for name in ("key", "ids"))
        if (table.schema.metadata or {}).get(b"checksum", b"").decode() != _checksum(key, ids):
            raise ValueError(f"{path}: damaged")
        self._keys = np.frombuffer(key.buffers()[1], dtype=f"S{_KEY_BYTES}", count=len(key))
        self._starts, self._ids = ids.offsets.to_numpy(), ids.values.to_numpy()

    def get(self, text: str) -> list[int] | None:
        """Ids of a text, or None where the file does not have it."""
        key = _key(text)
        row = int(np.searchsorted(self._keys, np.bytes_(key)))
        if row == len(self._keys) or self._keys[row] != key.rstrip(b"\0"):  # as numpy gives it
            return None
        return self._ids[self._starts[row] : self._starts[row + 1]].tolist()

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        return TokenCache, (self.path,)


def cached_tokens(path: Path, texts: Sequence[pa.Array], chat: ChatEncoder) -> TokenCache | None:
    """The cache of the Parquet file ``path`` with all its ``texts`` (columns of strings), made where there is none.

    Of several processes that ask for it at once one makes it and the others wait. None where it cannot be written: then
    each process tokenises for itself. Files of this Parquet file's earlier contents are removed.
    """
    folder, content = path.parent / FOLDER, file_digest(path)[: 2 * _KEY_BYTES]
    target = folder / f"{path.stem}.{content}.{chat.digest()}.arrow"
    if found := _open(target):
        return found
    try:
        folder.mkdir(exist_ok=True)
        with _locked(folder / "lock"):
            if found := _open(target):  # another process made it meanwhile
                return found
            _write(
                target, sorted({text for column in texts for text in chat.pieces(column.to_pylist())}), chat
            )
            for other in folder.glob(f"{path.stem}.*.*.arrow"):
                if other.name.split(".")[-3] != content:
                    other.unlink(missing_ok=True)
    except OSError as error:
        print(
            f"{path}: its texts are tokenised in memory, since {folder} cannot be written ({error.strerror})"
        )
        return None
    return TokenCache(target)


def _write(target: Path, texts: list[str], chat: ChatEncoder) -> None:
    keys = np.frombuffer(b"".join(map(_key, texts)), dtype=f"S{_KEY_BYTES}")
    rows = [np.array(row, dtype=np.int32) for row in chat.tokenised(texts)]
    order = np.argsort(keys, kind="stable")
    starts = np.concatenate([[0], np.cumsum([len(rows[row]) for row in order])]).astype(np.int64)
    values = np.concatenate([np.empty(0, dtype=np.int32), *(rows[row] for row in order)])
    key = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(_KEY_BYTES), len(texts), [None, pa.py_buffer(keys[order].tobytes())]
    )
    ids = pa.LargeListArray.from_arrays(starts, values)
    schema = _SCHEMA.with_metadata({"checksum": _checksum(key, ids)})
    with atomic_path(target) as unfinished, pa.ipc.new_file(str(unfinished), schema) as writer:
        writer.write_batch(pa.record_batch([key, ids], schema=schema))
    print(f"{len(texts)} texts tokenised: {target} ({target.stat().st_size / 2**20:.0f} MiB)")


def _open(path: Path) -> TokenCache | None:
    try:
        return TokenCache(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, IndexError, pa.ArrowException) as error:
        print(f"{path}: damaged, made again ({error})")
        return None


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()


def _checksum(key: pa.Array, ids: pa.Array) -> str:
    digest = hashlib.blake2b(digest_size=_KEY_BYTES)
    for buffer in (key.buffers()[1], ids.offsets.buffers()[1], ids.values.buffers()[1]):
        digest.update(len(buffer or b"").to_bytes(8, "big"))
        digest.update(buffer or b"")
    return digest.hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that other processes wait for, also those of other machines where the file system has locks."""
    with path.open("w") as handle:
        with suppress(OSError):  # without locks each process makes the same file, and the last one stays
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
