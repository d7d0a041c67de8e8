"""`python -m fragmodel` is the command `fragmodel`, for environments in which only the package is found."""

from fragmodel.cli import app

app(prog_name="fragmodel")
