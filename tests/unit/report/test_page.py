"""The page as a whole, from the files of a run."""

import csv
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from report_run import HOSTILE, build_run

from fragmodel.errors import UserError
from fragmodel.report.page import make_report
from fragmodel.tables import REJECTS, SCORED, read_rows, write_table

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Elements in order, text by the element around it, and whether every element is closed in turn."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open, self.balanced = [], [], [], True
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        self.balanced &= bool(self.open) and self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    arguments = build_run(tmp_path_factory.mktemp("run"))
    make_report(**arguments)
    return arguments


@pytest.fixture(scope="module")
def text(run):
    return run["output"].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_every_element_is_closed(page):
    assert page.balanced and not page.open


def test_ids_are_unique(page):
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_headings_are_in_order(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_nothing_comes_from_elsewhere(text, page):
    entries = ("https://www.uniprot.org/uniprotkb/", "https://www.ebi.ac.uk/interpro/entry/")
    links = 0
    for tag, attrs in page.elements:
        for name in ("src", "href", "xlink:href"):
            address = attrs.get(name, "#")
            if tag == "a" and address.startswith(entries):  # followed by a reader alone
                links += 1
                assert attrs["rel"] == "noopener noreferrer"
            else:
                assert address.startswith(("#", "data:")), attrs
    assert links > 10
    assert not re.search(r"@import|url\((?!#)", text)


def test_every_table_says_what_is_conditional_on_presence(page):
    """The sign stands beside each such metric, whose meaning the page tells, and the other ones are without."""
    heads = [text.strip() for tag, text in page.texts if tag in ("th", "small") and text.strip()]
    assert {"Mean IoU †", "F1 at IoU 0.5 †", "Residue MCC †"} <= set(heads)
    assert {"Specificity", "False positives where absent", "Residue MCC, absent too"} <= set(heads)
    assert not {"Mean IoU", "Residue MCC"} & set(heads)
    captions = [
        text for tag, text in page.texts if (tag == "span" and "by family" in text) or "of a family" in text
    ]
    assert any(text.startswith("Mean IoU †") or text.startswith("IoU †") for text in captions)
    assert any("that ask about what is absent" in text for text in captions)
    assert sum("of the records alone that have something to find" in text for _, text in page.texts) == 2


def test_data_text_is_text(text, page):
    assert HOSTILE not in text
    scripts = [data for tag, data in page.texts if tag == "script"]
    assert len(scripts) == 1 and "hacked" not in scripts[0]
    assert any(data.strip() == HOSTILE for tag, data in page.texts if tag == "span")  # shown whole, as a uid


def test_figures_have_alternatives_and_files(run, page):
    pictures = [attrs for tag, attrs in page.elements if tag == "svg"]
    assert pictures and all(attrs.get("aria-label") for attrs in pictures)
    names = {path.stem for path in run["figures_dir"].iterdir()}
    assert {
        "leakage",
        "training-loss",
        "comparison-grounding_group",
        "iou-grounding_single-VenusX_Dom",
    } <= names
    assert {path.suffix for path in run["figures_dir"].iterdir()} == {".svg", ".png"}
    assert sum(tag == "figure" for tag, _ in page.elements) == len(names)


def test_stand_ins_are_named(text):
    assert "Made with a stand-in encoder and a stand-in decoder" in text
    assert text.count("stand-in") > 5


def test_numbers_of_the_tables_are_those_of_the_metrics(run, page):
    metrics = json.loads(run["metrics"].read_text())
    with (run["tables_dir"] / "metrics-grounding_single.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    intervals = 0
    for row in rows:
        summary = metrics[row["data_set"]]["grounding_single"]
        system = summary["model"] if row["system"] == "model" else summary["baselines"][row["system"]]
        found = system[row["metric"]]
        if row["data_set"] == "VenusX_Dom":  # of too few proteins
            assert (row["value"], row["low"], row["high"]) == (str(found), "", "")
        elif isinstance(found, dict):
            assert all(float(row[key]) == value for key, value in found.items()) and len(found) == 3
            intervals += 1
    assert intervals > 20
    assert len(rows) == sum(
        len(system)
        for summary in (tasks["grounding_single"] for tasks in metrics.values())
        for system in (summary["model"], *summary["baselines"].values())
    )
    shown = f"{metrics['VenusX_Dom']['grounding_single']['model']['iou_mean']:.3f}"
    assert any(data.strip() == shown for _, data in page.texts)


def test_same_inputs_same_bytes(run, tmp_path):
    again = {
        **run,
        "output": tmp_path / "r.html",
        "figures_dir": tmp_path / "f",
        "tables_dir": tmp_path / "t",
    }
    make_report(**again)
    assert again["output"].read_bytes() == run["output"].read_bytes()
    for name in ("figures_dir", "tables_dir"):
        first, second = ({p.name: p.read_bytes() for p in where[name].iterdir()} for where in (run, again))
        assert first == second


def test_a_bare_run_makes_a_page(tmp_path, run):
    """No rejects, no log entries, no intervals, no parts, no classes, no baselines, no audit details."""
    (tmp_path / "log.jsonl").write_text("")
    (tmp_path / "leakage.json").write_text("{}")
    metrics = {"VenusX_Dom": {"referring_class": {"n": 3, "model": {"accuracy": 0.5}, "baselines": {}}}}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    write_table(tmp_path / "rejects/VenusX_Dom/referring_class/test.parquet", REJECTS, [])
    bare = {
        "rejects": [tmp_path / "rejects/VenusX_Dom/referring_class/test.parquet"],
        "training_log": tmp_path / "log.jsonl",
        "metrics": tmp_path / "metrics.json",
        "leakage": tmp_path / "leakage.json",
        "scored": [],
        "run": {},
    }
    outputs = {"output": tmp_path / "r.html", "figures_dir": tmp_path / "f", "tables_dir": tmp_path / "t"}
    make_report(**{**run, **bare, **outputs})
    page = Page((tmp_path / "r.html").read_text())
    assert page.balanced
    assert any("No fragment was rejected" in data for _, data in page.texts)


def test_the_head_says_what_may_be_claimed_and_how_training_ended(run, text):
    head = text[text.index('id="summary"') : text.index('id="results"')]
    words = " ".join(re.sub(r"<[^>]+>", " ", head).split())
    assert "Trained for 200 steps on" in words and "Validation loss" in words
    assert "pairs of data set and task (paired permutation tests over proteins" in words
    assert "too few to compare." in words and "overfitted" not in words


def test_time_and_memory_of_each_stage_and_where_it_was_made(tmp_path, run):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/training.tsv").write_text("s\tmax_rss\n3725\t2048.5\n")
    outputs = {"output": tmp_path / "r.html", "figures_dir": tmp_path / "f", "tables_dir": tmp_path / "t"}
    made = run["run"] | {"date": "2026-11-30", "hardware": ["2 cores of a processor"], "commit": "abc123"}
    make_report(**{**run, **outputs, "examples": 0, "run": made, "benchmarks": tmp_path / "benchmarks"})
    words = " ".join(re.sub(r"<[^>]+>", " ", (tmp_path / "r.html").read_text()).split())
    assert (
        "Scored on 2026-11-30 (UTC). Trained on 2 cores of a processor. The code is that of commit abc123"
        in words
    )
    assert "Training 1 1 h 02 min 2 048 MB" in words  # thin spaces, as all others
    assert (
        tmp_path / "t/stages.csv"
    ).read_text() == "stage,jobs,seconds,megabytes\ntraining,1,3725.0,2048.5\n"


def test_an_overfitted_run_says_so(tmp_path, run):
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 5, "loss": 1.51}\n{"step": 5, "eval_loss": 3.34}\n')
    outputs = {"output": tmp_path / "r.html", "figures_dir": tmp_path / "f", "tables_dir": tmp_path / "t"}
    make_report(**{**run, **outputs, "training_log": log, "examples": 0})
    warning = "The model is overfitted: the last validation loss is 3.34, the training loss 1.51."
    assert (tmp_path / "r.html").read_text().count(warning) == 2  # at the head and beside the curves


def test_an_evaluated_model_was_not_trained_here(tmp_path, run):
    outputs = {"output": tmp_path / "r.html", "figures_dir": tmp_path / "f", "tables_dir": tmp_path / "t"}
    config = {"evaluation": {"model": "shared/model"}}
    made = {"config": config, "models": {"encoder": run["run"]["models"]["encoder"]}}
    make_report(**{**run, **outputs, "training_log": None, "examples": 0, "run": made})
    page = (tmp_path / "r.html").read_text()
    assert "<strong>shared/model</strong> was trained before this run, which evaluated it." in page
    assert "Trained for" not in page and "Training records" not in page and Page(page).balanced


def test_a_missing_file_is_named_and_leaves_no_page(tmp_path, run):
    outputs = {"output": tmp_path / "r.html", "figures_dir": tmp_path / "f", "tables_dir": tmp_path / "t"}
    with pytest.raises(UserError, match=r"absent\.json: no such file"):
        make_report(**{**run, **outputs, "metrics": tmp_path / "absent.json"})
    assert not list(tmp_path.iterdir())


def test_summary_leaves_free_text_out_of_well_formed_answers(run, page):
    own = [
        row
        for path in run["scored"]
        for row in read_rows(path, SCORED)
        if row["system"] == "model" and row["task_type"] != "referring_desc"
    ]
    share = sum(row["parse_status"] == "ok" for row in own) / len(own)
    values = [data for tag, data in page.texts if tag == "dd"]
    assert f"{100 * share:.0f}\u202f%" in values


def test_confidences_are_shown_where_they_are_stated(page, text):
    assert text.count("<h4>Confidences</h4>") == 3 and text.count("<strong>uncalibrated</strong>") == 3
    shades = [
        attrs["style"] for tag, attrs in page.elements if tag == "rect" and "--sure" in attrs.get("style", "")
    ]
    titles = re.findall(r"confidence (\d\.\d\d)</title>", text)
    assert titles and len(shades) == len(titles)
    for shade, sure in zip(shades, titles, strict=True):
        assert float(re.fullmatch(r"--sure: (\d+)%", shade)[1]) == pytest.approx(10 + 80 * float(sure), abs=1)
