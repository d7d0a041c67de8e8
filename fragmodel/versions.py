"""Versions of the packages that decide a stage's numbers: recorded in what the stage makes."""

import shutil
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

ENVIRONMENT_FILE = (
    "environment.json"  # in a folder of trained weights: an entry for each environment that took part
)
MMSEQS = "mmseqs2"  # no Python package: asked itself

SEARCH = (MMSEQS, "biopython")  # splits and audit
EMBEDDING = ("torch", "transformers", "fair-esm")
TRAINING = ("torch", "transformers", "peft", "accelerate")
ANSWERS = ("torch", "transformers", "peft")
BASELINES = (MMSEQS, "biopython", "torch", "scikit-learn", "pyhmmer")
CALIBRATION = ("scikit-learn",)
SCORES = ("scikit-learn", "sacrebleu", "rouge-score", "torch")


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """The installed version of each package; "none" where one is not installed."""
    return {name: _mmseqs() if name == MMSEQS else _python_package(name) for name in packages}


def _python_package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _mmseqs() -> str:
    if not shutil.which("mmseqs"):
        return "none"
    asked = subprocess.run(["mmseqs", "version"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"
