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

RUNS = ("workflow", "slurm", "browser")  # folders whose tests share a run, a cluster or a browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: what begins last ends last."""
    items.sort(key=lambda item: item.path.parent.name not in RUNS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Workers take whole modules, and whole folders where a run is shared."""
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = Path(nodeid.partition("::")[0])
            return path.parent.name if path.parent.name in RUNS else str(path)

    return ByModule(config, log)


# A busy machine is no defect: examples have no time limit.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> "TinyModels":
    """Folders of small seeded models, made once a session."""
    from tiny_models import build_tiny_models

    return build_tiny_models(tmp_path_factory.mktemp("tiny_models"))
