"""BERTScore (Zhang et al. 2020, https://arxiv.org/abs/1904.09675) with any local encoder.

Scores of different encoders or layers cannot be compared; report both with the number. No inverse document
frequency, no rescaling with a baseline.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from fragmodel.errors import UserError
from fragmodel.evaluation.metrics.bootstrap import Values

_BATCH = 32


class BertScore:
    """Token states of a transformers encoder in a local folder; ``layer`` as in its ``hidden_states``."""

    def __init__(self, folder: Path, layer: int = -1) -> None:
        from transformers import AutoModel, AutoTokenizer

        if not (Path(folder) / "config.json").exists():
            raise UserError(f"{folder}: no config.json; give the folder of a transformers encoder")
        self._tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        self._model = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
        ).eval()
        self._longest = self._model.config.max_position_embeddings
        self._layer = layer

    def metrics(
        self, texts: Sequence[str], references: Sequence[str], classes: Sequence[str | None] = ()
    ) -> Values:
        """``bertscore_f1`` of each pair, 0 for an empty text; ``classes`` are not used."""
        unique = sorted({*texts, *references})
        states = dict(zip(unique, self._states(unique), strict=True))
        scores = [greedy_f1(states[text], states[ref]) for text, ref in zip(texts, references, strict=True)]
        return {"bertscore_f1": np.array(scores)}

    @torch.inference_mode()
    def _states(self, texts: Sequence[str]) -> Iterator[np.ndarray]:
        """Unit vectors of the tokens of each text, without special tokens: float32 [tokens, dim]."""
        for first in range(0, len(texts), _BATCH):
            batch = self._tokenizer(
                list(texts[first : first + _BATCH]),
                return_tensors="pt",
                return_special_tokens_mask=True,
                padding=True,
                truncation=True,
                max_length=self._longest,
            )
            special = batch.pop("special_tokens_mask").bool()  # padding included
            hidden = self._model(**batch, output_hidden_states=True).hidden_states[self._layer]
            unit = torch.nn.functional.normalize(hidden.float(), dim=-1)
            for states, mask in zip(unit, special, strict=True):
                yield states[~mask].numpy()


def greedy_f1(ours: np.ndarray, theirs: np.ndarray) -> float:
    """F1 of matching each token ([tokens, dim], unit length) with its most similar one on the other side."""
    if not len(ours) or not len(theirs):
        return 0.0
    cosines = ours @ theirs.T
    precision, recall = float(cosines.max(axis=1).mean()), float(cosines.max(axis=0).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
