"""The section on alignment: what it takes from log and metrics, and that a run without the stage has none."""

import csv
import json
from pathlib import Path

import pytest
from report_run import build_run

from fragmodel.report.page import make_report


def checked(step: int, loss: float, to_text: float, from_text: float) -> dict:
    recalls = {"to_text": {"recall_at_10": to_text}, "from_text": {"recall_at_10": from_text}}
    return {"step": step, "kind": "fragment", "eval_loss": loss, **recalls}


LOG = [
    checked(0, 3.0, 0.1, 0.2),
    {"step": 1, "kind": "fragment", "loss": 2.9, "temperature": 0.05},
    {"step": 2, "kind": "fragment", "loss": 1.25, "temperature": 0.043},
    checked(2, 2.5, 0.6, 0.55),
]


def system(value: float) -> dict:
    one_way = {"recall_at_1": value, "recall_at_5": value, "recall_at_10": value, "mrr": value}
    return {"to_text": one_way, "from_text": one_way}


METRICS = {
    "valid": {},
    "test": {
        "fragment": {
            "pairs": 9,
            "items": 8,
            "texts": 1,
            "systems": {"aligned": system(0.625), "nearest_embedding": system(0.5), "random": system(0.125)},
        }
    },
}


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    log, metrics = folder / "alignment_log.jsonl", folder / "alignment_metrics.json"
    log.write_text("".join(json.dumps(entry) + "\n" for entry in LOG))
    metrics.write_text(json.dumps(METRICS))
    make_report(**build_run(folder, ("VenusX_Dom",)), alignment=(log, metrics))
    return folder


def test_the_section_says_what_the_files_say(report):
    page = (report / "report.html").read_text()
    section = page[page.index('<section id="alignment"') :]
    section = section[: section.index("</section>")]
    assert 'href="#alignment"' in page
    assert "in 2 optimiser steps; the learnt temperature ended at 0.043" in section
    assert (
        "contrastive loss 2.9 at step 1, 1.25 at step 2. In validation 3 at first and 2.5 at last." in section
    )
    assert "fragment finds its text 10% at first, 60% at last" in section
    assert "Fragment and description, test: 8 fragments, 1 text" in section
    assert section.count('class="best">0.625') == 8
    assert "0.125" in section and "Protein and function text" not in section


def test_its_table_and_figures_are_files(report):
    rows = list(csv.DictReader((report / "tables/alignment.csv").open()))
    assert len(rows) == 6
    assert rows[0] == {
        "split": "test", "kind": "fragment", "system": "aligned", "way": "to_text",
        "recall_at_1": "0.625", "recall_at_5": "0.625", "recall_at_10": "0.625", "mrr": "0.625",
    }  # fmt: skip
    names = {path.name for path in (report / "figures").iterdir()}
    assert {"alignment-loss-fragment.svg", "alignment-recall-fragment.png"} <= names


def test_a_run_without_the_stage_has_no_such_section(tmp_path):
    make_report(**build_run(tmp_path, ("VenusX_Dom",)))
    assert 'id="alignment"' not in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "tables/alignment.csv").exists()
