"""From tables of sequences to stored states: unique windows, and the jobs that embed them."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import torch
from transformers import PretrainedConfig

from fragmodel import tables
from fragmodel.embeddings import alphabet
from fragmodel.embeddings.encoders import (
    fingerprint,
    open_encoder,
    prepare_encoder,
    resolve_layer,
    weights_digest,
)
from fragmodel.embeddings.forward import PackedEncoder, encoder_pass
from fragmodel.embeddings.maintenance import hand_on
from fragmodel.embeddings.padded import PaddedEncoder
from fragmodel.embeddings.progress import Progress
from fragmodel.embeddings.shards import bytes_per_row, check_dtype, encode_states, remove_shard, write_shard
from fragmodel.embeddings.store import EmbeddingStore, describe, sequence_key, write_description
from fragmodel.errors import UserError
from fragmodel.files import file_digest
from fragmodel.versions import EMBEDDING, versions_of

SHARD_BYTES = 128 * 2**20  # of states in a shard: what a killed job loses at most
COMPUTE_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class EmbedSummary:
    """What an embedding job did."""

    fingerprint: str
    requested: int  # unique sequences that were asked for
    embedded: int  # of these, the ones that were not in the store before
    residues: int  # residues of the embedded sequences
    seconds: float  # wall time of the forward passes and the writing, loading left out


def collect_windows(records: Sequence[Path], output: Path) -> int:
    """Write the unique sequences of RECORDS files as a WINDOWS table sorted by key; returns their number.

    Files are streamed; only the unique sequences are held in memory.
    """
    windows: dict[str, str] = {}
    for path in records:
        for sequence in tables.iter_column(path, tables.RECORDS, "sequence"):
            windows.setdefault(sequence_key(sequence), sequence)
    rows = ({"key": key, "sequence": windows[key], "length": len(windows[key])} for key in sorted(windows))
    inputs = sorted(map(file_digest, records))
    return tables.write_table(output, tables.WINDOWS, rows, {"inputs": inputs})


def embed_windows(
    windows: Path,
    *,
    encoder: str | Path,
    store: Path,
    manifest: Path,
    states: Path | None = None,
    shard: int = 0,
    shards: int = 1,
    dtype: str = "bfloat16",
    layer: int = -1,
    compute_dtype: str = "float32",
    device: str = "auto",
    tokens_per_batch: int = 0,
) -> EmbedSummary:
    """Embed the windows that fall to job ``shard`` of ``shards`` and write where their states lie.

    Windows are dealt by key, so that the jobs of one run share none. Only what the store lacks is computed; a job
    that is started again goes on where the last whole shard file ended. ``manifest`` (contract EMBEDDED) has a row
    for each of the job's windows, sorted by key. ``states`` becomes a store of the shard files that hold them, for jobs
    that do not see ``store``. Raises :class:`UserError` as :func:`embed_sequences` does.
    """
    if not 0 <= shard < shards:
        raise UserError(f"shard {shard} of {shards} does not exist: shards count from 0")
    mine = {}
    for row in tables.read_rows(windows, tables.WINDOWS):
        if row["key"] != sequence_key(row["sequence"]):
            raise UserError(
                f"{windows}: the key {row['key']} is not that of its sequence; make the table anew"
            )
        if int(row["key"], 16) % shards == shard:
            mine[row["key"]] = row["sequence"]
    summary = embed_sequences(
        mine.values(),
        encoder=encoder,
        store=store,
        dtype=dtype,
        layer=layer,
        compute_dtype=compute_dtype,
        device=device,
        tokens_per_batch=tokens_per_batch,
    )
    filled = EmbeddingStore(store, summary.fingerprint)
    if states is not None:
        hand_on(filled, mine.values(), states)
    rows = (
        {"key": key, "fingerprint": summary.fingerprint, **filled.place(mine[key])._asdict()}
        for key in sorted(mine)
    )
    about = {"inputs": [file_digest(windows)], "shard": shard, "shards": shards}
    about["environment"] = versions_of(EMBEDDING)
    tables.write_table(manifest, tables.EMBEDDED, rows, about)
    return summary


def embed_sequences(
    sequences: Iterable[str],
    *,
    encoder: str | Path,
    store: Path,
    dtype: str = "bfloat16",
    layer: int = -1,
    compute_dtype: str = "float32",
    device: str = "auto",
    tokens_per_batch: int = 0,
    shard_bytes: int = SHARD_BYTES,
) -> EmbedSummary:
    """Embed the sequences that the store lacks; progress goes to standard error.

    ``dtype`` is the stored and ``compute_dtype`` the forward pass's number format. ``tokens_per_batch`` bounds the
    rows (residues, BOS and EOS) of one forward pass (0: 4096 on a CPU, 16384 on a GPU); a longer sequence is passed
    alone. Raises :class:`UserError` for an unknown dtype, layer or device, an encoder that does not load, or a
    sequence that it cannot take.
    """
    check_dtype(dtype)
    if compute_dtype not in COMPUTE_DTYPES:
        raise UserError(
            f"compute dtype '{compute_dtype}' is not known; use one of {', '.join(COMPUTE_DTYPES)}"
        )
    requested = list(dict.fromkeys(sequences))
    opened = open_encoder(encoder)
    weights, config = weights_digest(opened), opened.config
    layer = resolve_layer(config.num_hidden_layers, layer)
    name = fingerprint(weights, layer, dtype)
    folder = Path(store) / name
    write_description(
        folder,
        describe(
            name,
            encoder=Path(encoder).name,
            weights=weights,
            layer=layer,
            dtype=dtype,
            dim=config.hidden_size,
        ),
    )
    held = EmbeddingStore(store, name)
    missing = held.missing(requested)
    for shard in held.damaged:
        remove_shard(shard)  # its sequences are embedded again, and nobody is warned of it any more
    seconds = 0.0
    if missing:
        check_lengths(missing, config)
        place = resolve_device(device)
        model = prepare_encoder(opened, dtype=COMPUTE_DTYPES[compute_dtype], device=place)
        # Twice as many leave a CPU's caches: up to a sixth slower.
        tokens = tokens_per_batch or (4096 if place.type == "cpu" else 16_384)
        rows = shard_bytes // bytes_per_row(config.hidden_size, dtype)
        started = monotonic()
        _embed(missing, encoder_pass(model, layer), folder, dtype, tokens, rows)
        seconds = monotonic() - started
    residues = sum(map(len, missing))
    return EmbedSummary(name, len(requested), len(missing), residues, seconds)


def batches_by_length(sequences: Iterable[str], rows: int) -> Iterator[list[str]]:
    """Cut ``sequences`` in their order into runs of at most ``rows`` rows (residues + 2 each), at least one each."""
    batch: list[str] = []
    used = 0
    for sequence in sequences:
        if batch and used + len(sequence) + 2 > rows:
            yield batch
            batch, used = [], 0
        batch.append(sequence)
        used += len(sequence) + 2
    if batch:
        yield batch


def _embed(
    sequences: list[str],
    model: PackedEncoder | PaddedEncoder,
    folder: Path,
    dtype: str,
    tokens: int,
    shard_rows: int,
) -> None:
    """Forward passes in this thread; conversion, checksums and writing of a finished shard in another."""
    # Longest first: what does not fit into memory fails at once. The key makes the order one for all runs.
    ordered = sorted(sequences, key=lambda sequence: (-len(sequence), sequence_key(sequence)))
    progress = Progress("embed", total=sum(map(len, ordered)), unit="residues")
    writing: Future | None = None
    with ThreadPoolExecutor(max_workers=1) as writer:
        for planned in batches_by_length(ordered, shard_rows):
            blocks = []
            for batch in batches_by_length(planned, tokens):
                blocks += [encode_states(states.cpu(), dtype) for states in model(batch)]
                progress.add(sum(map(len, batch)))
            if writing is not None:
                writing.result()  # at most one shard waits; an error of the last one ends the job here
            writing = writer.submit(write_shard, folder, [*map(sequence_key, planned)], blocks, dtype)
        if writing is not None:
            writing.result()
    progress.finish()


def check_lengths(sequences: Iterable[str], config: PretrainedConfig) -> None:
    """Raise :class:`UserError` for a sequence that is longer than the encoder's learned positions reach."""
    if getattr(config, "position_embedding_type", None) != "absolute":
        return  # rotary positions and T5's distances have no end
    limit = config.max_position_embeddings - alphabet.PAD - 1 - 2  # positions count from PAD + 1; BOS and EOS
    longest = max(map(len, sequences))
    if longest > limit:
        raise UserError(
            f"a sequence has {longest} residues, but the encoder takes {limit} at most; "
            f"set ingest.max_sequence_length to {limit} or less"
        )


def resolve_device(name: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:N` names. Raises :class:`UserError` where it is not usable."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device '{name}' is not known; use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device '{name}': this machine has no usable CUDA device; use --device cpu")
    return device
