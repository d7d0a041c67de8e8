"""Annotations made elsewhere as a system: InterProScan, UniProt, HMMER's domain table, or a table of places."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from fragmodel.data import delimited
from fragmodel.data.readers import open_sources
from fragmodel.data.readers.interproscan import uid_of
from fragmodel.data.records import Protein
from fragmodel.data.text_files import BadRow, head_of, is_parquet, opened
from fragmodel.errors import UserError
from fragmodel.evaluation.baselines.hits import answers_from_hits
from fragmodel.evaluation.baselines.priors import Texts
from fragmodel.evaluation.parse import normalise
from fragmodel.evaluation.references import Reference
from fragmodel.homology.profiles import ClassHit
from fragmodel.vocabulary import Span

logger = logging.getLogger(__name__)

_T = TypeVar("_T", int, float)
_COLUMNS = ("uid", "class", "start", "end")  # of a table of places, and perhaps e_value
_HMMER_COLUMNS = 22  # before the description
_MAX_E_VALUE = 1e-3  # HMMER's own default reports up to 10
_LEAST_VISIBLE = 0.5  # part of a place that the window must show


class Annotation(NamedTuple):
    """A place in a whole protein, 0-based and half-open, and the names that its class goes by."""

    uid: str
    names: tuple[str, ...]
    span: Span
    e_value: float = 0.0


class Imported:
    """Places read from files, by protein (``uid``); a class goes by its id or its name in the data set.

    Args:
        name: the system's name, for messages.
        paths: files of one kind or several; see :func:`read_annotations`.
        asked: all test records.

    Raises:
        UserError: a file cannot be read, or has nothing about the proteins that are asked for.
    """

    def __init__(self, name: str, paths: Sequence[Path], asked: Sequence[Reference]) -> None:
        uids = {record.uid for record in asked}
        self._places: dict[str, list[Annotation]] = defaultdict(list)
        read = 0
        for annotation in read_annotations(paths, uids):
            read += 1
            if annotation.uid in uids:
                self._places[annotation.uid].append(annotation)
        if not self._places:
            files = ", ".join(map(str, paths))
            raise UserError(
                f"{files}: none of {read} places is in a protein that is asked for (such as '{min(uids)}'); name the "
                f"proteins by their uid, or leave evaluation.annotations.{name} out"
            )
        kept = sum(map(len, self._places.values()))
        logger.info("%s: %d places in %d of %d proteins", name, kept, len(self._places), len(uids))

    def __call__(self, known: Sequence[Reference], asked: Sequence[Reference]) -> Texts:
        """An answer for each record of ``asked``."""
        names: dict[str, str] = {}
        for record in (*known, *asked):
            for class_id, class_name in zip(record.class_ids, record.classes, strict=False):
                names.setdefault(normalise(class_name), class_name)
                if class_id:
                    names.setdefault(normalise(class_id), class_name)
        return answers_from_hits(known, asked, lambda record: list(self._shown(record, names)))

    def _shown(self, record: Reference, names: Mapping[str, str]) -> Iterator[ClassHit]:
        """Places in the record's window, by the data set's names of classes."""
        for place in self._places.get(record.uid, ()):
            start = max(place.span.start - record.start, 0)
            end = min(place.span.end - record.start, record.length)
            if end - start < _LEAST_VISIBLE * place.span.length:
                continue
            own = (names[key] for key in map(normalise, place.names) if key in names)
            yield ClassHit(next(own, place.names[-1]), Span(start, end), place.e_value)


def read_annotations(paths: Sequence[Path], uids: set[str]) -> Iterator[Annotation]:
    """The places of files, each recognised by its content:

    - HMMER's ``--domtblout``, of hmmscan or hmmsearch (``uids`` tell which of the two names is the protein's):
      envelopes with an independent E-value up to 0.001;
    - a CSV or TSV with the columns ``uid``, ``class``, ``start``, ``end`` (counted from 1, the end included), perhaps
      ``e_value``;
    - else a raw format with annotated proteins (InterProScan's with the FASTA that was scanned among ``paths``).

    Raises :class:`UserError` for what is none of these, with file, row and field.
    """
    others = []
    for path in paths:
        if path.is_file() and not is_parquet(path):
            if _is_domtblout(path):
                yield from _domtblout(path, uids)
                continue
            if set(_COLUMNS) <= set(_header(path)):
                yield from _table(path)
                continue
        others.append(path)
    for source in open_sources(others, format="auto", family="fragment", split="test"):
        for record in source.read():
            if isinstance(record, Protein):
                for fragment in record.fragments:
                    names = tuple(filter(None, (fragment.class_id, fragment.class_name)))
                    yield Annotation(record.uid, names, fragment.span)


def _header(path: Path) -> list[str]:
    line = next(iter(head_of(path).lstrip("\r\n").splitlines()), "")
    return delimited.header(path)[0] if "uid" in line else []


def _is_domtblout(path: Path) -> bool:
    head = head_of(path)
    return head.startswith("#") and "--- full sequence ---" in head


def _domtblout(path: Path, uids: set[str]) -> Iterator[Annotation]:
    with opened(path) as lines:
        for number, line in enumerate(lines, start=1):
            if line.startswith("#") or not line.strip():
                continue
            row = line.split(maxsplit=_HMMER_COLUMNS)
            if len(row) < _HMMER_COLUMNS:
                raise UserError(
                    f"{path}: line {number}: {len(row)} columns, a domain table has {_HMMER_COLUMNS}; is it cut short?"
                )
            target, query = (row[0], row[1]), (row[3], row[4])
            protein, profile = (target, query) if uid_of(row[0]) in uids else (query, target)
            e_value = _number(row[12], float, path, number, "i-Evalue")
            start, end = (_number(row[place], int, path, number, "env coord") for place in (19, 20))
            if e_value <= _MAX_E_VALUE:
                names = (profile[1], profile[1].split(".")[0], profile[0])
                yield Annotation(
                    uid_of(protein[0]), tuple(n for n in names if n != "-"), Span(start - 1, end), e_value
                )


def _table(path: Path) -> Iterator[Annotation]:
    for number, row in delimited.rows(path):
        if isinstance(row, BadRow):
            raise UserError(f"{path}: row {number}: {row.detail}")
        start, end = (_number(row[name], int, path, number, name) for name in ("start", "end"))
        if not 1 <= start <= end:
            raise UserError(f"{path}: row {number}: {start}-{end} is no place; start and end count from 1")
        e_value = _number(row["e_value"], float, path, number, "e_value") if row.get("e_value") else 0.0
        yield Annotation(row["uid"].strip(), (row["class"].strip(),), Span(start - 1, end), e_value)


def _number(text: str, kind: type[_T], path: Path, number: int, field: str) -> _T:
    try:
        return kind(text)
    except ValueError:
        raise UserError(f"{path}: row {number}: {field} is {text!r:.40}, expected a number") from None
