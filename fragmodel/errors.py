"""The one exception whose message is written for the user, and the faults of a file system in such words."""

import errno


class UserError(Exception):
    """Something the user can mend: a bad file, setting or path.

    The message names what is wrong, where (file, record, field) and the remedy. The command line prints it as
    one line and exits with status 2; no traceback is shown.
    """


def told(error: BaseException) -> str | None:
    """What to tell the user of an error that the user can mend, whoever raised it; None for a defect."""
    if isinstance(error, UserError):
        return str(error)
    if message := cannot_write(error):
        return message
    if isinstance(error, OSError) and error.filename is not None and error.strerror is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, ValueError) and "integer string conversion" in str(error):
        return "a number in a file or setting has thousands of digits; mend it"
    return None


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PROTECTED = (errno.EACCES, errno.EPERM, errno.EROFS)
# The last two are torch's, of a file whose end could not be written.
_SIGNS = (
    *("no space left", "quota exceeded", "file too large", "file write failed"),
    *("iostream error", "unexpected pos"),
)


def cannot_write(error: BaseException) -> str | None:
    """What to tell the user where ``error`` means a full or protected file system, else None.

    torch and safetensors hide the system's error in exceptions of their own: their text is looked at.
    """
    if isinstance(error, OSError) and error.errno in _FULL + _PROTECTED:
        remedy = "free space there" if error.errno in _FULL else "change its permissions"
        return f"{error.filename or 'a file'}: {error.strerror}; {remedy}, or choose another folder"
    said = str(error).lower()
    if any(sign in said for sign in _SIGNS):
        return f"a file could not be written ({error}); is the disk full, or a quota reached?"
    return None
