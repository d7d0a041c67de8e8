"""The commands that the workflow's rules run, beside those that people use anyway; one module a rule file.

Each takes paths, numbers and sections of the config as JSON, and calls one function of the package.
"""

from typing import TYPE_CHECKING, TypeVar

from fragmodel.errors import UserError

if TYPE_CHECKING:
    from pydantic import BaseModel

PANEL = "Stages of the workflow"

Settings = TypeVar("Settings", bound="BaseModel")


def section(model: type[Settings], text: str, option: str) -> Settings:
    """A section of the config, given as JSON. Raises :class:`UserError` that names the ``option`` and the key."""
    from pydantic import ValidationError

    from fragmodel.config.faults import explain

    try:
        return model.model_validate_json(text or "{}")
    except ValidationError as error:
        raise UserError(f"{option}: {explain(error.errors()[0], model)}") from None
