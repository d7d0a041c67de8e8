"""Versions of the packages that decide a stage's numbers: recorded in what the stage makes."""

import os
import platform
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ENVIRONMENT_FILE = (
    "environment.json"  # in a folder of trained weights: an entry for each environment that took part
)
HARDWARE = "hardware"  # beside the packages in such an entry: the machine
MMSEQS = "mmseqs2"  # no Python package: asked itself

SEARCH = (MMSEQS, "biopython")  # splits and audit
EMBEDDING = ("torch", "transformers", "fair-esm")
TRAINING = ("torch", "transformers", "peft", "accelerate")
ANSWERS = ("torch", "transformers", "peft")
EVIDENCE = (*SEARCH, "pyhmmer")
BASELINES = (MMSEQS, "biopython", "torch", "scikit-learn", "pyhmmer")
CALIBRATION = ("scikit-learn",)
SCORES = ("scikit-learn", "sacrebleu", "rouge-score", "torch")


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """The installed version of each package; "none" where one is not installed."""
    return {name: _mmseqs() if name == MMSEQS else _python_package(name) for name in packages}


def hardware() -> str:
    """This machine in words: processors that this process may use, and GPUs."""
    words = [f"{len(os.sched_getaffinity(0))} cores of {_processor()}"]
    if shutil.which("nvidia-smi"):
        asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        found = subprocess.run(asked, capture_output=True, text=True, check=False)
        names = Counter(found.stdout.splitlines() if found.returncode == 0 else ())
        words += [f"{count} × {name.strip()}" for name, count in names.items()]
    return ", ".join(words)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


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
