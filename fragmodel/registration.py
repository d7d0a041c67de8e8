"""Makes ``AutoModelForCausalLM`` know our architecture after ``import fragmodel`` alone.

transformers takes seconds to import, and most commands need none of it. So a stand-in is registered as soon as somebody
imports their auto classes, and what it stands for is imported when a folder of ours is read.
"""

import sys
from collections.abc import Sequence
from importlib import util
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from fragmodel.vocabulary import MODEL_TYPE

_AUTO = "transformers.models.auto.configuration_auto"


class OnFirstUse:
    """Stands for the configuration class."""

    @staticmethod
    def from_dict(values: dict[str, Any], **options: Any) -> Any:
        """The configuration. Its class and that of the model register themselves when they are imported."""
        from fragmodel.model.modeling import Esm2LlamaInstructConfig

        return Esm2LlamaInstructConfig.from_dict(values, **options)


def register() -> None:
    """At once where transformers' auto classes are imported already, else when they are."""
    if _AUTO in sys.modules:
        _register_in(sys.modules[_AUTO])
    else:
        sys.meta_path.insert(0, _AutoFinder())


def _register_in(auto: ModuleType) -> None:
    if MODEL_TYPE not in auto.CONFIG_MAPPING:
        auto.CONFIG_MAPPING.register(MODEL_TYPE, OnFirstUse)


class _AutoFinder(MetaPathFinder):
    """Finds the one module as the other finders do, and registers the stand-in when it has been imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _AUTO:
            return None
        sys.meta_path.remove(self)
        spec = util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                _register_in(module)

            spec.loader.exec_module = execute_and_register
        return spec
