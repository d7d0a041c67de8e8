"""`fragmodel serve`: a port, a model, and the server."""

import errno
import ipaddress
import os
import socket
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import uvicorn

from fragmodel.errors import UserError
from fragmodel.model.answer_forms import read_forms
from fragmodel.model.loading import check_folder
from fragmodel.prediction.model import FragModel
from fragmodel.prediction.provenance import data_names, trained_on
from fragmodel.serving.app import make_app
from fragmodel.serving.asked import Limits
from fragmodel.serving.jobs import Jobs
from fragmodel.vocabulary import RELATIVES_FILE, TASK_TYPES

_LOCAL = ("127.0.0.1", "localhost", "[::1]")


def serve(
    load: Callable[[], FragModel],
    folder: Path,
    *,
    host: str,
    port: int,
    limits: Limits,
    open_browser: bool = False,
) -> None:
    """Show the page until the process is interrupted.

    ``load`` loads the model of ``folder``. Folder and port are tried first; says on standard error when the page can
    be opened, and on standard output where. Raises :class:`UserError` for a port that is not to be had.
    """
    check_folder(folder)
    with listening(host, port) as listener:
        started = monotonic()
        print(f"loading {folder} …", file=sys.stderr, flush=True)
        model = load()
        app = make_app(Jobs(model), about(model, folder), limits, hosts(host))
        print(f"ready after {monotonic() - started:.0f} s; Ctrl-C ends it", file=sys.stderr, flush=True)
        address = f"http://{_named(host)}:{listener.getsockname()[1]}/"
        print(address, flush=True)
        if open_browser:
            webbrowser.open(address)
        config = uvicorn.Config(
            app, log_level="warning", lifespan="off", server_header=False, timeout_graceful_shutdown=1
        )
        uvicorn.Server(config).run(sockets=[listener])


def end() -> None:
    """End the process at once, whatever the model is at."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any that is free. Raises :class:`UserError`."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"--port {port}: another program uses it; choose another, or 0 for any free one"
            ) from None
        raise UserError(f"--host {host} --port {port}: {error.strerror or error}") from None


def hosts(host: str) -> list[str]:
    """The names that the page answers to: a site whose name was made to point here is not among them."""
    own = () if _is_local(host) else (host, socket.gethostname(), socket.getfqdn(), *_addresses(host))
    return [name.lower() for name in dict.fromkeys((*_LOCAL, *own))]


def about(model: FragModel, folder: Path) -> dict[str, Any]:
    """What the page says of the model, and offers to ask."""
    trained = [entry["task_type"] for entry in trained_on(folder)]
    forms = read_forms(folder)
    return {
        "name": str(folder),
        "tasks": [task for task in TASK_TYPES if task in trained or not trained],
        "families": list(model.families),
        "classes": {
            family: sorted({name for each in names if each in forms for name in forms[each]["classes"]})
            for family, names in data_names(folder).items()
        },
        "window": model.window,
        "evidence": (folder / RELATIVES_FILE).is_file(),
        "calibrated": [task for task in TASK_TYPES if model.calibrates(task)],
    }


def _is_local(host: str) -> bool:
    return host in _LOCAL


def _addresses(host: str) -> list[str]:
    """All IPv4 addresses of this machine, where ``host`` stands for them."""
    import psutil

    if not _is_unspecified(host):
        return []
    every = [each for interface in psutil.net_if_addrs().values() for each in interface]
    return [each.address for each in every if each.family == socket.AF_INET]


def _is_unspecified(host: str) -> bool:
    """Whether this is an address that stands for all of the machine's."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _named(host: str) -> str:
    """The host in an address: one that stands for all of the machine's is its name."""
    if _is_unspecified(host):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
