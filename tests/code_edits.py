"""Edits of Python files that change what they do, or only how they look."""

import ast
from pathlib import Path


def change_functions(path: Path) -> None:
    """Put a statement more into each function of the file: all that runs it is changed."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body.append(ast.parse("edited = 1").body[0])
    path.write_text(ast.unparse(tree))


def change_looks(path: Path) -> None:
    """Other docstrings, annotations of functions and layout; what runs is the same."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and not node.decorator_list:  # decorators may read annotations
            node.returns = ast.Constant("Other")
            for argument in node.args.args:
                argument.annotation = ast.Constant("another")
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node):
            node.body[0].value = ast.Constant("Says something else.")
    path.write_text("# a remark\n" + ast.unparse(tree).replace("\n", "\n\n"))


def add_remark(path: Path) -> None:
    """A comment at the end of the file."""
    path.write_text(path.read_text() + "# a remark\n")
