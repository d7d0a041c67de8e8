"""A lock without its Snakemake is named with the command that frees the folder."""

import subprocess
import sys
from pathlib import Path

from fragmodel.planning.lock import LOCKS, lock_finding


def test_a_lock_is_of_a_snakemake_at_work_or_of_one_that_was_killed(tmp_path: Path) -> None:
    assert not [*lock_finding(tmp_path)]
    (tmp_path / LOCKS).mkdir(parents=True)
    assert not [*lock_finding(tmp_path)]
    (tmp_path / LOCKS / "0.input.lock").touch()
    script = tmp_path / "snakemake"
    script.write_text("import sys; print(flush=True); sys.stdin.read()")
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        running.stdout.readline()
        (finding,) = lock_finding(tmp_path)
        assert finding.state == "note" and f"process {running.pid}" in finding.text
        running.stdin.close()
    (finding,) = lock_finding(tmp_path)
    assert finding.state == "missing" and finding.text.endswith("snakemake --unlock")
