"""Which code a stage runs, as a digest.

Snakemake reruns a rule whose params changed but does not see an edit of an imported module. Each rule therefore
carries the digest of the modules that its stage imports, found by following the import statements.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def code_digest(*modules: str) -> str:
    """Digest of the source of ``modules`` (``fragmodel.data.ingest``, …) and of all they import of fragmodel."""
    found: set[str] = set()
    pending = list(modules)
    while pending:
        module = pending.pop()
        if module not in found:
            found.add(module)
            pending += _imports(module)
    digest = hashlib.sha256()
    for module in sorted(found):
        digest.update(f"{module}\0".encode())
        digest.update(_source(module))
        for template in _templates(module):
            digest.update(template.read_bytes())
    return digest.hexdigest()[:16]


def _path(module: str) -> Path | None:
    base = _PACKAGE.joinpath(*module.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _source(module: str) -> bytes:
    path = _path(module)
    if path is None:
        raise ValueError(f"no module {module}")
    return path.read_bytes()


def _templates(module: str) -> list[Path]:
    """Non-Python files that lie beside a package's modules, e.g. the report's templates."""
    path = _path(module)
    folder = path.parent / "templates"
    return sorted(file for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else []


@cache
def _imports(module: str) -> tuple[str, ...]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.Import):
            candidates = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            candidates = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        # The package's own __init__ only re-exports lazily; following it would join all stages.
        names |= {name for name in candidates if name.startswith("fragmodel.") and _path(name)}
    return tuple(sorted(names))
