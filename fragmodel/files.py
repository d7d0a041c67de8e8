"""Files that appear whole or not at all, locks, and digests that say what files were made from."""

import fcntl
import hashlib
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from fragmodel.errors import UserError, cannot_write

PART_SUFFIX = ".part"  # of files that are not whole yet


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target`` that replaces it when the block ends without an error.

    The temporary file lies in the same directory, so that the final rename is atomic. On an error it is
    removed and ``target`` stays as it was.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=PART_SUFFIX)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes the file private
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except OSError as error:
        if error.filename is None and cannot_write(error):  # of a file that was open
            error.filename = str(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def make_shared(folder: str | Path) -> None:
    """Give the files of ``folder`` the permissions that any new file would have.

    Libraries make weights private, whatever the user's umask; those of shared results must be read by a group.
    Links are passed over: what they lead to belongs to others.
    """
    mode = 0o666 & ~_umask()
    for path in Path(folder).rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(mode)


@contextmanager
def room_told(folder: str | Path, needed: int) -> Iterator[None]:
    """Where the block finds the file system of ``folder`` full or protected, say what it needs and what is free.

    ``needed`` is in bytes. Raises :class:`UserError` then.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError) or not (message := cannot_write(error)):
            raise
        free = shutil.disk_usage(folder).free if Path(folder).is_dir() else 0
        raise UserError(
            f"{folder}: {needed / 1e6:,.1f} MB are to be written, {free / 1e6:,.1f} MB are free: {message}"
        ) from None


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder in TMPDIR for the block; those of this program whose processes were killed go first.

    Its name tells the machine and the process that it belongs to.
    """
    mine = f"fragmodel-{socket.gethostname()}-"
    for path in Path(tempfile.gettempdir()).glob(f"{mine}*"):
        process = path.name.removeprefix(mine).partition("-")[0]
        if process.isdecimal() and not path.is_symlink() and not Path("/proc", process).exists():
            shutil.rmtree(path, ignore_errors=True)  # another user's stays
    with tempfile.TemporaryDirectory(prefix=f"{mine}{os.getpid()}-") as name:
        yield Path(name)


@contextmanager
def held(lock: str | Path, busy: str) -> Iterator[int]:
    """Hold the file ``lock`` for the block; the system frees it when this process ends, however it ends.

    Yields the lock's file descriptor: a child that is given it holds the lock, too, until it has ended as well.

    Raises :class:`UserError` that says what is ``busy`` and by whom, where another process holds it. A file system
    without locks is trusted.
    """
    lock = Path(lock)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{busy} by {_owner(lock)}; wait for its end, or end it") from None
        except OSError:
            pass
        handle.truncate(0)
        handle.write(
            f"process {os.getpid()} on {socket.gethostname()} since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        )
        handle.flush()
        yield handle.fileno()


def holder(lock: str | Path) -> str | None:
    """Who holds the file ``lock``; None where nobody does."""
    with suppress(FileNotFoundError), Path(lock).open(encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _owner(Path(lock))
        except OSError:
            pass
    return None


def _owner(lock: Path) -> str:
    return lock.read_text(encoding="utf-8") or "another process"


def check_regular(path: str | Path) -> None:
    """Raise :class:`UserError` for a pipe, device or socket; a missing file or a folder is told by who reads it."""
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(f"{path}: no regular file; save what it holds to one, since files are read twice")


def write_text(target: str | Path, text: str) -> None:
    """Write ``text`` to ``target`` as UTF-8, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_named(folder: Path, prefix: str, suffix: str, write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a temporary file, then name it by the digest of its bytes: ``prefix``, digest, ``suffix``."""
    temporary = folder / f".{uuid.uuid4().hex}{PART_SUFFIX}"
    try:
        with atomic_path(temporary) as unfinished:
            write(unfinished)
        target = folder / f"{prefix}{name_digest(temporary)}{suffix}"
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def name_digest(path: str | Path) -> str:
    """The first 32 hex digits of :func:`file_digest`, by which files are named."""
    return file_digest(path)[:32]


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def text_digest(*parts: str, size: int = 16) -> str:
    """Hex BLAKE2b digest (``size`` bytes) of several strings; no two different lists give the same input."""
    digest = hashlib.blake2b(digest_size=size)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()
