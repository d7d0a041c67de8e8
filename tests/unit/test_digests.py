"""Folders of weights that are not as they were written are not loaded."""

import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from fragmodel.digests import (
    SUMS,
    check_digests,
    drop_digests,
    fault_of,
    faults,
    files_travel_alone,
    note_digests,
    read_json,
    write_noted,
)
from fragmodel.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    (made / "weights.safetensors").write_bytes(random.Random(1).randbytes(3000))
    (made / "config.json").write_text('{"hidden_size": 8}')
    (tmp_path / "theirs.safetensors").write_bytes(b"another's")
    (made / "linked.safetensors").symlink_to(tmp_path / "theirs.safetensors")
    note_digests(made)
    return made


def test_the_digests_are_those_of_sha256sum(folder: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=folder, check=True, capture_output=True)
    assert len((folder / SUMS).read_text().splitlines()) == 2, "what a link leads to belongs to others"
    check_digests(folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json", SUMS])
def test_a_flipped_byte_is_noticed(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    draw = random.Random(0)
    for _ in range(40):
        damaged = bytearray(content)
        damaged[draw.randrange(len(damaged))] ^= draw.randrange(1, 256)
        (folder / name).write_bytes(damaged)
        with pytest.raises(UserError) as caught:
            check_digests(folder)
        assert str(folder) in str(caught.value) and len(str(caught.value).splitlines()) == 1
    (folder / name).write_bytes(content)
    check_digests(folder)


def test_missing_and_empty_files_are_noticed(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert faults(folder) == [f"{folder / 'config.json'}: missing"]
    (folder / SUMS).write_bytes(b"")
    assert faults(folder) == [f"{folder / SUMS}: damaged"]


def test_the_check_can_be_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "config.json").write_text("{}")
    monkeypatch.setenv("FRAGMODEL_VERIFY", "no")
    check_digests(folder)
    monkeypatch.setenv("FRAGMODEL_VERIFY", "yes")
    with pytest.raises(UserError, match="FRAGMODEL_VERIFY=no"):
        check_digests(folder)


def test_a_folder_without_digests_is_taken_as_it_is(folder: Path) -> None:
    drop_digests(folder)
    (folder / "config.json").write_text("{}")
    check_digests(folder)
    check_digests("a/hub-id")


def test_a_flipped_byte_of_a_json_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.json"
    write_noted(path, json.dumps({"accuracy": 0.125}))
    subprocess.run(["sha256sum", "--check", "--strict", ".metrics.json.sha256"], cwd=tmp_path, check=True)
    assert read_json(path) == {"accuracy": 0.125} and fault_of(path) is None
    path.write_text(json.dumps({"accuracy": 0.625}))
    assert "metrics.json" in str(fault_of(path))
    with pytest.raises(
        UserError, match=r"its bytes are not those of \.metrics\.json\.sha256; its stage writes"
    ):
        read_json(path)
    monkeypatch.setenv("FRAGMODEL_VERIFY", "no")
    assert read_json(path) == {"accuracy": 0.625}
    monkeypatch.delenv("FRAGMODEL_VERIFY")
    (tmp_path / ".metrics.json.sha256").write_bytes(b"\xff")
    assert "damaged" in str(fault_of(path))
    write_noted(path, "{}")
    assert read_json(path) == {}


def test_a_file_that_a_storage_keeps_has_no_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    path = tmp_path / "metrics.json"
    write_noted(path, "{}")
    files_travel_alone()
    write_noted(path, "[]")
    assert [each.name for each in tmp_path.iterdir()] == ["metrics.json"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", None]
)
def test_what_is_no_json_is_told_in_a_line(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json: (not valid JSON|no JSON object|no such file)") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
