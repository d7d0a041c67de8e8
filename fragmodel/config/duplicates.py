"""A key that stands twice in a YAML file: readers take the last and say nothing."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from fragmodel.errors import UserError


def refuse_duplicates(path: Path, text: str | None = None) -> None:
    """Raise :class:`UserError` that names each key which stands twice, with both its lines.

    ``text`` is what was read from ``path``. A file that is no YAML is left to its reader.
    """
    try:
        root = yaml.compose(
            path.read_text(encoding="utf-8") if text is None else text, Loader=yaml.SafeLoader
        )
    except yaml.YAMLError:
        return
    faults = [
        f"{'.'.join(keys)} stands in line {first} and again in line {again}"
        for keys, first, again in _twice(root, ())
    ]
    if faults:
        raise UserError(f"{path}: {'; '.join(faults)}: rename one, or remove it")


def _twice(node: yaml.Node | None, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int, int]]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _twice(item, above)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.value in lines and key.value != "<<":  # the key of YAML that merges
            yield (*above, key.value), lines[key.value], line
        lines[key.value] = line
        yield from _twice(value, (*above, key.value))
