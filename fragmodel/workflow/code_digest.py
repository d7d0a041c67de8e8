"""Which code a stage runs, as a digest.

Snakemake reruns a rule whose params changed but does not see an edit of an imported module. Each rule therefore
carries the digest of what its stage can reach: functions, classes and constants of the package, followed by name
from the stage's entry points without running anything. What counts is what runs: the syntax without comments,
docstrings, layout and annotations of functions. Where reading cannot tell, too much counts rather than too little.
"""

import ast
import hashlib
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fragmodel.workflow.syntax import bound_names, imported_names, is_import, plain, references

_PACKAGE = Path(__file__).parents[1]


class Symbol(NamedTuple):
    """A top-level name of a module; the empty name stands for what the module does when it is loaded."""

    module: str
    name: str


def code_digest(*entries: str, command: str | None = None, without: Collection[str] = ()) -> str:
    """Digest of the code that ``entries`` reach: functions or modules, e.g. ``fragmodel.data.ingest.ingest``.

    ``command`` is the function that hands a rule's arguments on to them: it counts itself, without what it names. What
    only ``without`` (written as the entries) leads to is left out: the caller knows that it is never run. Raises
    ``ValueError`` for an entry that does not exist.
    """
    digest = hashlib.sha256()
    wanted: dict[str, set[int]] = {}
    for symbol in [*reachable(*entries, without=without), *(_entry(command) if command else [])]:
        wanted.setdefault(symbol.module, set()).update(_module(symbol.module).places(symbol.name))
    for name in sorted(name for name, places in wanted.items() if places):
        texts = [_text(name, place) for place in sorted(wanted[name])]
        digest.update("\0".join([name, *texts, ""]).encode())
        if any("PackageLoader" in text for text in texts):
            for template in _templates(name):
                digest.update(template.read_bytes())
    return digest.hexdigest()[:16]


def reachable(*entries: str, without: Collection[str] = ()) -> set[Symbol]:
    """All symbols of the package that the code of ``entries`` names, directly or through others."""
    pending = [symbol for entry in entries for symbol in _entry(entry)]
    passed_over = {symbol for entry in without for symbol in _entry(entry)}
    found = set(passed_over)
    while pending:
        symbol = pending.pop()
        if symbol not in found:
            found.add(symbol)
            pending += _follow(symbol)
    return found - passed_over


class _Module(NamedTuple):
    """A parsed module by its top-level statements; a place is the position of one of them."""

    name: str
    statements: list[ast.stmt]  # without what does not count
    definitions: dict[str, list[int]]  # name → places that bind it
    effects: list[int]  # places that bind nothing: they run when the module is loaded
    imports: dict[str, str]  # name → what it stands for in the package, dotted

    def places(self, name: str) -> list[int]:
        return self.definitions.get(name, []) if name else self.effects


@cache
def _module(name: str) -> _Module:
    path = _path(name)
    if path is None:
        raise ValueError(f"no module {name}")
    module = _Module(name, plain(path.read_bytes()), {}, [], {})
    for place, statement in enumerate(module.statements):
        names = bound_names(statement)
        for each in names:
            module.definitions.setdefault(each, []).append(place)
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            module.imports.update(imported_names(statement))
            if not names and not is_import(statement):
                module.effects.append(place)
    return module


@cache
def _text(module: str, place: int) -> str:
    return ast.unparse(_module(module).statements[place])


def _entry(entry: str) -> list[Symbol]:
    if _path(entry):
        return _whole(entry)
    module, _, name = entry.rpartition(".")
    if name not in _module(module).definitions:
        raise ValueError(f"no {name} in module {module}")
    return [Symbol(module, name)]


def _whole(module: str) -> list[Symbol]:
    return [Symbol(module, name) for name in ("", *_module(module).definitions)]


@cache
def _follow(symbol: Symbol) -> tuple[Symbol, ...]:
    """The symbols that the statements of ``symbol`` name."""
    module = _module(symbol.module)
    found: list[Symbol] = []
    if symbol.name:
        found.append(Symbol(symbol.module, ""))
    else:
        for target in module.imports.values():  # loading a module loads those that it imports
            found += [Symbol(loaded, "") for loaded in _loaded(target)]
    for place in module.places(symbol.name):
        statement = module.statements[place]
        local = imported_names(statement)
        for name, attribute in references(statement):
            if name in local:
                found += _named(local[name], attribute)
            elif name in module.definitions:
                found.append(Symbol(symbol.module, name))
            elif name in module.imports:
                found += _named(module.imports[name], attribute)
    return tuple(dict.fromkeys(found))


def _named(target: str, attribute: str | None) -> list[Symbol]:
    """The symbols that ``target``, or its ``attribute`` where it is a module, stands for."""
    if _path(target):
        return _named(f"{target}.{attribute}", None) if attribute else _whole(target)
    module, _, name = target.rpartition(".")
    if not _path(module):
        return []
    if name in _module(module).definitions:
        return [Symbol(module, name)]
    onward = _module(module).imports.get(name)
    return _named(onward, attribute) if onward else []


def _loaded(target: str) -> Iterator[str]:
    """The modules that an import of ``target`` loads: those of its dotted parts that are modules.

    The package's own __init__ only re-exports lazily; following it would join all stages.
    """
    parts = target.split(".")
    for end in range(2, len(parts) + 1):
        if _path(".".join(parts[:end])):
            yield ".".join(parts[:end])


def _path(module: str) -> Path | None:
    root, *parts = module.split(".")
    if root != "fragmodel" or not parts:
        return None
    base = _PACKAGE.joinpath(*parts)
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _templates(module: str) -> list[Path]:
    """The files that a package's pages are made from."""
    path = _path(module)
    folder = path.parent / "templates"
    return sorted(file for file in folder.rglob("*") if file.is_file())
