"""`fragmodel serve` before there is a page: ports, hosts, packages, folders."""

import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.errors import UserError
from fragmodel.serving.server import hosts, listening


def test_a_port_in_use_is_one_line_before_the_model_is_loaded():
    def load():
        raise AssertionError("loaded")

    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port}: another program uses it") as caught:
            listening("127.0.0.1", port)
    assert "\n" not in str(caught.value)
    with listening("127.0.0.1", port):
        pass  # free again at once


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
def test_an_address_that_is_not_of_this_machine_is_one_line(host):
    with pytest.raises(UserError, match=f"--host {host} --port 0: ") as caught:
        listening(host, 0)
    assert "\n" not in str(caught.value)


def test_names_that_the_page_answers_to():
    assert hosts("127.0.0.1") == hosts("localhost") == ["127.0.0.1", "localhost", "[::1]"]
    assert {"192.0.2.1", socket.gethostname().lower()} <= set(hosts("192.0.2.1"))


def test_at_all_addresses_the_page_answers_to_each_and_to_no_other_name():
    names = set(hosts("0.0.0.0"))
    assert "127.0.0.1" in names and "*" not in names
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way, suppress(OSError):  # without a network
        way.connect(("192.0.2.1", 9))  # sends nothing: only the way there is looked up
        assert way.getsockname()[0] in names


def test_a_folder_without_a_model_is_one_line(tmp_path: Path):
    result = CliRunner().invoke(app, ["serve", "--model", str(tmp_path), "--port", "0"])
    assert result.exit_code == 2
    assert result.stderr.startswith("fragmodel: ") and len(result.stderr.splitlines()) == 1


def test_without_its_packages_it_names_the_command_to_install_them(tmp_path: Path):
    code = "import sys; sys.modules['starlette'] = None; from fragmodel.cli import app; app()"
    result = subprocess.run(
        [sys.executable, "-c", code, "serve", "--model", str(tmp_path)], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert result.stderr == ("fragmodel: serve needs starlette and uvicorn: pip install 'fragmodel[serve]'\n")
