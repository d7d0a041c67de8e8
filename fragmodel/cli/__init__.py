"""The command line. Each command imports what it needs when it runs, so that `--help` is instant."""

# Commands register themselves when they are imported.
from fragmodel.cli import (
    compare,
    config,
    doctor,
    embed,
    export,
    ingest,
    merge,
    plan,
    predict,
    runs,
    score,
    serve,
    store,
    summary,
    verify,
)
from fragmodel.cli.app import app
from fragmodel.cli.stages import alignment, data, evaluation, models, report, training, windows

__all__ = ["app"]
