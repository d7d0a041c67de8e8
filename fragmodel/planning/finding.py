"""What an examination finds."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "missing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table. ``missing`` stops a run, ``note`` is worth knowing."""

    subject: str
    state: State
    text: str
