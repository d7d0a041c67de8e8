"""Small encoders of the true architecture, once a session."""

from pathlib import Path

import pytest

from fragmodel.embeddings.encoders import build_stand_in

# Every letter of the alphabet, letters outside it, a single residue, a long repeat and mixed lengths.
SEQUENCES = [
    "MKTAYIAKQRQISFVKSHFSRQ",
    "LAGVSERTIDPKQNFYMHWCXBUZO.-",
    "M",
    "ACDJ*acX1",
    "PPGFSPFRLLWWKD" * 9,
    "-.OZUBX",
]


@pytest.fixture(scope="session")
def encoder_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "esm2_small.pt"
    build_stand_in(path, layers=3, dim=48, heads=4, seed=7)
    return path


@pytest.fixture
def sequences() -> list[str]:
    return list(SEQUENCES)
