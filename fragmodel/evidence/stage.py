"""Records in, the same records with evidence in their questions out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fragmodel.data.grammar import read_groups
from fragmodel.evidence.agreement import agreeing
from fragmodel.evidence.block import pointer, with_evidence
from fragmodel.evidence.find import Line, Question
from fragmodel.evidence.library import read_library, write_library
from fragmodel.evidence.splits import EvidenceSearch
from fragmodel.evidence.transfer import Asked
from fragmodel.files import file_digest
from fragmodel.homology.search import tool
from fragmodel.tables import EVIDENCE, RECORDS, Record, iter_columns, open_writer, read_metadata, write_table


@dataclass(frozen=True, slots=True)
class Tables:
    """A table of records of a split, and where it is written with evidence."""

    split: str
    records: Path
    questions: Path


def add_evidence(
    tables: Sequence[Tables],
    *,
    lines: Path,
    relatives: Path,
    kind_of: Callable[[str], str],
    max_lines: int = 3,
    max_e_value: float = 1.0,
    profiles: bool = False,
    pointers: bool = False,
    threads: int = 1,
) -> dict[str, tuple[int, int]]:
    """Write each table anew with evidence in its questions.

    Evidence comes from the training records alone, for all splits; what those may hear themselves is told by
    :class:`~fragmodel.evidence.splits.EvidenceSearch`.

    Args:
        tables: the records of all splits.
        lines: every line of evidence, as a table EVIDENCE.
        relatives: what evidence is found in, as a table RELATIVES.
        kind_of: the kind of fragments of a data set's name.
        max_lines: different suggestions that a question shows at most.
        max_e_value: relatives that are less certain are left out.
        profiles: whether profiles of the training fragments add a line.
        pointers: whether answers of training and validation that agree with a line point to it.
        threads: threads of MMseqs2.

    Returns the questions and those with evidence, by split. Bytes are deterministic.
    """
    library = read_library([each.records for each in tables if each.split == "train"], kind_of)
    limits = {"max_lines": max_lines, "max_e_value": max_e_value, "profiles": profiles}
    about: dict[str, Any] = {
        "tool": tool(),
        **limits,
        "pointers": pointers,
        "records_sha256": [file_digest(each.records) for each in tables],
    }
    write_library(relatives, library, about)
    counts: dict[str, tuple[int, int]] = {}
    evidence = EvidenceSearch(library, **limits, threads=threads)
    search = {"valid": evidence.of_validation, "test": evidence.about, "train": evidence.of_training}
    with open_writer(lines, EVIDENCE, about) as writer:
        for split in search:
            of_split = [each for each in tables if each.split == split]
            records = [_read(each.records) for each in of_split]
            questions = [question_of(record, kind_of) for some in records for record in some]
            said = search[split](questions)
            counts[split] = (len(questions), sum(map(bool, said)))
            told = iter(said)
            for each, rows in zip(of_split, records, strict=True):
                of_table = [(record, next(told)) for record in rows]
                point = pointers and split in ("train", "valid")
                changed = (_with_lines(record, some, point)._asdict() for record, some in of_table)
                write_table(
                    each.questions, RECORDS, changed, {**read_metadata(each.records), "evidence": about}
                )
                for record, some in of_table:
                    for row in _rows(record, split, some):
                        writer.write(row)
    return counts


def question_of(record: Record, kind_of: Callable[[str], str]) -> Question:
    """What a record asks."""
    name = ""
    if record.task_type == "grounding_single":
        name = record.classes[0] if record.classes else (read_groups(record.answer) or [("", [])])[0][0]
    asked = Asked(record.task_type, kind_of(record.data_name), name, record.position_ref)
    return Question(record.uid, record.sequence, asked)


def _read(path: Path) -> list[Record]:
    return [Record._make(row) for row in iter_columns(path, RECORDS, Record._fields)]


def _with_lines(record: Record, lines: Sequence[Line], point: bool) -> Record:
    number = agreeing(record, lines) if point else None
    return record._replace(
        conversation=with_evidence(record.conversation, lines),
        answer=pointer(number) if number else record.answer,
    )


def _rows(record: Record, split: str, lines: Sequence[Line]) -> Iterator[dict[str, Any]]:
    for rank, line in enumerate(lines, start=1):
        yield {
            "record_id": record.record_id,
            "data_name": record.data_name,
            "task_type": record.task_type,
            "split": split,
            "rank": rank,
            "uid": line.uid,
            "identity": line.identity,
            "coverage": line.coverage,
            "e_value": line.e_value,
            "text": line.text,
            "classes": [known.class_name for known in line.fragments],
            "spans": [list(known.span) for known in line.fragments],
            "overlap": line.overlap,
        }
