"""Locks whose owner is known and alive."""

import subprocess
import sys
from pathlib import Path

import pytest

from fragmodel.errors import UserError
from fragmodel.files import held, holder


def test_a_lock_is_held_by_one_process_and_freed_with_it(tmp_path: Path) -> None:
    lock = tmp_path / "run/.lock"
    assert holder(lock) is None
    code = (
        "import sys; from fragmodel.files import held\nwith held(*sys.argv[1:]): print(flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(lock), "busy"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert f"process {other.pid} on " in (holder(lock) or "")
        said = rf"^the run is made by process {other.pid} on .*; wait for its end, or end it"
        with pytest.raises(UserError, match=said), held(lock, "the run is made"):
            raise AssertionError
        other.kill()
    assert holder(lock) is None
    with held(lock, "the run is made"):
        assert holder(lock)
    assert holder(lock) is None
