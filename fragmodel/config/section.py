"""What all sections of the configuration share."""

import os
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]

# Values that arrive as text: from `snakemake --config 'training={max_steps: 3}'` all of them, from YAML 1.1, which
# Snakemake reads, numbers with an exponent and without a point.
_TEXTS = {
    "integer": r"^[+-]?[0-9]+$",
    "number": r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$",
    "boolean": r"^([Tt]rue|[Ff]alse)$",
}
_CONVERTED: dict[str, Callable[[str], Any]] = {
    "integer": int,
    "number": float,
    "boolean": lambda text: text.lower() == "true",
}
_KINDS = {int: "integer", float: "number", bool: "boolean"}


def with_texts(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a value, and of the texts that stand for it."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [with_texts(part) for part in schema["anyOf"]]}
    if schema.get("type") == "array" and "items" in schema:
        return {**schema, "items": with_texts(schema["items"])}
    kind = (
        "integer"
        if all(isinstance(choice, int) for choice in schema.get("enum", "-"))
        else schema.get("type")
    )
    if pattern := _TEXTS.get(kind or ""):
        return {"anyOf": [schema, {"type": "string", "pattern": pattern}]}
    return schema


def _from_text(value: Any, annotation: Any) -> Any:
    """``value``, or what a text stands for where the key's type is no text."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if isinstance(value, list) and get_origin(annotation) is list:
        return [_from_text(item, get_args(annotation)[0]) for item in value]
    if not isinstance(value, str):
        return value
    for kind in _types(annotation):
        if (name := _KINDS.get(kind)) and re.match(_TEXTS[name], value):
            return _CONVERTED[name](value)
    return value


def _types(annotation: Any) -> Iterator[type]:
    """The types of an annotation: itself, those of a union, those of a literal's choices."""
    if get_origin(annotation) is Literal:
        yield from (type(choice) for choice in get_args(annotation))
    elif parts := get_args(annotation):
        for part in parts:
            yield from _types(part)
    else:
        yield annotation


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def is_plain_path(value: Any) -> bool:
    """Whether a value can be a :data:`Folder`."""
    return isinstance(value, str) and bool(value.strip()) and not set(value) & set("{}")


def _plain_path(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty; name a folder")
    if braces := [char for char in "{}" if char in value]:
        raise ValueError(
            f"{value!r} holds '{braces[0]}', which Snakemake takes for a wildcard; choose another name"
        )
    return os.path.normpath(value)


Paths = Annotated[
    list[str],
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Folder = Annotated[
    str, AfterValidator(_plain_path), WithJsonSchema({"type": "string", "pattern": r"^[^{}]*\S[^{}]*$"})
]
"""A path that rules are made of: in one spelling (`res/` and `./res` are `res`), not empty, without braces."""
Precision = Literal["float32", "bfloat16", "float16"]
Pooling = Literal["mean", "mean_std", "segment_means"]


class Section(BaseModel):
    """Base of all sections: unknown keys and values of another type are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _values_from_texts(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        kinds = {name: field.annotation for name, field in cls.model_fields.items()}
        return {name: _from_text(value, kinds.get(name)) for name, value in values.items()}
