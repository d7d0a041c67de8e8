"""What is wrong with a configuration, in the words of its user."""

import difflib
from typing import Any, get_args

from pydantic import BaseModel


def explain(fault: dict[str, Any], model: type[BaseModel]) -> str:
    """One line for one of pydantic's faults of ``model``: the key's path, what is allowed, what was given."""
    path = [str(part) for part in fault["loc"]]
    key = ".".join(path) or "(top level)"
    if fault["type"] == "extra_forbidden":
        known = _keys_at(path[:-1], model)
        close = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"allowed: {', '.join(known)}"
        return f"{key}: unknown key; {hint}"
    if fault["type"] == "missing":
        return f"{key}: required key is missing"
    if fault["type"] in ("model_type", "dict_type"):
        return f"{key}: must be keys with their values, as in {{key: value}} (is {fault['input']!r})"
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    given = "" if isinstance(fault["input"], dict) else f" (is {fault['input']!r})"
    prefix = "must be " if fault["msg"].startswith("Input should be") else ""
    return f"{key}: {prefix}{message}{given}"


def _keys_at(path: list[str], model: type[BaseModel]) -> list[str]:
    """Names of the keys that the section at ``path`` allows."""
    section: Any = model
    for name in path:
        if isinstance(section, type):
            section = section.model_fields[name].annotation
        else:
            section = get_args(section)[1]  # of dict[str, Section]; the name is the user's own
    return list(section.model_fields)
