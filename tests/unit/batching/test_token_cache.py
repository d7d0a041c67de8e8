"""Token ids kept beside the Parquet file: the same examples, made once, never half, never stale."""

import multiprocessing
import os
import pickle
from pathlib import Path

import pyarrow as pa
import pytest
from tiny_models import TinyModels, grounding_record, referring_record
from transformers import AutoTokenizer

from fragmodel.batching import token_cache
from fragmodel.batching.dataset import FragRefDataset
from fragmodel.model.chat import ChatEncoder, add_control_tokens
from fragmodel.tables import RECORDS, write_table

ROWS = [
    referring_record(0),
    grounding_record(1),
    referring_record(2, answer="zinc finger"),
    referring_record(0, answer=""),
    referring_record(1, answer="β-barrel <span> of 12\n"),
]


@pytest.fixture
def chat(tiny: TinyModels) -> ChatEncoder:
    tokenizer = AutoTokenizer.from_pretrained(tiny.untied)
    add_control_tokens(tokenizer)
    return ChatEncoder(tokenizer, 2)


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(token_cache, "FEWEST_RECORDS", 1)
    write_table(tmp_path / "train.parquet", RECORDS, ROWS, {})
    return tmp_path / "train.parquet"


def examples(records: Path, chat: ChatEncoder, **options: bool) -> list[dict]:
    dataset = FragRefDataset.from_files([records], chat, **options)
    return [dataset[index] for index in range(len(dataset))]


def files(records: Path) -> list[Path]:
    return sorted((records.parent / token_cache.FOLDER).glob("*.arrow"))


def test_the_examples_are_the_same_and_nothing_is_tokenised_again(
    records: Path, chat: ChatEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = examples(records, chat)
    assert len(files(records)) == 1
    with monkeypatch.context() as patch:
        patch.setattr(token_cache, "FEWEST_RECORDS", len(ROWS) + 1)
        assert examples(records, ChatEncoder(chat.tokenizer, 2)) == expected, "in memory"

    fresh = ChatEncoder(chat.tokenizer, 2)
    for roles in {tuple(turn["role"] for turn in row["conversation"]) for row in ROWS}:
        fresh._template(roles)  # the template's own text is not in the cache
    asked = []
    monkeypatch.setattr(type(chat.tokenizer), "__call__", lambda *_, **__: asked.append(1))
    assert examples(records, fresh) == expected
    prompts = [row["input_ids"] for row in examples(records, fresh, prompts_only=True)]
    assert prompts == [row["input_ids"][: row["labels"].count(-100)] for row in expected]
    assert not asked and not fresh._texts


def test_other_contents_and_another_tokenizer_have_files_of_their_own(
    records: Path, chat: ChatEncoder
) -> None:
    examples(records, chat)
    (first,) = files(records)
    chat.tokenizer.add_tokens(["zinc finger"])
    chat.tokenizer.chat_template = "{{ messages[0]['content'] }}"
    changed = ChatEncoder(chat.tokenizer, 2)
    (token,) = changed.answer("zinc finger")[:-1]
    assert token in examples(records, changed)[2]["input_ids"]
    assert first in files(records) and len(files(records)) == 2, "another run may read the first"

    write_table(records, RECORDS, ROWS[:2], {})
    assert len(examples(records, changed)) == 2
    (only,) = files(records)
    assert only != first, "files of contents that are gone go too"


@pytest.mark.parametrize("harm", ["cut", "flip", "empty"])
def test_a_damaged_file_is_made_again(
    records: Path, chat: ChatEncoder, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = examples(records, chat)
    (path,) = files(records)
    whole = path.read_bytes()
    ids = chat.answer("zinc finger")[0].to_bytes(4, "little")
    flipped = bytearray(whole)
    flipped[whole.rindex(ids)] ^= 1  # one bit of one token
    path.write_bytes({"cut": whole[: len(whole) // 2], "flip": bytes(flipped), "empty": b""}[harm])
    assert examples(records, ChatEncoder(chat.tokenizer, 2)) == expected
    assert "damaged, made again" in capsys.readouterr().out
    assert path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_is_said_and_costs_time_alone(
    records: Path, chat: ChatEncoder, capsys: pytest.CaptureFixture[str]
) -> None:
    (records.parent / token_cache.FOLDER).write_text("not a folder")
    assert len(examples(records, chat)) == len(ROWS)
    assert "its texts are tokenised in memory" in capsys.readouterr().out


def test_a_failed_write_leaves_nothing(
    records: Path, chat: ChatEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert len(examples(records, chat)) == len(ROWS)
    assert [path.name for path in (records.parent / token_cache.FOLDER).iterdir()] == ["lock"]


def test_of_several_processes_one_makes_it(
    records: Path, chat: ChatEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = records.parent / "writes"
    write = token_cache._write

    def counted(*arguments: object) -> None:
        with writes.open("a") as log:
            log.write("1")
        write(*arguments)

    monkeypatch.setattr(token_cache, "_write", counted)
    fork = multiprocessing.get_context("fork")
    begin = fork.Barrier(4)

    def rank() -> None:
        begin.wait()
        examples(records, ChatEncoder(chat.tokenizer, 2))

    ranks = [fork.Process(target=rank) for _ in range(4)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    assert [process.exitcode for process in ranks] == [0] * 4
    assert writes.read_text() == "1"


def test_every_text_is_found_also_where_its_key_ends_in_zero(tmp_path: Path, chat: ChatEncoder) -> None:
    texts = [f"text {number}" for number in range(1000)]
    assert any(token_cache._key(text).endswith(b"\0") for text in texts)
    (tmp_path / "some.parquet").write_bytes(b"")
    cache = token_cache.cached_tokens(tmp_path / "some.parquet", [pa.array(texts)], chat)
    assert [cache.get(text) for text in texts] == list(chat.tokenised(texts))
    assert cache.get("another") is None


def test_it_travels_as_its_path(records: Path, chat: ChatEncoder) -> None:
    dataset = FragRefDataset.from_files([records], chat)
    again = pickle.loads(pickle.dumps(dataset))
    assert not again.chat._texts
    assert again[2] == dataset[2]
