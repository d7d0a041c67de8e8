"""Language models that describe, classify and find fragments of proteins.

The names below are imported on first use, so that a command which needs none of torch or transformers starts
at once.
"""

import logging
from importlib import import_module
from typing import Any

from fragmodel.registration import register

_EXPORTS = {
    "EmbeddingStore": "fragmodel.embeddings.store",
    "Esm2LlamaInstructConfig": "fragmodel.model.configuration",
    "Esm2LlamaInstructForCausalLM": "fragmodel.model.modeling",
    "ModalityAdapter": "fragmodel.model.modality_adapter",
    "FragmentAdapter": "fragmodel.model.fragment_adapter",
    "FragRefDataset": "fragmodel.batching.dataset",
    "FragDataCollator": "fragmodel.batching.collator",
    "FragModel": "fragmodel.prediction.model",
}
__all__ = list(_EXPORTS)

# bitsandbytes, which peft imports, warns on some CPUs that it lacks a kernel for 4-bit weights. It is not used here.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

register()


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'fragmodel' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
