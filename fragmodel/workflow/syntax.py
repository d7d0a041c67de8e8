"""What the syntax of a Python statement says of it: which names it binds, imports and uses, and what of it counts."""

import ast
from collections.abc import Iterator

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_import(statement: ast.stmt) -> bool:
    """Whether the statement is an import, which binds names of other modules."""
    return isinstance(statement, ast.Import | ast.ImportFrom)


def imported_names(statement: ast.AST) -> dict[str, str]:
    """Names that imports anywhere in the statement bind, and the dotted name that each stands for.

    ``import a.b`` binds only ``a``; it is taken under its whole name, which :func:`references` gives back.
    """
    names: dict[str, str] = {}
    for node in ast.walk(statement):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def bound_names(statement: ast.stmt) -> set[str]:
    """Names that a top-level statement defines or assigns, inside `if`, `try` and the like too."""
    if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
        return {statement.name}
    if is_import(statement):
        return set()
    names: set[str] = set()
    pending: list[ast.AST] = [statement]
    while pending:
        node = pending.pop()
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            names.add(node.name)
            continue  # what it binds inside is its own
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        pending += ast.iter_child_nodes(node)
    return names


def references(statement: ast.stmt) -> set[tuple[str, str | None]]:
    """Names that the statement uses, each with the attribute that is taken of it (None where it is used as it is)."""
    return set(_references(statement))


def _references(node: ast.AST) -> Iterator[tuple[str, str | None]]:
    if isinstance(node, ast.Attribute) and (dotted := _dotted(node.value)):
        yield dotted, node.attr
        if isinstance(node.value, ast.Name):
            return
    elif isinstance(node, ast.Name):
        yield node.id, None
    for child in ast.iter_child_nodes(node):
        yield from _references(child)


def _dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value)):
        return f"{before}.{node.attr}"
    return None


def plain(source: bytes) -> list[ast.stmt]:
    """The statements of a module without docstrings, annotations of functions, comments and layout."""
    return _Plain().visit(ast.parse(source)).body


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


class _Plain(ast.NodeTransformer):
    """Takes away texts that stand alone (docstrings, also of fields) and annotations within functions."""

    def __init__(self) -> None:
        self._in_function = False

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                kept = [each for each in statements if not _is_text(each)]
                if not kept and statements and field == "body":
                    kept = [ast.Pass()]
                setattr(node, field, kept)
        return super().generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        outside, self._in_function = self._in_function, True
        node = self.generic_visit(node)  # type: ignore[assignment]
        self._in_function = outside
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if not self._in_function:
            return self.generic_visit(node)
        if node.value is None:
            return ast.Pass()
        assigned = ast.Assign(targets=[node.target], value=node.value)
        return self.generic_visit(ast.copy_location(assigned, node))

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        outside, self._in_function = self._in_function, False
        node = self.generic_visit(node)  # type: ignore[assignment]
        self._in_function = outside
        return node
