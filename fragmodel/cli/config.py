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
then replaces it. Single keys are set with `--config`, those of a section in braces: `snakemake --config seed=2
'training={max_steps: 5}'`; the other keys of the section stay as they are. Snakemake takes no key with a dot, and it
takes all words after `--configfile` for files: write targets before it, or after `--`, as in
`snakemake --configfile FILE -- train`.

Before anything runs the settings, the models and raw files that they name are checked, the same by `snakemake -n`, by
`fragmodel doctor --config FILE` and by `fragmodel config check FILE`, which does only that; a mistake is shown with the
key's path and what is allowed.

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
    """Check a configuration file, and the models and raw files that it names; exit with status 2 for a fault.

    Paths are looked up in the current folder, as Snakemake does.
    """
    from fragmodel.config.variants import load_runs
    from fragmodel.planning.preflight import preflight_of_all, refuse_faults
    from fragmodel.vocabulary import told_family

    runs = load_runs(path)
    run = runs[0].config
    notes = refuse_faults(preflight_of_all(each.config for each in runs))
    for name, dataset in run.datasets.items():
        print(f"{name}: {dataset.family or told_family(name) or 'proteins'}; {', '.join(dataset.tasks)}")
    for note in notes:
        print(f"note: {note.subject}: {note.text}")
    several = f", {len(runs)} runs" if len(runs) > 1 else ""
    print(f"{path}: valid, {len(run.datasets)} data sets{several}")


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
