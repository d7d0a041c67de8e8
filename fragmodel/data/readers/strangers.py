"""Files that are often taken for data and are none, or not in a form that is read: each is called by its name."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fragmodel.errors import UserError

_MESSAGES = ("messages", "errorMessage", "errors", "error", "message", "detail", "title")
_ABOUT_AN_ERROR = frozenset(
    (
        *_MESSAGES,
        "url",
        "requestedURL",
        "status",
        "statusCode",
        "code",
        "timestamp",
        "path",
        "type",
        "trace",
        "instance",
    )
)
_XML = (
    (r"<!doctype html|<html", "a web page, saved in the place of data{title}; download the file again"),
    (
        r"<(?:protein-matches|nucleotide-sequence-matches)",
        "InterProScan's XML is not read; write the results with -f JSON, TSV or GFF3",
    ),
    ("<EBIApplicationResult|<entry", "XML of the EBI is not read; give flat text or JSON"),
)


def refuse_markup(path: Path, head: str) -> None:
    """Raise :class:`UserError` for a text that begins as HTML or XML does, saying which it is."""
    if not head.lstrip("\ufeff \t\r\n").startswith("<"):
        return
    for pattern, text in _XML:
        if re.search(pattern, head[:4000], re.IGNORECASE):
            title = re.search(r"<title>\s*([^<]{1,80}?)\s*</title>", head, re.IGNORECASE)
            said = f' ("{" ".join(title[1].split())}")' if title else ""
            raise UserError(f"{path}: {text.format(title=said)}")
    raise UserError(f"{path}: XML is not read; UniProt gives the same entries as flat text and as JSON")


def refuse_object(path: Path, row: Mapping[str, Any]) -> None:
    """Raise :class:`UserError` for a first record that is a service's error message, or of a service not read."""
    told = next((row[name] for name in _MESSAGES if row.get(name)), None)
    if told and set(row) <= _ABOUT_AN_ERROR:
        said = " ".join(str(told[0] if isinstance(told, list) else told).split())[:120]
        raise UserError(
            f'{path}: a service\'s error message, saved in the place of data ("{said}"); download it again'
        )
    if {"accession", "features"} <= set(row) and "primaryAccession" not in row:
        raise UserError(
            f"{path}: entries of the EBI Proteins API are not read; UniProt's own service gives the same entries as "
            "JSON and as flat text"
        )
