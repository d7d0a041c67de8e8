"""The command line. Each command imports what it needs when it runs, so that `--help` is instant."""

import sys
from typing import Annotated

import typer

from fragmodel.errors import UserError

app = typer.Typer(
    name="fragmodel",
    help="Language models for protein fragments: ingest, embed, train, predict, score.",
    no_args_is_help=True,
    rich_markup_mode="markdown",  # paragraphs of the docstrings are filled, whatever their line breaks
    pretty_exceptions_enable=False,
)


class _Group(typer.core.TyperGroup):
    """Prints a :class:`UserError`, or what the system refused, as one message and exits with status 2."""

    def invoke(self, ctx):  # type: ignore[no-untyped-def]
        try:
            return super().invoke(ctx)
        except UserError as error:
            print(f"fragmodel: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        except ImportError as error:  # of an optional package, which a library asks for
            told = " ".join(str(error).split())
            print(f"fragmodel: a package is missing: {told}; install it beside fragmodel", file=sys.stderr)
            raise SystemExit(2) from None
        except OSError as error:
            if error.filename is None or error.strerror is None:
                raise  # not about a file of the user's
            print(f"fragmodel: {error.filename}: {error.strerror}", file=sys.stderr)
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
) -> None:
    """Language models for protein fragments."""


def hush() -> None:
    """Keep transformers' loading bars and notes off standard error: it is for our own progress."""
    import warnings

    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


from fragmodel.cli import compare as _compare  # noqa: E402, F401
from fragmodel.cli import config as _config  # noqa: E402, F401  (commands register themselves)
from fragmodel.cli import doctor as _doctor  # noqa: E402, F401
from fragmodel.cli import embed as _embed  # noqa: E402, F401
from fragmodel.cli import export as _export  # noqa: E402, F401
from fragmodel.cli import ingest as _ingest  # noqa: E402, F401
from fragmodel.cli import merge as _merge  # noqa: E402, F401
from fragmodel.cli import plan as _plan  # noqa: E402, F401
from fragmodel.cli import predict as _predict  # noqa: E402, F401
from fragmodel.cli import score as _score  # noqa: E402, F401
from fragmodel.cli import store as _store  # noqa: E402, F401
from fragmodel.cli import summary as _summary  # noqa: E402, F401
