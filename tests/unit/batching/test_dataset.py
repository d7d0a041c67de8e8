"""Examples from the documented folders: raw files and the pipeline's Parquet."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from tiny_models import TinyModels, grounding_record, make_dataset, referring_record
from transformers import AutoTokenizer

from fragmodel import FragRefDataset
from fragmodel.batching.dataset import JoinedDataset, find_split
from fragmodel.data.ingest import ingest
from fragmodel.data.prompts import MARKERS
from fragmodel.errors import UserError
from fragmodel.model.chat import ChatEncoder, add_control_tokens
from fragmodel.tables import RECORDS, read_rows, write_table

SAMPLE = Path(__file__).parents[3] / "data" / "sample"


@pytest.fixture(scope="module")
def chat(tiny: TinyModels) -> ChatEncoder:
    tokenizer = AutoTokenizer.from_pretrained(tiny.untied)
    add_control_tokens(tokenizer)
    return ChatEncoder(tokenizer, 2)


def check(dataset: FragRefDataset, chat: ChatEncoder) -> None:
    """Each example has its protein's places, its fragment's tokens, and an answer that reads as written."""
    for index in range(len(dataset)):
        record = dataset.records.slice(index, 1).to_pylist()[0]
        example = dataset[index]
        ids, labels = example["input_ids"], example["labels"]
        assert ids.count(chat.ids[MARKERS[0]]) == len(record["sequence"]) + 2
        assert ids.count(chat.ids[MARKERS[1]]) == (2 if record["position_ref"] else 0)
        target = [token for token in labels if token != -100]
        assert ids[-len(target) :] == target and labels[: -len(target)] == [-100] * (len(ids) - len(target))
        assert chat.decode(target) == record["answer"].strip()
        assert target[-1] == chat.tokenizer.eos_token_id


@pytest.mark.parametrize(
    ("data_name", "task"),
    [
        ("VenusX_Dom", "referring_desc"),
        ("Venux_Dom", "referring_class"),
        ("Venux_Act", "grounding_single"),
        ("VenusX_Motif", "grounding_group"),
        ("VenusXcsv_Act", "grounding_group"),
        ("Conversations_Dom", "referring_desc"),
    ],
)
@pytest.mark.parametrize("split", ["train", "valid"])
def test_reads_the_shipped_raw_files(chat: ChatEncoder, data_name: str, task: str, split: str) -> None:
    dataset = FragRefDataset.from_root(SAMPLE, data_name, task, split, chat)
    assert len(dataset) >= 1
    assert set(dataset.records["task_type"].to_pylist()) == {task}
    check(dataset, chat)


def test_both_spellings_give_the_same_examples(chat: ChatEncoder) -> None:
    ours, documented = (
        FragRefDataset.from_root(SAMPLE, name, "referring_class", "test", chat)
        for name in ("VenusX_Act", "Venux_Act")
    )
    assert [ours[i]["input_ids"] for i in range(len(ours))] == [
        documented[i]["input_ids"] for i in range(len(documented))
    ]


def test_parquet_of_the_pipeline_gives_what_the_raw_file_gives(chat: ChatEncoder, tmp_path: Path) -> None:
    task = "grounding_single"
    ingest(
        [SAMPLE / "VenusX_Act" / "valid.json"],
        task=task,
        data_name="VenusX_Act",
        split="valid",
        output=tmp_path / "VenusX_Act" / task / "valid.parquet",
        rejects=tmp_path / "rejects.parquet",
    )
    stored = FragRefDataset.from_root(tmp_path, "Venux_Act", task, "valid", chat)
    raw = FragRefDataset.from_root(SAMPLE, "VenusX_Act", task, "valid", chat)
    assert stored.records.to_pylist() == raw.records.to_pylist()
    assert [stored[i] for i in range(len(stored))] == [raw[i] for i in range(len(raw))]


def test_documented_record_fields_are_read(chat: ChatEncoder, tmp_path: Path) -> None:
    """The example of the training documentation, with a sequence long enough for its positions."""
    sequence = "MKTV" + "ACDEFGHIKLMNPQRSTVWY" * 3
    record = {
        "sequence": sequence,
        "conversation": [
            {"role": "user", "content": "Describe the fragment..."},
            {"role": "assistant", "content": "This fragment..."},
        ],
        "answer": "This fragment represents...",
        "position_ref": [10, 50],
        "position_grd": [[10, 20], [30, 40]],
        "start": 0,
    }
    folder = tmp_path / "Venux_Dom"
    folder.mkdir()
    (folder / "train.json").write_text(json.dumps([record]))
    dataset = FragRefDataset.from_root(tmp_path, "Venux_Dom", "referring_desc", "train", chat)
    assert len(dataset) == 1
    assert dataset[0]["position_ref"] == [10, 50]
    assert dataset[0]["sequence"] == sequence
    check(dataset, chat)


def test_long_proteins_are_cut_to_the_window(chat: ChatEncoder) -> None:
    dataset = FragRefDataset.from_root(
        SAMPLE, "VenusX_Dom", "referring_class", "train", chat, max_sequence_length=60
    )
    lengths = [len(sequence) for sequence in dataset.records["sequence"].to_pylist()]
    assert max(lengths) == 60
    for position, length in zip(dataset.records["position_ref"].to_pylist(), lengths, strict=True):
        assert 0 <= position[0] < position[1] <= length


def test_a_cut_answer_still_ends_its_turn(chat: ChatEncoder) -> None:
    rows = [referring_record(0, answer="zinc finger " * 40)]
    dataset = make_dataset(rows, chat.tokenizer, max_text_tokens=7)
    target = [token for token in dataset[0]["labels"] if token != -100]
    assert len(target) == 7
    assert target[-1] == chat.tokenizer.eos_token_id
    assert target[:-1] == chat.answer(rows[0]["answer"])[:6]


def test_prompts_alone_have_no_answer(chat: ChatEncoder) -> None:
    whole = make_dataset([referring_record(0)], chat.tokenizer)[0]
    prompt = make_dataset([referring_record(0)], chat.tokenizer, prompts_only=True)[0]
    assert "labels" not in prompt
    assert prompt["input_ids"] == whole["input_ids"][: whole["labels"].count(-100)]


def test_files_are_joined_in_order(chat: ChatEncoder, tmp_path: Path) -> None:
    paths = [tmp_path / "b.parquet", tmp_path / "a.parquet"]
    write_table(paths[0], RECORDS, [grounding_record(1)])
    write_table(paths[1], RECORDS, [referring_record(0)])
    dataset = FragRefDataset.from_files(paths, chat)
    assert [dataset[i]["record_id"] for i in range(2)] == [
        row["record_id"] for path in paths for row in read_rows(path, RECORDS)
    ]


def test_travels_to_worker_processes(chat: ChatEncoder) -> None:
    dataset = make_dataset([referring_record(0), grounding_record(1)], chat.tokenizer)
    again = pickle.loads(pickle.dumps(dataset))
    assert again[1] == dataset[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"root_dir": SAMPLE / "nowhere"}, r"--root_dir .*nowhere: no such folder"),
        ({"data_name": "Venux_Doom"}, r"--data_name Venux_Doom: no train file .* looked for Venux_Doom/.*"),
        ({"split": "holdout"}, r"no holdout file for task 'referring_class'"),
        ({"data_name": "VenusXcsv_Act", "task_type": "referring_desc"}, r"no usable record for task"),
    ],
)
def test_what_cannot_be_read_is_a_users_mistake(
    chat: ChatEncoder, settings: dict[str, Any], message: str
) -> None:
    asked = {
        "root_dir": SAMPLE,
        "data_name": "VenusX_Dom",
        "task_type": "referring_class",
        "split": "train",
        **settings,
    }
    with pytest.raises(UserError, match=message):
        FragRefDataset.from_root(chat=chat, **asked)


def test_a_name_that_tells_no_family_has_a_remedy_in_every_program(chat: ChatEncoder, tmp_path: Path) -> None:
    """The training programs take no family: their remedy is the data set's name."""
    entries = Path(__file__).parents[2] / "data/raw/uniprot/entries.json"
    for name in ("Mine", "Mine_Act", "Mine_all"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.json").write_bytes(entries.read_bytes())
    with pytest.raises(UserError, match="give it a name that does"):
        FragRefDataset.from_root(tmp_path, "Mine", "referring_class", "train", chat)
    numbers = [
        len(FragRefDataset.from_root(tmp_path, name, "referring_class", "train", chat))
        for name in ("Mine_Act", "Mine_all")
    ]
    assert 0 < numbers[0] < numbers[1]


def test_the_folder_says_what_it_holds() -> None:
    with pytest.raises(UserError, match="the folder holds Conversations_Dom, Function, README"):
        find_split(SAMPLE, "Unknown", "referring_class", "train")


@pytest.mark.parametrize("name", ["valid.json", "validation.jsonl.gz", "val.csv", "dev.json"])
def test_the_usual_names_of_a_validation_file(tmp_path: Path, name: str) -> None:
    for folder in ("VenusX_Dom/referring_class", "VenusX_Act"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).touch()
    within_task = tmp_path / "VenusX_Dom" / "referring_class" / name
    assert find_split(tmp_path, "Venux_Dom", "referring_class", "valid") == within_task
    assert find_split(tmp_path, "VenusX_Act", "referring_class", "valid") == tmp_path / "VenusX_Act" / name


def test_no_text_is_tokenised_in_an_access(tiny: TinyModels, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny.untied)
    add_control_tokens(tokenizer)
    dataset = make_dataset([referring_record(0), grounding_record(1), referring_record(2)], tokenizer)
    expected = [dataset[index] for index in range(3)]
    calls = []
    monkeypatch.setattr(type(tokenizer), "__call__", lambda *_, **__: calls.append(1))
    assert [dataset[index] for index in range(3)] == expected
    assert calls == []


def test_a_batch_asks_for_all_its_stored_states_before_it_reads_one(chat: ChatEncoder) -> None:
    calls: list[Any] = []

    class Store:
        def read_ahead(self, sequences: Any) -> None:
            calls.append(sorted(sequences))

        def view(self, sequence: str) -> str:
            calls.append(sequence)
            return sequence

    rows = [referring_record(number) | {"sequence": "MK" + "A" * number} for number in range(5)]
    parts = [make_dataset(part, chat.tokenizer) for part in (rows[:2], rows[2:3], rows[3:])]
    for part in parts:
        part.store = Store()
    joined = JoinedDataset([parts[0], JoinedDataset(parts[1:])])
    asked = [4, 0, 2, 1]
    assert [item["sequence"] for item in joined.__getitems__(asked)] == [rows[i]["sequence"] for i in asked]
    ahead, reads = calls[:3], calls[3:]
    assert ahead == [["MK", "MKA"], ["MKAA"], ["MKAAAA"]] and len(reads) == 4
    calls.clear()
    assert [item["sequence"] for item in parts[0].__getitems__([1, 0])] == ["MKA", "MK"]
    assert calls[0] == ["MK", "MKA"]
