"""A damaged store is noticed by whoever reads it, and what it lost is embedded again, alone."""

import pickle
import random
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny_models import TinyModels
from torch.utils.data import DataLoader, Dataset
from toy_store import make_store

from fragmodel import tables
from fragmodel.embeddings import shards
from fragmodel.embeddings.extract import embed_windows
from fragmodel.embeddings.manifest import embedded
from fragmodel.embeddings.shards import encode_states, find_shards, remove_shard, word_sum, write_shard
from fragmodel.embeddings.store import DamagedEmbeddingError, EmbeddingStore, sequence_key
from fragmodel.errors import UserError

FOLDER = "f" * 32
PROTEINS = {"MKTAYIAKQR": 1, "AC": 2, "WYVHG": 3}


def flip(path: Path, place: int, mask: int = 1) -> bytes:
    """Change a byte of a file; returns the content before."""
    content = path.read_bytes()
    damaged = bytearray(content)
    damaged[place] ^= mask
    path.write_bytes(damaged)
    return content


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_the_sum_is_that_of_the_blocks_words(dtype: str) -> None:
    for rows, dim in ((3, 5), (4, 8), (2, 1)):
        block = encode_states(torch.randn(rows, dim, generator=torch.Generator().manual_seed(0)), dtype)
        expected = 0
        for name in ("states", "scales"):
            content = block[name].view(torch.uint8).numpy().tobytes() if name in block else b""
            expected += sum(int.from_bytes(content[i : i + 8], "little") for i in range(0, len(content), 8))
        assert word_sum(block) == expected % 2**64


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_a_flipped_bit_is_noticed_at_the_first_read(tmp_path: Path, dtype: str) -> None:
    make_store(tmp_path, PROTEINS, dtype)
    store = EmbeddingStore(tmp_path)
    expected = {sequence: store.get(sequence) for sequence in PROTEINS}
    (shard,) = find_shards(tmp_path / FOLDER)
    index = shard.index.read_bytes()
    noticed = 0
    draw = random.Random(0)
    size = shard.data.stat().st_size
    for place in [0, 7, 8, *draw.sample(range(size), 80)]:
        content = flip(shard.data, place, 1 << draw.randrange(8))
        store = EmbeddingStore(tmp_path)
        try:
            assert all(torch.equal(store.get(sequence), expected[sequence]) for sequence in PROTEINS), place
        except DamagedEmbeddingError as error:
            noticed += 1
            assert str(shard.data) in str(error) and "it was removed" in str(error) and "\n" not in str(error)
            assert not shard.data.exists() and not shard.index.exists()
        shard.data.write_bytes(content)
        shard.index.write_bytes(index)
    assert noticed > 50


def test_a_block_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fragmodel.embeddings import store as module

    make_store(tmp_path, PROTEINS)
    sums: list[int] = []
    monkeypatch.setattr(module, "word_sum", lambda block: sums.append(word_sum(block)) or sums[-1])
    store = EmbeddingStore(tmp_path)
    for _ in range(3):
        store.view("AC")
    assert len(sums) == 1
    monkeypatch.setenv("FRAGMODEL_VERIFY", "no")
    EmbeddingStore(tmp_path).view("AC")
    assert len(sums) == 1


def test_a_store_of_an_earlier_version_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_INDEX", tables.SHARD_INDEX)
    keep = tables.write_table

    def without_sums(path: Path, schema: object, rows: list[dict], metadata: dict) -> int:
        return keep(
            path,
            tables.SHARD_INDEX,
            [{k: v for k, v in row.items() if k != "words"} for row in rows],
            metadata,
        )

    monkeypatch.setattr(tables, "write_table", without_sums)
    states = make_store(tmp_path, PROTEINS)
    assert "words" not in shards.read_index(find_shards(tmp_path / FOLDER)[0]).column_names
    monkeypatch.undo()
    write_shard(tmp_path / FOLDER, [sequence_key("MM")], [encode_states(states["AC"], "float32")], "float32")
    store = EmbeddingStore(tmp_path)
    assert all(torch.equal(store.get(sequence), block) for sequence, block in states.items())
    assert torch.equal(store.get("MM"), states["AC"])


def test_the_message_stays_a_line_on_its_way_from_a_loader(tmp_path: Path) -> None:
    make_store(tmp_path, PROTEINS)
    (shard,) = find_shards(tmp_path / FOLDER)
    flip(shard.data, shard.data.stat().st_size - 1)

    class States(Dataset):
        store = EmbeddingStore(tmp_path)

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> torch.Tensor:
            return self.store.view("WYVHG")

    with pytest.raises(DamagedEmbeddingError) as caught:
        next(iter(DataLoader(States(), num_workers=1)))
    assert str(caught.value).startswith(str(shard.data)) and "\n" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.fixture(scope="module")
def encoded(tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a table of windows, and the encoder's path in a link."""
    folder = tmp_path_factory.mktemp("windows")
    rows = [{"key": sequence_key(s), "sequence": s, "length": len(s)} for s in PROTEINS]
    tables.write_table(folder / "windows.parquet", tables.WINDOWS, sorted(rows, key=lambda row: row["key"]))
    (folder / "encoder").symlink_to(tiny.encoder)
    yield folder


@pytest.mark.parametrize(
    "damage", ["index", "index lost", "data", "data cut", "data lost", "header", "description"]
)
def test_what_is_lost_is_embedded_again_by_the_next_run(encoded: Path, tmp_path: Path, damage: str) -> None:
    manifest, store = tmp_path / "manifest.parquet", tmp_path / "store"

    def embed(windows: Path) -> int:
        about = {"encoder": encoded / "encoder", "store": store, "shard": 0, "shards": 1}
        return embed_windows(windows, manifest=manifest, **about).embedded

    # Two shards, of which one is to be damaged.
    first = tmp_path / "first.parquet"
    rows = [
        row for row in tables.read_rows(encoded / "windows.parquet", tables.WINDOWS) if row["length"] == 2
    ]
    tables.write_table(first, tables.WINDOWS, rows)
    assert embed(first) == 1
    (shard,) = find_shards(next(store.iterdir()))
    assert embed(encoded / "windows.parquet") == 2
    expected = {sequence: EmbeddingStore(store).get(sequence) for sequence in PROTEINS}
    promised = tables.read_rows(manifest, tables.EMBEDDED)

    if damage.endswith("lost"):
        (shard.index if "index" in damage else shard.data).unlink()
    elif damage == "data cut":
        shard.data.write_bytes(shard.data.read_bytes()[:-3])
    else:
        place = {"data": -1, "header": 12}.get(damage, 100)
        flip(
            {"index": shard.index, "description": shard.data.parent / "store.json"}.get(damage, shard.data),
            place,
        )

    def job() -> None:
        with warnings.catch_warnings(action="ignore"), embedded([manifest], store) as fingerprint:
            opened = EmbeddingStore(store, fingerprint)
            assert all(torch.equal(opened.get(sequence), expected[sequence]) for sequence in PROTEINS)

    with pytest.raises(UserError, match="start again, the workflow embeds these alone") as caught:
        job()
    assert str(manifest) in str(caught.value) and "\n" not in str(caught.value)
    assert not manifest.exists()
    with warnings.catch_warnings(action="ignore"):
        assert embed(encoded / "windows.parquet") == (0 if damage == "description" else 1)
    assert tables.read_rows(manifest, tables.EMBEDDED) == promised
    with warnings.catch_warnings(action="error"):
        job()


def test_other_failures_leave_the_manifests(tmp_path: Path) -> None:
    make_store(tmp_path / "store", PROTEINS)
    manifest = tmp_path / "manifest.parquet"
    rows = [
        {
            "key": sequence_key(s),
            "fingerprint": FOLDER,
            **EmbeddingStore(tmp_path / "store").place(s)._asdict(),
        }
        for s in PROTEINS
    ]
    tables.write_table(manifest, tables.EMBEDDED, rows)
    with pytest.raises(ZeroDivisionError), embedded([manifest], tmp_path / "store") as fingerprint:
        raise ZeroDivisionError(fingerprint)
    assert manifest.exists()
    (shard,) = find_shards(tmp_path / "store" / FOLDER)
    remove_shard(shard)
    with embedded([], None) as fingerprint:
        assert fingerprint is None
