"""Identifiers of the classes that a model names, such as InterPro accessions."""

from collections.abc import Mapping, Sequence

from fragmodel.evaluation.parse import normalise
from fragmodel.model.answer_forms import Forms


class ClassIds:
    """The identifiers that the training records state; none for a class that they do not know."""

    def __init__(self, forms: Forms, data_names: Mapping[str, Sequence[str]]) -> None:
        """``data_names`` are the data sets of each family; one that is not among them has the classes of all."""
        self._data_names = data_names
        self._known = {
            data_name: {normalise(name): ids for name, ids in form.get("ids", {}).items()}
            for data_name, form in forms.items()
        }

    def of(self, class_name: str, family: str) -> tuple[str, ...]:
        """In alphabetical order; names are compared as in scoring."""
        name = normalise(class_name)
        among = self._data_names.get(family, self._known)
        return tuple(sorted({i for each in among for i in self._known.get(each, {}).get(name, ())}))
