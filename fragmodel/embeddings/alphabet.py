"""Residue letters as ESM token ids.

The ids are those of fair-esm's ``Alphabet.from_architecture("ESM-1b")``, which all ESM-1b, ESM-1v and ESM-2
models use, and equal the vocabulary of the transformers ESM tokenizer. Every character is one token, so
residue ``i`` always sits at row ``i + 1`` (row 0 is BOS).
"""

from collections.abc import Sequence

import numpy as np
import torch

BOS = 0
PAD = 1
EOS = 2
UNKNOWN = 3
MASK = 32
VOCAB_SIZE = 33
LETTERS = "LAGVSERTIDPKQNFYMHWCXBUZO.-"  # ids 4 to 30; 31 is unused

_IDS = np.full(256, UNKNOWN, dtype=np.int64)
_IDS[np.frombuffer(LETTERS.encode("ascii"), dtype=np.uint8)] = np.arange(4, 4 + len(LETTERS))


def encode_residues(sequence: str) -> np.ndarray:
    """Token ids ``[residues]`` (int64) without BOS and EOS; unknown characters are ``UNKNOWN``."""
    return _IDS[np.frombuffer(sequence.encode("ascii", errors="replace"), dtype=np.uint8)]


def encode(sequences: Sequence[str]) -> torch.LongTensor:
    """Token ids ``[batch, longest + 2]`` with BOS before and EOS after each sequence, padded on the right."""
    longest = max((len(sequence) for sequence in sequences), default=0)
    tokens = np.full((len(sequences), longest + 2), PAD, dtype=np.int64)
    for row, sequence in zip(tokens, sequences, strict=True):
        row[0] = BOS
        row[1 : len(sequence) + 1] = encode_residues(sequence)
        row[len(sequence) + 1] = EOS
    return torch.from_numpy(tokens)


def encode_packed(sequences: Sequence[str]) -> torch.LongTensor:
    """Token ids ``[sum of residues + 2]``: the sequences one after the other, each with BOS and EOS."""
    parts = [part for sequence in sequences for part in ([BOS], encode_residues(sequence), [EOS])]
    return torch.from_numpy(np.concatenate(parts))


def attention_mask(tokens: torch.LongTensor) -> torch.LongTensor:
    """1 for tokens and 0 for padding, in the shape of ``tokens``."""
    return (tokens != PAD).long()
