"""Keys that stand twice."""

from pathlib import Path

import pytest

from fragmodel.config.duplicates import refuse_duplicates
from fragmodel.config.run import load_config
from fragmodel.errors import UserError

TWICE = """\
datasets:
  A_Dom: {train: a.json, test: b.json}
  B_Act: {train: a.json, test: b.json}
  A_Dom: {train: c.json, test: d.json}
seed: 1
training:
  max_steps: 1
  max_steps: 2
"""


def test_each_is_named_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(TWICE)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert str(caught.value) == (
        f"{path}: datasets.A_Dom stands in line 2 and again in line 4; training.max_steps stands in line 7 and again "
        "in line 8: rename one, or remove it"
    )


@pytest.mark.parametrize(
    "text",
    [
        "a: {x: 1}\nb: {x: 1}\n",
        "a: [{x: 1}, {x: 2}]\n",
        "base: &b {x: 1}\na: {<<: *b, x: 2}\n",
        "",
        "a: [",
        "- 1\n",
    ],
)
def test_what_is_right_or_no_yaml_passes(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    refuse_duplicates(tmp_path / "a.yaml")


def test_also_in_a_list(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a:\n- x: 1\n  x: 2\n")
    with pytest.raises(UserError, match=r"a\.x stands in line 2 and again in line 3"):
        refuse_duplicates(tmp_path / "a.yaml")
