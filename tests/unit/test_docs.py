"""Pages that repeat what the code says must say the same."""

import re
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from fragmodel import tables
from fragmodel.config.run import parse_config

DOCS = Path(__file__).parents[2] / "docs"
CONTRACTS = {
    schema.metadata[b"contract"].decode(): schema
    for schema in vars(tables).values()
    if isinstance(schema, pa.Schema) and b"contract" in (schema.metadata or {})
}


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_page_of_tables_has_every_column(name):
    page = (DOCS / "tables.md").read_text()
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    assert section, name
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (.*) \|$", section[1], re.MULTILINE)
    assert [row[0] for row in rows] == CONTRACTS[name].names
    assert [("or null" in row[1]) for row in rows] == [field.nullable for field in CONTRACTS[name]]
    assert all(row[2] for row in rows)


def test_the_tutorials_configuration_is_valid():
    (block,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "tutorial.md").read_text(), re.DOTALL)
    assert parse_config(yaml.safe_load(block)).datasets["Mine_Dom"].tasks


def test_every_command_has_its_own_help():
    from typer.main import get_command

    from fragmodel.cli import app

    names = get_command(app).commands
    assert {"ingest", "embed", "predict", "export", "score"} <= set(names)
    assert all(command.help or hasattr(command, "commands") for command in names.values())
