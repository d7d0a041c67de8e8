"""Random number generators in a file, so that a resumed run draws what an uninterrupted one would."""

import random
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from transformers.trainer_pt_utils import safe_globals


def save_random_state(checkpoint: Path, accelerator: Accelerator) -> None:
    """Write the states of this rank's Python, NumPy and torch generators, in the Trainer's layout."""
    state = {"python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        alone = accelerator.num_processes == 1  # a process that is alone uses one GPU of those it sees
        state["cuda"] = torch.cuda.get_rng_state() if alone else torch.cuda.get_rng_state_all()
    torch.save(state, _file(checkpoint, accelerator))


def load_random_state(checkpoint: Path, accelerator: Accelerator) -> None:
    """Set the generators to what :func:`save_random_state` or the Trainer wrote; only plain data is loaded."""
    with safe_globals():
        saved = torch.load(_file(checkpoint, accelerator), weights_only=True)
    random.setstate(saved["python"])
    np.random.set_state(saved["numpy"])
    torch.set_rng_state(saved["cpu"])
    if "cuda" in saved and torch.cuda.is_available():
        several = isinstance(saved["cuda"], list)
        (torch.cuda.set_rng_state_all if several else torch.cuda.set_rng_state)(saved["cuda"])


def _file(checkpoint: Path, accelerator: Accelerator) -> Path:
    rank = "" if accelerator.num_processes == 1 else f"_{accelerator.process_index}"
    return checkpoint / f"rng_state{rank}.pth"
