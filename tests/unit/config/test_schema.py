"""The JSON schema for editors says the same of a configuration as the typed model."""

import json
import random
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from fragmodel.config.run import RunConfig, config_schema, parse_config
from fragmodel.errors import UserError

SCHEMA = Draft202012Validator(config_schema())
VALUES = [
    None, True, False, 0, 1, 3, -1, 64, 0.5, 1.5, -2.5, "", "1e-3", "2E-1", "fast", "3", "stand-in", "cosine",
    "float32", "bfloat16", "a{b}", [], ["q_proj"], ["majority"], [0.5], ["1e-1"], [0], {}, {"unknown": 1}, [1, "a"],
]  # fmt: skip
# Rules that tie several keys together are no part of a schema: configs keep clear of them.
TIED = {"alignment.enabled", "lora.init_lora_weights", "training.parallel", "training.decoder_bits"} | {
    f"models.stand_in.{part}_{size}" for part in ("encoder", "decoder") for size in ("dim", "heads")
}


def key_paths(section: type = RunConfig, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    paths = []
    for name, field in section.model_fields.items():
        path = (*prefix, name)
        if hasattr(field.annotation, "model_fields"):
            paths += key_paths(field.annotation, path)
        elif name != "datasets" and ".".join(path) not in TIED:
            paths.append(path)
    return paths


def generated(seed: int) -> dict[str, Any]:
    """A config with a few keys set to values of many kinds, some of them unknown."""
    draw = random.Random(seed)
    config: dict[str, Any] = {"datasets": {"Mine_Dom": {"train": "a.json", "test": ["b.json"]}}}
    for path in draw.sample(key_paths(), draw.randint(1, 2)):
        section = config
        for name in path[:-1]:
            section = section.setdefault(name, {})
        section[path[-1] if draw.random() > 0.1 else path[-1] + "s"] = draw.choice(VALUES)
    return config


def texts_of(config: Any) -> list[str]:
    """Texts in a config that stand for numbers."""
    if isinstance(config, str):
        return [config] if re.fullmatch(r"[\d.eE+-]+", config) else []
    parts = config.values() if isinstance(config, dict) else config if isinstance(config, list) else []
    return [text for part in parts for text in texts_of(part)]


def says_the_model(config: dict[str, Any]) -> bool:
    try:
        parse_config(config)
    except UserError as error:
        assert "Traceback" not in str(error)
        return False
    return True


def test_both_say_the_same_of_generated_configs():
    verdicts = []
    for seed in range(700):
        config = generated(seed)
        verdicts.append(says_the_model(config))
        valid = SCHEMA.is_valid(config)
        # Of a text that stands for a number the schema knows the form alone, not the bounds.
        assert valid == verdicts[-1] or (valid and '"' in json.dumps(texts_of(config))), config
    assert sum(verdicts) >= 40, "valid ones occur"


@pytest.mark.parametrize("path", key_paths(), ids=".".join)
def test_every_key_refuses_what_no_key_takes(path):
    config: dict[str, Any] = {"datasets": {"Mine_Dom": {"train": "a.json", "test": "b.json"}}}
    section = config
    for name in path[:-1]:
        section = section.setdefault(name, {})
    section[path[-1]] = {"no": [{}]}
    assert not says_the_model(config) and not SCHEMA.is_valid(config)
