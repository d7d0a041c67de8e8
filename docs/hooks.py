"""MkDocs hook: the page of commands is made from the code when the site is built."""

from typing import Any

from typer.cli import get_docs_for_click
from typer.main import get_command

from fragmodel.cli import app

PLACE = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put every command with its arguments and options in place of the comment."""
    return markdown.replace(PLACE, commands()) if PLACE in markdown else markdown


def commands() -> str:
    """Markdown of all commands, headings one level down."""
    command = get_command(app)
    for each in command.commands.values():
        summary = (each.help or "").split("\n\n")[0]
        each.short_help = " ".join(summary.split())  # whole: a page has room for it
    text = get_docs_for_click(
        obj=command, ctx=command.make_context("fragmodel", [], resilient_parsing=True), name="fragmodel"
    )
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in text.splitlines())
