"""What all tests share: helper modules lie beside this file and are imported by name.

Import helpers from them, never from ``conftest``: other folders have a module of that name too.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tiny_models import TinyModels


if "PYTEST_XDIST_WORKER" in os.environ:
    # One processor a worker, before torch is imported. Threads of programs that take more must not wait by turning
    # in circles, which on shared processors makes training ten times as slow.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

EXPENSIVE = {"finished", "cluster", "browser", "report"}  # session fixtures that one worker must make for all
FIRST = ("workflow", "slurm")  # the longest: what begins last ends last


@pytest.hookimpl(tryfirst=True)  # before the marks are read
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With ``--dist loadgroup`` a module is the unit of sharing out, and a folder where a run is shared."""
    for item in items:
        path = Path(item.path)
        shared = EXPENSIVE & set(getattr(item, "fixturenames", ()))
        item.add_marker(pytest.mark.xdist_group(path.parent.name if shared else path.stem))
    items.sort(key=lambda item: Path(item.path).parent.name not in FIRST)


# A busy machine is no defect: examples have no time limit.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> "TinyModels":
    """Folders of small seeded models, made once a session."""
    from tiny_models import build_tiny_models

    return build_tiny_models(tmp_path_factory.mktemp("tiny_models"))
