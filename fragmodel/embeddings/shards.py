"""One shard of the store: a safetensors file of states and a Parquet index, written once, never changed.

``<digest>.safetensors`` holds ``states`` ``[rows, dim]``, the blocks of its sequences one after the other; for
int8 also ``scales`` ``[rows]``. ``<digest>.<index digest>.parquet`` (contract SHARD_INDEX) says which rows belong
to which sequence. Each file is named by the first 32 hex digits of the SHA-256 of its own bytes, so that writers
never meet and a flipped byte shows. The index is written last: a data file without one does not exist for
readers.
"""

import ctypes
import hashlib
import json
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch
from safetensors.torch import save_file

from fragmodel import tables
from fragmodel.errors import UserError
from fragmodel.files import name_digest, room_told, write_named

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32, "int8": torch.int8}
DATA_SUFFIX = ".safetensors"
INDEX_SUFFIX = ".parquet"
# What is written; indexes of earlier versions, without the sums, are read as well.
_INDEX = tables.SHARD_INDEX.append(pa.field("words", pa.uint64(), nullable=False))

# Python's own mmap could advise too, but it keeps a file descriptor for every shard.
_madvise = getattr(ctypes.CDLL(None), "madvise", None)
if _madvise is not None:
    _madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def check_dtype(name: str) -> torch.dtype:
    """The torch dtype of a stored dtype's name. Raises :class:`UserError` for another name."""
    if name not in DTYPES:
        raise UserError(f"stored dtype '{name}' is not known; use one of {', '.join(DTYPES)}")
    return DTYPES[name]


def bytes_per_row(dim: int, dtype: str) -> int:
    """Bytes of one stored row (a residue, BOS or EOS) of ``dim`` numbers."""
    return dim * check_dtype(dtype).itemsize + (4 if dtype == "int8" else 0)


def encode_states(states: torch.Tensor, dtype: str) -> dict[str, torch.Tensor]:
    """States ``[rows, dim]`` (any float dtype) as the tensors that are stored.

    int8 keeps each row's largest magnitude as 127: ``scale = max |x| / 127`` (float32), ``round(x / scale)``.
    """
    if dtype != "int8":
        return {"states": states.to(check_dtype(dtype))}
    states = states.float()
    scales = states.abs().amax(dim=1) / 127
    divisor = torch.where(scales > 0, scales, 1.0)
    return {"states": (states / divisor[:, None]).round().to(torch.int8), "scales": scales}


def decode_states(stored: dict[str, torch.Tensor]) -> torch.Tensor:
    """What :func:`encode_states` stored, as float32 ``[rows, dim]`` in memory of its own."""
    states = stored["states"].to(torch.float32, copy=True)
    return states.mul_(stored["scales"][:, None]) if "scales" in stored else states


def block_checksum(stored: dict[str, torch.Tensor]) -> str:
    """16 hex digits of the SHA-256 of a block's bytes (states, then scales)."""
    digest = hashlib.sha256()
    for name in ("states", "scales"):
        if name in stored:
            digest.update(stored[name].contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def word_sum(stored: dict[str, torch.Tensor]) -> int:
    """Sum of a block's 64-bit words (states, then scales; little endian), modulo 2^64.

    It differs for any change within a word, and costs one pass over the block, as fast as memory is read; a digest that
    sees exchanged words too costs no less, and :func:`block_checksum` several times as much.
    """
    total = 0
    for tensor in (stored[name] for name in ("states", "scales") if name in stored):
        size = tensor.itemsize
        if tensor.is_contiguous() and tensor.shape[-1] * size % 8 == tensor.storage_offset() * size % 8 == 0:
            # So are most; each of the steps below takes as long as the sum.
            total += tensor.view(torch.int64).sum().item()
            continue
        content = tensor.contiguous().view(torch.uint8).view(-1)
        words, rest = content.split([len(content) // 8 * 8, len(content) % 8])
        if words.storage_offset() % 8:
            words = words.clone()  # torch takes words only where they begin at a multiple of their size
        total += words.view(torch.int64).sum().item()
        total += int.from_bytes(rest.numpy().tobytes(), "little")
    return total % 2**64


@dataclass(frozen=True, slots=True)
class ShardFile:
    """A committed shard: paths of its two files."""

    data: Path
    index: Path


def write_shard(
    folder: Path, keys: Sequence[str], blocks: Sequence[dict[str, torch.Tensor]], dtype: str
) -> ShardFile:
    """Write a shard of ``blocks``, as :func:`encode_states` made them, under their ``keys``; whole or not at all.

    Raises :class:`UserError` where the file system is full.
    """
    rows, first_row = [], 0
    for key, block in zip(keys, blocks, strict=True):
        count = len(block["states"])
        sums = {"checksum": block_checksum(block), "words": word_sum(block)}
        rows.append({"key": key, "length": count - 2, "first_row": first_row, **sums})
        first_row += count
    tensors = {name: torch.cat([block[name] for block in blocks]) for name in blocks[0]}
    with room_told(folder, sum(tensor.nbytes for tensor in tensors.values())):
        data = write_named(folder, "", DATA_SUFFIX, lambda path: save_file(tensors, path))
        metadata = {"bytes": data.stat().st_size, "dtype": dtype}
        try:
            index = write_named(
                folder,
                f"{data.stem}.",
                INDEX_SUFFIX,
                lambda path: tables.write_table(path, _INDEX, rows, metadata),
            )
        except BaseException:
            data.unlink()  # nobody would find it
            raise
    return ShardFile(data, index)


def find_shards(folder: Path) -> list[ShardFile]:
    """Shards of a store folder in order of their names; an index may be damaged or miss its data file."""
    return [
        ShardFile(index.with_name(index.name.split(".")[0] + DATA_SUFFIX), index)
        for index in sorted(folder.glob(f"*.*{INDEX_SUFFIX}"))
        if not index.name.startswith(".")
    ]


def read_index(shard: ShardFile) -> pa.Table:
    """Index of a shard. Raises :class:`UserError` when the index is damaged or the data file is missing or cut.

    The index's own digest is checked; the data file's only by :func:`damage`, since that reads all of it.
    """
    if name_digest(shard.index) != shard.index.name.split(".")[1]:
        raise UserError(f"{shard.index}: damaged index (its bytes do not match its name)")
    size = shard.data.stat().st_size if shard.data.exists() else 0
    if size != tables.read_metadata(shard.index)["bytes"]:
        raise UserError(f"{shard.data}: missing or cut")
    return tables.read_table(shard.index, tables.SHARD_INDEX)


def map_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file, memory-mapped and private: all readers share one copy in the page cache.

    The format is 8 bytes of header length (little endian), a JSON header with dtype, shape and byte range of each
    tensor, then the bytes (https://github.com/huggingface/safetensors, section "Format").
    """
    content = torch.from_file(str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8)
    _advise(content, mmap.MADV_RANDOM)  # or a touched page would fetch the device's whole read-ahead
    start = 8 + int.from_bytes(content[:8].numpy().tobytes(), "little")
    header = json.loads(content[8:start].numpy().tobytes())
    kinds = {"BF16": torch.bfloat16, "F32": torch.float32, "I8": torch.int8}
    return {
        name: content[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]]
        .view(kinds[entry["dtype"]])
        .view(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def read_ahead(block: dict[str, torch.Tensor]) -> None:
    """Ask the kernel to fetch a mapped block in one request, not page by page as it is touched."""
    for tensor in block.values():
        _advise(tensor, mmap.MADV_WILLNEED)


def remove_shard(shard: ShardFile) -> None:
    """Delete a shard, its index first, so that no reader sees an index without data."""
    shard.index.unlink(missing_ok=True)
    shard.data.unlink(missing_ok=True)


def damage(shard: ShardFile) -> str | None:
    """What is wrong with a shard, as a message that names the damaged sequences' keys; None when it is whole."""
    try:
        index = read_index(shard)
    except UserError as error:
        return str(error)
    if name_digest(shard.data) == shard.data.stem:
        return None
    try:
        stored = map_tensors(shard.data)
        bad = [row["key"] for row in index.to_pylist() if not _block_is_whole(stored, row)]
    except Exception:  # the bytes decide which
        return f"{shard.data}: damaged header"
    return f"{shard.data}: damaged bytes in {len(bad)} of {len(index)} sequences {' '.join(bad[:3])}".rstrip()


def block_of(stored: dict[str, torch.Tensor], first_row: int, length: int) -> dict[str, torch.Tensor]:
    """Views of the ``length + 2`` rows of one sequence."""
    return {name: tensor[first_row : first_row + length + 2] for name, tensor in stored.items()}


def _advise(tensor: torch.Tensor, advice: int) -> None:
    if _madvise is not None:
        start = tensor.data_ptr() // mmap.PAGESIZE * mmap.PAGESIZE
        _madvise(start, tensor.data_ptr() + tensor.nbytes - start, advice)


def _block_is_whole(stored: dict[str, torch.Tensor], row: dict) -> bool:
    return block_checksum(block_of(stored, row["first_row"], row["length"])) == row["checksum"]
