"""What becomes of a raw record in a task: records, or rejects with reasons."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from fragmodel.data import conversations
from fragmodel.data.negatives import NegativeMaker
from fragmodel.data.records import Conversation, Fault, Protein
from fragmodel.data.tasks import Made, Settings, make_records
from fragmodel.data.validate import check, refuse
from fragmodel.files import text_digest
from fragmodel.tables import Record, Reject


class Outcomes:
    """What becomes of each fragment of the raw records of a data set, for one task.

    It knows the records that came before: ids that come again, and proteins with two sequences.
    """

    def __init__(self, settings: Settings, negatives: NegativeMaker | None = None) -> None:
        self._settings = settings
        self._negatives = negatives
        self._ids: set[str] = set()
        self._sequences: dict[str, str] = {}  # uid → digest of its sequence

    def of(self, raw: Protein | Conversation, source: str, scope: str) -> Iterator[Made | Reject]:
        """Records made of ``raw``, and rejects that name ``source`` as its file, which is of the ``scope``.

        Of one fragment's windows those that came before are left out; it is a duplicate where all of them did.
        """
        if isinstance(raw, Conversation):
            outcomes: Iterable[Made | Fault] = _from_conversation(raw, self._settings)
        else:
            outcomes = self._from_protein(raw, scope)
        for outcome in outcomes:
            faults: list[Fault] = []
            if isinstance(outcome, Fault):
                faults = [outcome]
            elif new := [record for record in outcome.records if record.record_id not in self._ids]:
                self._ids.update(record.record_id for record in new)
                yield outcome._replace(records=new)
            elif outcome.fragments:
                text = "the same record came before in these files; this one is left out"
                faults = [fault._replace(reason="duplicate", detail=text) for fault in outcome.fragments]
            for fault in faults:
                number = fault.record or raw.record
                yield Reject(source, number, raw.uid or None, fault.fragment, fault.reason, fault.detail)

    def _from_protein(self, raw: Protein, scope: str) -> Iterator[Made | Fault]:
        settings, negatives = self._settings, self._negatives
        protein, faults = check(_without_fragments(raw) if settings.task == "function" else raw)
        if (
            protein.uid
            and protein.sequence
            and not (faults and not protein.fragments and not protein.function)
        ):
            digest = text_digest(protein.sequence, size=8)
            if self._sequences.setdefault(protein.uid, digest) != digest:
                text = "the same uid came before with another sequence; give each sequence its own accession"
                yield from faults
                yield from refuse(protein, "uid_conflict", text)
                return
        if negatives and settings.task == "grounding_group":
            made = negatives.without_any(protein, faults, settings)
            if made:
                yield made
            if made and not protein.fragments:
                return
        yield from faults
        if protein.fragments or protein.function or not faults:
            records: list[Record] = []
            for outcome in make_records(protein, settings):
                records += outcome.records if isinstance(outcome, Made) else []
                yield outcome
            if negatives and settings.task == "grounding_single":
                yield from negatives.beside(protein, faults, scope, records, settings)


def _from_conversation(raw: Conversation, settings: Settings) -> Sequence[Made | Fault]:
    made = conversations.make_record(raw, settings)
    return [made] if isinstance(made, Made) else made


def _without_fragments(raw: Protein) -> Protein:
    """The protein alone; of its faults the first, if the reader refused the whole protein for it."""
    faults = () if raw.sequence else tuple(fault._replace(fragment=None) for fault in raw.faults[:1])
    return replace(raw, fragments=[], faults=faults)
