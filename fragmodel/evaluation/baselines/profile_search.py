"""Profile search: the hits of a profile of each training class as its places."""

from collections.abc import Iterator, Mapping, Sequence

from fragmodel.evaluation.baselines.hits import answers_from_hits
from fragmodel.evaluation.baselines.priors import Texts
from fragmodel.evaluation.references import Reference
from fragmodel.homology.profiles import ClassHit, profiles_of, search_profiles
from fragmodel.vocabulary import Span


class ProfileSearch:
    """Places of the training classes' profiles, :mod:`fragmodel.homology.profiles`."""

    def __init__(
        self,
        known: Mapping[str, Sequence[Reference]],
        asked: Mapping[str, Sequence[Reference]],
        threads: int = 1,
    ) -> None:
        """``known`` and ``asked`` are the training and the test records by task."""
        self._known, self._asked, self._threads = known, asked, threads
        self._hits: dict[str, list[ClassHit]] | None = None

    def __call__(self, known: Sequence[Reference], asked: Sequence[Reference]) -> Texts:
        """An answer for each record of ``asked``, which are among those given before."""
        if self._hits is None:
            windows = sorted({record.sequence for records in self._asked.values() for record in records})
            self._hits = search_profiles(
                profiles_of(fragments_of(self._known)), windows, threads=self._threads
            )
        found = self._hits
        return answers_from_hits(known, asked, lambda record: found.get(record.sequence, ()))


def fragments_of(known: Mapping[str, Sequence[Reference]]) -> Iterator[tuple[str, str, Span]]:
    """Class, window and place of every fragment that the records of any task name."""
    for record in (record for records in known.values() for record in records):
        groups = list(record.groups)
        if record.classes and record.position_ref:
            groups.append((record.class_name, [record.position_ref]))
        for name, spans in groups:
            for span in spans:
                yield name, record.sequence, span
