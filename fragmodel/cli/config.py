"""`fragmodel config`: the configuration's schema and reference, and a check of a file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from fragmodel.cli.app import app

commands = typer.Typer(
    help="Check a run's configuration, or print its JSON schema or reference.", no_args_is_help=True
)
app.add_typer(commands, name="config")

_PREAMBLE = """\
# Configuration

A run is described by one YAML file: `config.yaml`, or another that is named with `snakemake --configfile FILE`, which
then replaces it. Single keys are set with `--config`, e.g. `snakemake --config seed=2`. The file is checked before
anything runs; a mistake is shown with the key's path and what is allowed. `fragmodel config check FILE` does only that.

This page is printed by `fragmodel config reference` from `fragmodel/config/`."""


@commands.command()
def schema() -> None:
    """Print the JSON schema of config.yaml."""
    from fragmodel.config.run import config_schema

    print(json.dumps(config_schema(), indent=2))


@commands.command()
def reference() -> None:
    """Print every key with its values, default and meaning, as Markdown."""
    from fragmodel.config.run import RunConfig

    root = RunConfig.model_json_schema()
    print("\n".join([_PREAMBLE, *_section(root, "", "The run", root["$defs"])]))


@commands.command()
def check(path: Annotated[Path, typer.Argument(help="A run's YAML file.")] = Path("config.yaml")) -> None:
    """Check a configuration file; exit with status 2 when it is not valid."""
    from fragmodel.config.variants import load_runs

    runs = load_runs(path)
    several = f", {len(runs)} runs" if len(runs) > 1 else ""
    print(f"{path}: valid, {len(runs[0].config.datasets)} data sets{several}")


def _section(section: dict[str, Any], path: str, title: str, parts: dict[str, Any]) -> Iterator[str]:
    """Heading and table of a section's own keys, then the sections in it; ``parts`` are the schema's `$defs`."""
    below = {}
    rows = []
    for key, value in section["properties"].items():
        nested = value if "$ref" in value else value.get("additionalProperties")
        if nested and "$ref" in nested:
            name = f"{path}{key}." + ("" if "$ref" in value else "NAME.")
            below[name] = parts[nested["$ref"].rpartition("/")[2]]
        else:
            default = f"`{json.dumps(value['default'])}`" if "default" in value else "required"
            rows.append(f"| `{path}{key}` | {_values(value)} | {default} | {value['description']} |")
    yield from ["", f"## {title}", "", section["description"].splitlines()[0], ""]
    yield from ["| key | values | default | meaning |", "|---|---|---|---|", *rows]
    for name, part in below.items():
        yield from _section(part, name, f"`{name.rstrip('.')}`", parts)


def _values(schema: dict[str, Any] | bool) -> str:
    """What a key may hold, in words."""
    if schema in (True, {}):
        return "any value"
    if "anyOf" in schema:
        return " or ".join(_values(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "object":
        return f"NAME: {_values(schema['additionalProperties'])}"
    if schema["type"] == "array":
        return f"list of {_values(schema['items'])}"
    limits = [
        f"{sign} {schema[name]:g}"
        for name, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
        if name in schema
    ]
    return " ".join([schema["type"], ", ".join(limits)]).strip()
