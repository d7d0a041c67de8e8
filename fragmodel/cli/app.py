"""The application that the commands register themselves with, and what all of them share."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fragmodel.errors import told

app = typer.Typer(
    name="fragmodel",
    help="Language models for protein fragments: ingest, embed, train, predict, score.",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # paragraphs of the docstrings are filled, whatever their line breaks
    pretty_exceptions_enable=False,
)


class _Group(typer.core.TyperGroup):
    """Prints what the user can mend (:func:`fragmodel.errors.told`) as one message and exits with status 2."""

    def parse_args(self, ctx, args):  # type: ignore[no-untyped-def]
        words = [str(word) for word in args]
        if words[:1] == ["--log"]:
            words = words[2:]
        ctx.meta["fragmodel.command"] = ["fragmodel", *words]
        return super().parse_args(ctx, args)

    def invoke(self, ctx):  # type: ignore[no-untyped-def]
        if log := ctx.params["log"]:
            from fragmodel.workflow.jobs import job_log

            with job_log(log, ctx.meta["fragmodel.command"]):
                return super().invoke(ctx)
        try:
            return super().invoke(ctx)
        except ImportError as error:  # of an optional package, which a library asks for
            names = " ".join(str(error).split())
            print(f"fragmodel: a package is missing: {names}; install it beside fragmodel", file=sys.stderr)
            raise SystemExit(2) from None
        except Exception as error:
            if (message := told(error)) is None:
                raise
            print(f"fragmodel: {message}", file=sys.stderr)
            raise SystemExit(2) from None


app.info.cls = _Group


def _version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        print(f"fragmodel {version('fragmodel')}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    log: Annotated[
        Path | None, typer.Option(help="Write all output of the command to this file; its jobs do so.")
    ] = None,
) -> None:
    """Language models for protein fragments."""


def hush() -> None:
    """Keep transformers' loading bars and notes off standard error: it is for our own progress."""
    import warnings

    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
