import json
import pickle
import threading
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_store import DIM, make_store

from fragmodel.embeddings.shards import (
    bytes_per_row,
    check_dtype,
    decode_states,
    encode_states,
    find_shards,
    map_tensors,
)
from fragmodel.embeddings.store import (
    EmbeddingStore,
    MissingEmbeddingError,
)
from fragmodel.errors import UserError

PROTEINS = st.dictionaries(
    st.text("ACDEFGHIKLMNPQRSTVWY", min_size=1, max_size=20), st.integers(0, 2**31), min_size=1, max_size=8
)


@settings(max_examples=25)
@given(PROTEINS)
def test_float32_comes_back_bit_for_bit(tmp_path_factory, proteins) -> None:
    root = tmp_path_factory.mktemp("store")
    states = make_store(root, proteins)
    store = EmbeddingStore(root)
    assert len(store) == len(states) and store.dim == DIM
    for sequence, block in states.items():
        assert sequence in store
        assert torch.equal(store.get(sequence), block)
    assert "WWWWWWWWWWWWWWWWWWWWWWWWW" not in store


def test_reader_gets_memory_of_its_own(tmp_path) -> None:
    states = make_store(tmp_path, {"MK": 1})
    store = EmbeddingStore(tmp_path)
    store.get("MK").zero_()
    assert torch.equal(store.get("MK"), states["MK"])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_view_is_what_get_gives_and_never_writes_to_the_file(tmp_path, dtype) -> None:
    make_store(tmp_path, {"MKV": 1, "A": 2}, dtype)
    store = EmbeddingStore(tmp_path)
    view = store.view("MKV")
    assert view.dtype == (torch.bfloat16 if dtype == "bfloat16" else torch.float32)
    assert torch.equal(view.float(), store.get("MKV"))
    (shard,) = find_shards(store.folder)
    before = shard.data.read_bytes()
    view.zero_()
    assert shard.data.read_bytes() == before
    store.close()
    assert store.get("MKV").abs().sum() > 0


@pytest.mark.parametrize(("dtype", "row_bytes"), [("float32", 32), ("bfloat16", 16), ("int8", 12)])
def test_dtypes_keep_their_promised_size_and_error(tmp_path, dtype, row_bytes) -> None:
    states = make_store(tmp_path, {"MKTAYIAKQR" * 3: 5}, dtype)
    (sequence, block), *_ = states.items()
    got = EmbeddingStore(tmp_path).get(sequence)
    assert got.dtype == torch.float32
    # bfloat16 has 8 significant bits; int8 steps are 1/127 of the row's largest magnitude.
    largest = block.abs().amax(dim=1, keepdim=True)
    allowed = {"float32": 0 * block, "bfloat16": block.abs() * 2**-8, "int8": largest / 254 * 1.0001}[dtype]
    assert ((got - block).abs() <= allowed).all()
    assert bytes_per_row(DIM, dtype) == row_bytes
    (shard,) = find_shards(tmp_path / ("f" * 32))
    assert sum(tensor.nbytes for tensor in map_tensors(shard.data).values()) == row_bytes * len(block)


def test_int8_of_a_row_of_zeros_is_zero() -> None:
    assert torch.equal(decode_states(encode_states(torch.zeros(3, 4), "int8")), torch.zeros(3, 4))


def test_unknown_dtype_is_refused() -> None:
    with pytest.raises(UserError, match="'float64' is not known; use one of bfloat16, float32, int8"):
        check_dtype("float64")


def test_data_file_is_plain_safetensors(tmp_path) -> None:
    from safetensors.torch import load_file

    states = make_store(tmp_path, {"MKV": 2, "A": 3})
    (shard,) = find_shards(tmp_path / ("f" * 32))
    published = load_file(shard.data)
    assert torch.equal(published["states"], torch.cat(list(states.values())))
    assert torch.equal(map_tensors(shard.data)["states"], published["states"])


def test_missing_sequence_names_the_remedy(tmp_path) -> None:
    make_store(tmp_path, {"MK": 1})
    store = EmbeddingStore(tmp_path)
    with pytest.raises(MissingEmbeddingError, match=r"MMMM \(4 residues.*fragmodel embed FILE") as caught:
        store.get("MMMM")
    assert isinstance(caught.value, KeyError) and isinstance(caught.value, UserError)
    assert store.missing(["MK", "A", "MK", "A", "C"]) == ["A", "C"]


def test_several_fingerprints_are_listed(tmp_path) -> None:
    with pytest.raises(UserError, match="no embedding store"):
        EmbeddingStore(tmp_path)
    make_store(tmp_path, {"MK": 1}, name="a" * 32)
    states = make_store(tmp_path, {"MK": 2}, name="b" * 32)
    with pytest.raises(
        UserError, match=r"name one fingerprint:\n  a{32}  toy\.pt, layer 1, float32\n  b{32}"
    ):
        EmbeddingStore(tmp_path)
    assert torch.equal(EmbeddingStore(tmp_path, "b" * 32).get("MK"), states["MK"])
    with pytest.raises(UserError, match="no embedding store"):
        EmbeddingStore(tmp_path, "c" * 32)


def test_pickle_is_small_and_reopens(tmp_path) -> None:
    states = make_store(tmp_path, {"MK" * 10 + "A" * i: i for i in range(1, 60)})
    store = EmbeddingStore(tmp_path)
    store.get("MK" * 10 + "A")
    pickled = pickle.dumps(store)
    assert len(pickled) < 400
    again = pickle.loads(pickled)
    for sequence, block in states.items():
        assert torch.equal(again.get(sequence), block)


def test_sequence_in_two_shards_is_read_from_one(tmp_path) -> None:
    first = make_store(tmp_path, {"MK": 1, "A": 2})
    make_store(tmp_path, {"MK": 1, "C": 3})
    store = EmbeddingStore(tmp_path)
    assert len(store) == 3
    assert torch.equal(store.get("MK"), first["MK"])


def test_writers_at_the_same_time_do_not_meet(tmp_path) -> None:
    sets = [{f"{'ACDEFGHIKL'[i]}" * (j + 1): i * 50 + j for j in range(20)} for i in range(8)]
    gate = threading.Barrier(len(sets))
    expected: dict[str, torch.Tensor] = {}

    def write(proteins: dict[str, int]) -> None:
        gate.wait()
        expected.update(make_store(tmp_path, proteins))

    threads = [threading.Thread(target=write, args=(proteins,)) for proteins in sets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = EmbeddingStore(tmp_path)
    assert len(store) == len(expected) == 160
    for sequence, block in expected.items():
        assert torch.equal(store.get(sequence), block)
    assert not list(tmp_path.rglob("*.part"))


def test_cut_shard_is_left_out_alone(tmp_path) -> None:
    make_store(tmp_path, {"MK": 1})
    (cut,) = find_shards(tmp_path / ("f" * 32))
    whole = make_store(tmp_path, {"AC": 2})
    with cut.data.open("r+b") as handle:
        handle.truncate(cut.data.stat().st_size - 1)
    store = EmbeddingStore(tmp_path)
    with pytest.warns(UserWarning, match="missing or cut"):
        assert "MK" not in store
    assert torch.equal(store.get("AC"), whole["AC"])


def test_damaged_index_is_left_out(tmp_path) -> None:
    make_store(tmp_path, {"MK": 1})
    (shard,) = find_shards(tmp_path / ("f" * 32))
    content = bytearray(shard.index.read_bytes())
    content[len(content) // 2] ^= 1
    shard.index.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged index"):
        assert len(EmbeddingStore(tmp_path)) == 0


def test_data_without_an_index_does_not_exist(tmp_path) -> None:
    make_store(tmp_path, {"MK": 1})
    (shard,) = find_shards(tmp_path / ("f" * 32))
    shard.index.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "MK" not in EmbeddingStore(tmp_path)


def test_changed_description_is_refused(tmp_path) -> None:
    make_store(tmp_path, {"MK": 1})
    path = tmp_path / ("f" * 32) / "store.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps({**about, "dim": 9}))
    with pytest.raises(UserError, match=r"store\.json: damaged"):
        EmbeddingStore(tmp_path)


def test_same_content_gives_the_same_bytes(tmp_path) -> None:
    for root in (tmp_path / "one", tmp_path / "two"):
        make_store(root, {"MK": 1, "ACD": 2}, "int8")
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name / ("f" * 32)).iterdir()}
        for name in ("one", "two")
    )
    assert one == two and len(one) == 3
