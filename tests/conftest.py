"""What all tests share: helper modules lie beside this file and are imported by name.

Import helpers from them, never from ``conftest``: other folders have a module of that name too.
"""

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tiny_models import TinyModels


# A busy machine is no defect: examples have no time limit.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> "TinyModels":
    """Folders of small seeded models, made once a session."""
    from tiny_models import build_tiny_models

    return build_tiny_models(tmp_path_factory.mktemp("tiny_models"))
