"""What the frozen decoder makes of a text: one vector each, computed once and kept.

A store's root holds a folder for each fingerprint (decoder, layer, pooling, tokens read) with any number of
safetensors files; a tensor is named by the key of its text, and a file by digests of its keys and of its bytes (by the
former alone in earlier versions). Nothing but the text and the fingerprint decides a vector, so runs may share a store,
and a job that is started again goes on where the last file ended.
"""

import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from fragmodel.alignment.pooling import pool
from fragmodel.config.section import Pooling
from fragmodel.digests import is_checked, read_json, write_noted
from fragmodel.embeddings.encoders import resolve_layer
from fragmodel.embeddings.extract import resolve_device
from fragmodel.embeddings.progress import Progress
from fragmodel.errors import UserError
from fragmodel.files import file_digest, name_digest, room_told, text_digest, write_named, write_text
from fragmodel.model.assemble import load_decoder

TEXTS_PER_FILE = 4096  # what a killed job loses at most


class TextStore:
    """Read access to the vectors of one fingerprint; a damaged file is left out with a warning.

    Files are read and checked whole when the store is opened.
    """

    def __init__(self, root: str | Path, fingerprint: str) -> None:
        self.folder = Path(root) / fingerprint
        self._files = {}
        for path in text_files(self.folder):
            if is_checked() and (fault := damage(path)):
                warnings.warn(f"left out: {fault}", stacklevel=2)
                continue
            try:
                file = safe_open(path, framework="pt")
                self._files |= dict.fromkeys(file.keys(), file)
            except SafetensorError as error:
                warnings.warn(f"left out: {path}: damaged ({error}); delete it", stacklevel=2)

    def __contains__(self, text: str) -> bool:
        return text_digest(text) in self._files

    def get(self, texts: Sequence[str]) -> torch.Tensor:
        """Vectors ``[n, width]``, float32. Raises :class:`UserError` for a text that the store does not have."""
        return torch.stack([self._vector(text) for text in texts])

    def missing(self, texts: Iterable[str]) -> list[str]:
        """The texts that the store does not have, each once, in order of appearance."""
        return [text for text in dict.fromkeys(texts) if text not in self]

    def _vector(self, text: str) -> torch.Tensor:
        key = text_digest(text)
        if key not in self._files:
            raise UserError(
                f"{self.folder}: no vector of the text {text[:40]!r}; run the rule embed_texts again"
            )
        return self._files[key].get_tensor(key)


def embed_texts(
    texts: Iterable[str],
    *,
    decoder: Path,
    store: Path,
    layer: int | None = None,
    pooling: Pooling = "mean_std",
    segments: int = 4,
    max_text_tokens: int = 512,
    batch_size: int = 16,
    precision: str = "float32",
    device: str = "auto",
) -> str:
    """Embed the texts that the store lacks; returns the fingerprint under which it has them all.

    The decoder reads the beginning-of-sequence token (where its tokenizer has one), the text's first
    ``max_text_tokens`` tokens and the end-of-turn token. All but the first are pooled (:func:`pool`): decoders keep a
    state of its own kind and of far larger size there, whatever the text. ``layer`` counts as in the encoder: 0 is the
    token embeddings, the last comes after its norm; None is the middle one. Raises :class:`UserError` for a layer
    that the decoder does not have.
    """
    layers = read_json(decoder / "config.json")["num_hidden_layers"]
    layer = layers // 2 if layer is None else resolve_layer(layers, layer)
    fingerprint = text_fingerprint(decoder, layer, pooling, segments, max_text_tokens)
    folder = store / fingerprint
    missing = TextStore(store, fingerprint).missing(texts)
    if not missing:
        return fingerprint
    about = {"decoder": str(decoder), "layer": layer, "pooling": pooling, "max_text_tokens": max_text_tokens}
    write_text(folder / "texts.json", json.dumps(about, indent=2))
    model, tokenizer = load_decoder(decoder, getattr(torch, precision))
    readout = Readout(model, tokenizer, layer, max_text_tokens, resolve_device(device))
    progress = Progress("texts", total=len(missing), unit="texts")
    for start in range(0, len(missing), TEXTS_PER_FILE):
        vectors: dict[str, torch.Tensor] = {}
        for batch in _batches(missing[start : start + TEXTS_PER_FILE], batch_size):
            states, mask = readout(batch)
            pooled = pool(states, mask, pooling, segments).cpu()
            vectors |= {text_digest(text): row.clone() for text, row in zip(batch, pooled, strict=True)}
            progress.add(len(batch))
        with room_told(folder, sum(vector.nbytes for vector in vectors.values())):
            write_named(
                folder, f"{text_digest(*sorted(vectors))}.", ".safetensors", partial(save_file, vectors)
            )
    progress.finish()
    return fingerprint


def text_files(folder: Path) -> list[Path]:
    """The files of one fingerprint."""
    return sorted(folder.glob("*.safetensors"))


def damage(path: Path) -> str | None:
    """What is wrong with a file of vectors; None when it is whole, or of an earlier version without a digest."""
    if not path.is_file():
        return f"{path}: missing"
    digest = path.name.split(".")[1]
    return None if digest in ("safetensors", name_digest(path)) else f"{path}: damaged"


def write_manifest(manifest: Path, store: Path, fingerprint: str) -> None:
    """Note which files the fingerprint has."""
    names = [path.name for path in text_files(store / fingerprint)]
    write_noted(manifest, json.dumps({"fingerprint": fingerprint, "files": names}))


def fingerprint_in(manifest: Path, store: Path) -> str:
    """The fingerprint that the rule embed_texts noted in its manifest.

    Raises :class:`UserError` where a file that the manifest names is damaged or gone. It and the manifest are removed
    then: the next run of the workflow embeds the texts that are missing, nothing else.
    """
    noted = read_json(manifest)
    files = [store / noted["fingerprint"] / name for name in noted.get("files", ())]
    if is_checked() and (faults := {path: fault for path in files if (fault := damage(path))}):
        for path in (*faults, manifest):
            path.unlink(missing_ok=True)
        raise UserError(
            f"{'; '.join(faults.values())}: removed with {manifest}; start again, the workflow embeds these texts alone"
        )
    return noted["fingerprint"]


def text_fingerprint(decoder: Path, layer: int, pooling: Pooling, segments: int, max_text_tokens: int) -> str:
    """32 hex digits that name the vectors: digests of the decoder's weights and tokenizer, and what is read off."""
    files = [*sorted(decoder.glob("*.safetensors")), *sorted(decoder.glob("tokenizer*"))]
    parts = str(segments) if pooling == "segment_means" else ""
    return text_digest(*map(file_digest, files), str(layer), pooling, parts, str(max_text_tokens))


class Readout:
    """States of one decoder layer for texts; the layers above it are dropped."""

    def __init__(
        self,
        model: LlamaForCausalLM,
        tokenizer: PreTrainedTokenizerBase,
        layer: int,
        max_text_tokens: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.tokenizer, self.max_text_tokens, self.device = tokenizer, max_text_tokens, device
        body = model.model
        if layer < len(body.layers):
            body.layers, body.norm = body.layers[:layer], nn.Identity()
        self.body = body.eval().requires_grad_(False).to(device)

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """States ``[n, tokens, dim]`` and a mask ``[n, tokens]`` (bool) of those that stand for the text."""
        first = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        rows = [torch.tensor([*first, *self._ids(text)]) for text in texts]
        ids = pad_sequence(rows, batch_first=True).to(self.device)
        mask = pad_sequence([torch.ones(len(row), dtype=torch.bool) for row in rows], batch_first=True)
        mask = mask.to(self.device)
        states = self.body(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        return states[:, len(first) :], mask[:, len(first) :]

    def _ids(self, text: str) -> list[int]:
        ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [*ids[: self.max_text_tokens], self.tokenizer.eos_token_id]


def _batches(texts: Sequence[str], size: int) -> Iterator[list[str]]:
    """Texts of like length together, the longest first: what does not fit into memory fails at once."""
    ordered = sorted(texts, key=lambda text: (-len(text), text))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]
