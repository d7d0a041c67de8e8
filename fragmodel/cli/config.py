"""`fragmodel config`: the configuration's schema and a check of a file."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli import app

commands = typer.Typer(help="Check a run's configuration or print its JSON schema.", no_args_is_help=True)
app.add_typer(commands, name="config")


@commands.command()
def schema() -> None:
    """Print the JSON schema of config.yaml."""
    from fragmodel.config import config_schema

    print(json.dumps(config_schema(), indent=2))


@commands.command()
def check(path: Annotated[Path, typer.Argument(help="A run's YAML file.")] = Path("config.yaml")) -> None:
    """Check a configuration file; exit with status 2 when it is not valid."""
    from fragmodel.config import load_config

    config = load_config(path)
    print(f"{path}: valid, {len(config.datasets)} data sets")
