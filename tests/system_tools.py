"""Programs that some tests need beside Python."""

import os
import shutil

import pytest


def require_tool(name: str, package: str) -> None:
    """Skip the test when a system tool is missing, saying how to install it; on CI (variable CI) fail instead."""
    if shutil.which(name):
        return
    message = f"{name} is not on PATH: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
