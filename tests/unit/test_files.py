"""Files that others read, too."""

import os
import stat
import subprocess
import tempfile

import pytest

from fragmodel.files import make_shared, temporary_folder, write_text
from fragmodel.model.sources import make_encoder


@pytest.fixture
def umask():
    """A group reads what is written, others do not."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_weights_follow_the_umask_as_other_files(tmp_path):
    make_encoder("stand-in", tmp_path / "encoder", layers=1, dim=8, heads=2, seed=1)
    modes = {path.name: mode(path) for path in (tmp_path / "encoder").iterdir()}
    assert "model.safetensors" in modes and set(modes.values()) == {0o640}


@pytest.mark.usefixtures("umask")
def test_what_a_link_leads_to_is_left_alone(tmp_path):
    (tmp_path / "theirs").write_text("")
    (tmp_path / "theirs").chmod(0o600)
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "link").symlink_to(tmp_path / "theirs")
    write_text(tmp_path / "ours" / "text", "")
    make_shared(tmp_path / "ours")
    assert mode(tmp_path / "theirs") == 0o600 and mode(tmp_path / "ours" / "text") == 0o640


def test_temporary_folders_of_killed_processes_go(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen(["true"])
    ended.wait()
    with temporary_folder() as mine:
        stem = mine.name.rpartition("-")[0].rpartition("-")[0]
        killed, other = (
            tmp_path / f"{stem}-{ended.pid}-x",
            tmp_path / f"fragmodel-test-elsewhere-{ended.pid}-x",
        )
        for path in (killed, other):
            path.mkdir()
            (path / "file").touch()
        with temporary_folder() as second:
            assert {path.name for path in tmp_path.iterdir()} == {mine.name, second.name, other.name}
    assert [path.name for path in tmp_path.iterdir()] == [other.name]
