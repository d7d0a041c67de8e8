"""The search by either tool, and a stand-in for MMseqs2 that answers what a test wants."""

import shlex

import pytest
from system_tools import require_tool

from fragmodel.homology import search


@pytest.fixture(params=[search.BIOPYTHON, pytest.param(search.MMSEQS, marks=pytest.mark.slow)])
def tool(request, monkeypatch):
    """The test runs with each tool."""
    if request.param == search.MMSEQS:
        require_tool("mmseqs", "mmseqs2")
    else:
        monkeypatch.setattr(search.shutil, "which", lambda name: None)
    return request.param


@pytest.fixture
def fake_mmseqs(tmp_path, monkeypatch):
    """Call it with the lines of the hits; returns the file into which the program writes its folder and arguments."""

    def install(lines=(), script='cp "$HITS" hits.tsv'):
        programs = tmp_path / "programs"
        programs.mkdir()
        hits, called = programs / "hits.tsv", programs / "called.txt"
        hits.write_text("".join(f"{line}\n" for line in lines))
        program = programs / "mmseqs"
        program.write_text(
            f'#!/bin/sh\nHITS={shlex.quote(str(hits))}\necho "$PWD" "$@" > {shlex.quote(str(called))}\n{script}\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(programs), prepend=":")
        return called

    return install
