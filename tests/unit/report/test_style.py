"""Figures in files and in the page: colours, ids, names."""

import re
import xml.etree.ElementTree as ET

from report_run import HOSTILE

from fragmodel.report import plots, style


def draw(folder, name="classes"):
    with style.drawing():
        return style.Gallery(folder).add(
            name, "Title", f'Alt "{HOSTILE}"', plots.bars([(HOSTILE, 0.5, "0.5"), ("b", 1, "1")])
        )


def test_files_have_the_same_bytes_every_time(tmp_path):
    draw(tmp_path / "a")
    draw(tmp_path / "b")
    for name in ("classes.svg", "classes.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_svg_is_well_formed_and_text_stays_text(tmp_path):
    picture = draw(tmp_path)
    for text in ((tmp_path / "classes.svg").read_text(), picture.svg):
        root = ET.fromstring(re.sub(r"<!DOCTYPE.*?>", "", text, flags=re.DOTALL))
        shown = [element.text for element in root.iter() if element.tag.endswith("text")]
        # The name is cut, but none of its characters is markup or mathematics.
        assert any(text.startswith("</script><script>window.hacked") for text in shown)


def test_inline_svg_follows_the_page(tmp_path):
    svg = draw(tmp_path).svg
    assert "var(--model)" in svg
    assert not re.search(r"#[0-9a-f]{6}", svg)  # no colour that stays the same in the dark
    assert "DejaVu" not in svg
    assert 'role="img"' in svg
    assert "<script" not in svg


def test_ids_differ_between_figures(tmp_path):
    ids = [set(re.findall(r' id="([^"]+)"', draw(tmp_path, name).svg)) for name in ("one", "two")]
    assert ids[0] and not ids[0] & ids[1]
    svg = draw(tmp_path, "one").svg
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg)) <= ids[0]


def test_names_from_data_cannot_leave_the_folder(tmp_path):
    draw(tmp_path / "in", "../../escape")
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["_escape.png", "_escape.svg"]
