"""What a job says when it fails."""

import errno
import os

import pytest

from fragmodel.errors import UserError
from fragmodel.workflow.jobs import job_log

COMMAND = ["fragmodel", "embed", "a b.fasta"]


def test_a_mistake_is_one_line_in_the_log_and_on_the_terminal(tmp_path, capsys):
    with pytest.raises(SystemExit), job_log(tmp_path / "logs/a.log", COMMAND):
        raise UserError("no such file")
    assert capsys.readouterr().err == "error: no such file\n"
    assert (tmp_path / "logs/a.log").read_text() == "fragmodel embed 'a b.fasta'\nerror: no such file\n"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "store/0.bin"),
        PermissionError(errno.EACCES, os.strerror(errno.EACCES), "store/0.bin"),
        RuntimeError("PytorchStreamWriter failed writing file store/0.bin: file write failed"),
    ],
)
def test_a_full_or_protected_file_system_is_named_on_the_terminal(error, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught, job_log(tmp_path / "a.log", COMMAND):
        raise error
    assert caught.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert "store/0.bin" in line
    assert "Traceback" in (tmp_path / "a.log").read_text()


def test_another_fault_is_left_to_its_traceback(tmp_path, capsys):
    with pytest.raises(ValueError), job_log(tmp_path / "a.log", COMMAND):
        raise ValueError("a defect")
    assert not capsys.readouterr().err
