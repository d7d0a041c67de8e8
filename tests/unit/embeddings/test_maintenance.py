import random
import shutil

import pytest
from toy_store import make_store

from fragmodel.embeddings.maintenance import (
    collect_garbage,
    hand_on,
    remove_fingerprint,
    store_stats,
    verify,
)
from fragmodel.embeddings.shards import find_shards, remove_shard
from fragmodel.embeddings.store import EmbeddingStore, sequence_key
from fragmodel.errors import UserError

FOLDER = "f" * 32


def test_verify_finds_every_flipped_bit_tried(tmp_path) -> None:
    make_store(tmp_path, {"MKTAYIAKQR": 1, "AC": 2}, "int8")
    assert list(verify(tmp_path)) == []
    draw = random.Random(0)
    for path in sorted((tmp_path / FOLDER).iterdir()):
        original = path.read_bytes()
        places = {0, 7, 9, len(original) - 1, *(draw.randrange(len(original)) for _ in range(60))}
        for place in places:
            content = bytearray(original)
            content[place] ^= 1 << draw.randrange(8)
            path.write_bytes(content)
            assert len(list(verify(tmp_path))) == 1, (path, place)
        path.write_bytes(original)
    assert list(verify(tmp_path)) == []


def test_verify_names_the_damaged_sequence(tmp_path) -> None:
    make_store(tmp_path, {"MK": 1, "ACDEF": 2})
    (shard,) = find_shards(tmp_path / FOLDER)
    content = bytearray(shard.data.read_bytes())
    content[-1] ^= 1
    shard.data.write_bytes(content)
    ((_, message, found),) = verify(tmp_path)
    assert found == shard
    assert message.endswith(f"damaged bytes in 1 of 2 sequences {sequence_key('ACDEF')}")
    remove_shard(found)
    assert list(verify(tmp_path)) == [] and len(EmbeddingStore(tmp_path)) == 0


def test_garbage_is_leftovers_and_doubles(tmp_path) -> None:
    folder = tmp_path / FOLDER
    make_store(tmp_path, {"MK": 1, "A": 2})
    kept = make_store(tmp_path, {"MK": 1, "A": 2, "C": 3})
    make_store(tmp_path, {"WW": 4})
    orphan = find_shards(folder)
    lost = next(shard for shard in orphan if "WW" in _sequences(shard, ["WW"]))
    lost.index.unlink()
    (folder / ".killed.part").write_bytes(b"half")
    assert collect_garbage(tmp_path, older_than=3600) and (folder / ".killed.part").exists()
    collect_garbage(tmp_path, older_than=0)
    assert not (folder / ".killed.part").exists() and not lost.data.exists()
    store = EmbeddingStore(tmp_path)
    assert all(sequence in store for sequence in kept) and len(store) == 3
    assert len(find_shards(folder)) == 1
    assert collect_garbage(tmp_path, older_than=0) == []


def _sequences(shard, candidates: list[str]) -> list[str]:
    from fragmodel.embeddings.shards import read_index

    keys = read_index(shard)["key"].to_pylist()
    return [sequence for sequence in candidates if sequence_key(sequence) in keys]


def test_stats_count_unique_sequences(tmp_path) -> None:
    make_store(tmp_path, {"MK": 1, "ACD": 2})
    make_store(tmp_path, {"MK": 1, "C": 3})
    (stats,) = store_stats(tmp_path)
    assert (stats.shards, stats.sequences, stats.residues, stats.dim) == (2, 3, 6, 8)
    files = [path for path in (tmp_path / FOLDER).iterdir() if path.name != "store.json"]
    assert stats.size == sum(path.stat().st_size for path in files)


def test_remove_fingerprint_leaves_the_others(tmp_path) -> None:
    make_store(tmp_path, {"MK": 1}, name="a" * 32)
    make_store(tmp_path, {"MK": 1}, name="b" * 32)
    remove_fingerprint(tmp_path, "a" * 32)
    assert EmbeddingStore(tmp_path).fingerprint == "b" * 32
    with pytest.raises(UserError, match="no store with the fingerprint a"):
        remove_fingerprint(tmp_path, "a" * 32)


def test_what_jobs_hand_on_is_read_as_one_store(tmp_path) -> None:
    states = make_store(tmp_path / "store", {"MKTAYIAKQR": 1, "AC": 2})
    states |= make_store(tmp_path / "store", {"ACDEF": 3})
    make_store(tmp_path / "store", {"WWW": 4})
    store = EmbeddingStore(tmp_path / "store")
    for part, sequence in (("shard-0", "AC"), ("shard-1", "ACDEF"), ("shard-1", "ACDEF")):  # also once more
        hand_on(store, [sequence], tmp_path / "handed" / part)
    shutil.rmtree(tmp_path / "store")
    handed = EmbeddingStore(tmp_path / "handed", FOLDER)
    assert list(verify(tmp_path / "handed/shard-0")) == []
    assert {s: handed.get(s).tolist() for s in states} == {s: t.tolist() for s, t in states.items()}
    assert "WWW" not in handed and len(handed) == 3
