"""What all sections of the configuration share."""

import os
import re
from typing import Annotated, Any, Literal

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

# A number with an exponent and without a point is text in YAML 1.1, which Snakemake reads.
_EXPONENT = r"^[+-]?[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]+$"


def number_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a number, with the spelling that YAML 1.1 takes for text."""
    return {"anyOf": [schema, {"type": "string", "pattern": _EXPONENT}]}


def _as_number(value: Any) -> Any:
    return float(value) if isinstance(value, str) and re.match(_EXPONENT, value) else value


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
    def _numbers_in_any_spelling(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        numbers = {name for name, field in cls.model_fields.items() if field.annotation is float}
        return {name: _as_number(value) if name in numbers else value for name, value in values.items()}
