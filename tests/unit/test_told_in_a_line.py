"""What the system refuses, and what no reader can take, is a line that says what to do."""

import ast
import errno
import gzip
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tiny_models import TinyModels

import fragmodel
from fragmodel import tables
from fragmodel.config.run import load_config
from fragmodel.data import text_files
from fragmodel.data.readers.containers import rows
from fragmodel.data.readers.fasta import read_fasta
from fragmodel.digests import read_json
from fragmodel.embeddings import shards
from fragmodel.embeddings.encoders import load_encoder
from fragmodel.embeddings.sequences import read_sequences
from fragmodel.embeddings.shards import encode_states, write_shard
from fragmodel.errors import UserError, told
from fragmodel.files import atomic_path, write_text
from fragmodel.model.assemble import load_decoder
from fragmodel.prediction.fragments import read_fragments
from fragmodel.training.checkpoints import written_whole

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
HUGE = "9" * 5000


@pytest.mark.parametrize("hidden", [FULL, RuntimeError("I/O error: No space left on device (os error 28)")])
@pytest.mark.parametrize("which", ["data", "index"])
def test_a_store_on_a_full_disk_says_what_it_needs_and_leaves_nothing(
    hidden: Exception, which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise hidden

    monkeypatch.setattr(shards, "save_file", full) if which == "data" else monkeypatch.setattr(
        tables, "write_table", full
    )
    blocks = [encode_states(torch.zeros(500_000, 2), "float32")]
    with pytest.raises(UserError, match=r"4\.0 MB are to be written, [\d.,]+ MB are free") as caught:
        write_shard(tmp_path, ["0" * 32], blocks, "float32")
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    assert not [*tmp_path.iterdir()]


def test_a_checkpoint_on_a_full_disk_says_what_it_needs_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-4"
    model = torch.nn.Linear(1000, 1000, bias=False)
    with (
        pytest.raises(UserError, match=r"12\.0 MB are to be written"),
        written_whole(folder, model, main=True),
    ):
        folder.mkdir()
        (folder / "optimizer.pt").write_bytes(b"half")
        raise FULL
    assert not folder.exists()
    with pytest.raises(ZeroDivisionError), written_whole(folder, model, main=True):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "a/b.json"), "a/b.json: Permission denied"),
        (
            ValueError("Exceeds the limit (4300 digits) for integer string conversion: …"),
            "thousands of digits",
        ),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a/b"),
            "a/b: No space left on device; free space there",
        ),
    ],
)
def test_what_the_user_can_mend_is_told(error: Exception, says: str) -> None:
    assert says in str(told(error))
    assert told(ValueError("a defect")) is None and told(OSError(5, "I/O error")) is None


@pytest.fixture
def forbidden() -> Iterator[Path]:
    """A file that may not be read in a folder beside a folder that may not be written to, by no root."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # that of the session is open to its user alone
        Path(name).chmod(0o755)
        path = Path(name, "file")
        path.write_text("{}")
        path.chmod(0)
        (path.parent / "closed").mkdir(mode=0o555)
        before = os.geteuid()
        if before == 0:  # whom permissions do not hold for
            os.seteuid(65534)
        yield path
        os.seteuid(before)


@pytest.mark.parametrize(
    "use",
    [
        read_json,
        load_config,
        tables.read_metadata,
        lambda path: list(read_sequences(path)),
        lambda path: list(rows(path)),
        lambda path: read_fragments([str(path)]),
        lambda path: write_text(path.parent / "closed" / "file", ""),
        lambda path: tables.write_table(path.parent / "closed" / "file", tables.WINDOWS, []),
    ],
)
def test_a_permission_that_is_lacking_is_named(use: Callable[[Path], object], forbidden: Path) -> None:
    with pytest.raises((UserError, PermissionError)) as caught:
        use(forbidden)
    said = told(caught.value) or ""
    assert said.startswith(str(forbidden.parent)) and "\n" not in said
    assert "Permission denied; change its permissions" in said


def test_a_full_disk_is_told_with_the_file_that_was_open(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    with pytest.raises(OSError) as caught, atomic_path(path):
        raise OSError(*FULL.args)
    assert f"{path}: No space left on device; free space there" in str(told(caught.value))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_special_files_are_refused_before_anything_waits_for_them(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "input"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        monkeypatch.chdir(tmp_path)  # a socket's path has at most 108 bytes
        socket.socket(socket.AF_UNIX).bind("input")
    else:
        path.symlink_to("/dev/zero")
    readers = [
        lambda: list(read_sequences(path)),
        lambda: list(read_fasta(path)),
        lambda: list(rows(path)),
        lambda: load_config(path),
        lambda: tables.read_metadata(path),
        lambda: read_fragments([str(path)]),
    ]
    for read in readers:
        with pytest.raises(UserError, match="input: no regular file"):
            read()


def test_numbers_of_thousands_of_digits(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"seed: {HUGE}")
    (tmp_path / "a.bed").write_text(f"p\t1\t{HUGE}\n")
    for read in (
        lambda: load_config(tmp_path / "config.yaml"),
        lambda: read_fragments([str(tmp_path / "a.bed")]),
    ):
        with pytest.raises(UserError, match=r"config\.yaml|a\.bed") as caught:
            read()
        assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


@pytest.mark.parametrize("start", ["", '{"uid": "P1"}\n', "uid,start\nP1,1\n", ">p\nMK\n"])
def test_blank_lines_of_a_gzip_file_are_bounded(
    start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "_BLANK", 1 << 20)
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as packed:
        packed.write(start.encode() + b"\n" * (2 << 20) if start else b"\n" * (2 << 20))
    with pytest.raises(
        UserError,
        match=r"bomb\.gz: (unpacks to more than 1 MiB of blank lines|the file begins with nothing but blank lines)",
    ):
        list(read_fasta(path) if start.startswith(">") else rows(path))


def test_weights_that_are_pickles_and_code_of_a_folder_are_not_loaded(
    tiny: TinyModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def copied(name: str, source: Path, **changes: object) -> Path:
        folder = tmp_path / name
        shutil.copytree(source, folder)
        (folder / "fragmodel.sha256").unlink(missing_ok=True)
        about = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(about | changes))
        (folder / "code.py").write_text("raise SystemExit('ran')")
        return folder

    pickled = copied("pickled", tiny.encoder)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    own = {"model_type": "own", "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"}}
    with pytest.raises(
        UserError, match=r"pickled weights \(\.bin\) are not loaded.* save the model as safetensors"
    ):
        load_encoder(pickled)
    for load in (
        lambda: load_encoder(copied("encoder", tiny.encoder, **own)),
        lambda: load_decoder(copied("decoder", tiny.untied, **own), torch.float32),
    ):
        with pytest.raises(UserError) as caught:
            load()
        assert "\n" not in str(caught.value)
    assert "Do you wish to run" not in capsys.readouterr().out


def test_no_call_of_transformers_may_ask_for_trust_in_code() -> None:
    """Without the argument transformers asks on the terminal, and an answer there would run the folder's code."""
    asking = []
    for path in Path(fragmodel.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            called = node.func
            if called.attr == "from_pretrained" and ast.unparse(called.value).startswith("Auto"):
                trusts = {
                    ast.unparse(each.value) for each in node.keywords if each.arg == "trust_remote_code"
                }
                asking += [] if trusts == {"False"} else [f"{path}:{node.lineno}"]
    assert asking == []
