"""`fragmodel serve` as a biologist meets it: the real command, a tiny model, Chromium."""

import random
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from test_browser_report import CONTRASTS
from tiny_models import build_model
from typer.testing import CliRunner

from fragmodel.cli import app
from fragmodel.evidence.library import Known, Relative, write_library
from fragmodel.model.answer_forms import write_forms
from fragmodel.model.trained import save_trained
from fragmodel.vocabulary import RELATIVES_FILE, Span

pytestmark = pytest.mark.browser

SEQUENCE = "".join(random.Random(3).choices("ACDEFGHIKLMNPQRSTVWY", k=150))
HOSTILE = "<script>window.hacked=1</script>"
CONTROL = "<|reserved_special_token_3|>"
FASTA = f">P12345 first\n{SEQUENCE}\n>{HOSTILE}\n{SEQUENCE[:40]}\n>{CONTROL}\n{SEQUENCE[5:50]}\n"
NAME = "SH3 <b>domain</b>"
OPTIONS = ("--device", "cpu", "--max-new-tokens", "64", "--window", "60")


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "model"
    model, tokenizer = build_model(tiny.spec(), include_encoder=False)
    save_trained(model, tokenizer, tiny.spec(), path)
    forms = {"classes": [NAME], "ids": {NAME: ["IPR001452"]}, "none": [], "points": True}
    write_forms(path, {"VenusX_Dom": forms})
    known = [Known(NAME, Span(5, 45), "Binds proline-rich peptides.")]
    about = {"tool": "mmseqs2", "max_lines": 2, "max_e_value": 1.0, "records_sha256": []}
    write_library(path / RELATIVES_FILE, [Relative("P67890", "domain", SEQUENCE, known)], about)
    return path


@pytest.fixture(scope="module")
def server(folder):
    """The running command, and the address that it prints."""
    command = [sys.executable, "-m", "fragmodel", "serve", "--model", str(folder), "--port", "0", *OPTIONS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process, process.stdout.readline().strip()
        process.kill()


class Page:
    """The page with what a visitor does."""

    def __init__(self, browser, address: str, **view) -> None:
        self.browser, self.driver = browser.open(address, **view), browser.driver
        self.wait(lambda: self.all("[name=family]"))

    def all(self, selector: str) -> list:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str):
        (found,) = self.all(selector)
        return found

    def wait(self, condition):
        return WebDriverWait(self.driver, 60, 0.05).until(lambda _: condition())

    def ask(self, text: str, *, families: tuple[str, ...] = ("domain",)) -> None:
        self.browser("document.getElementById('text').value = arguments[0]", text)
        for box in self.all("[name=family]"):
            if box.is_selected() != (box.get_attribute("value") in families):
                box.click()
        self.one("button.main").click()

    def found(self) -> list:
        self.wait(lambda: self.all(".downloads"))
        return self.all("article.protein")

    def inputs(self) -> list[str]:
        return [box.get_attribute("value") for box in self.all("article.protein:first-child .asking input")]


@pytest.fixture
def page(browser, server):
    browser.driver.get_log("browser")
    return Page(browser, server[1])


def predicted(folder, tmp_path, name, *options: str) -> bytes:
    """What `fragmodel predict` writes of the same proteins."""
    (tmp_path / "in.fasta").write_text(FASTA)
    output = tmp_path / f"out.{name}"
    files = ("--model", folder, "--fasta", tmp_path / "in.fasta", "--output", output)
    result = CliRunner().invoke(app, ["predict", *map(str, files), *options, *OPTIONS])
    assert result.exit_code == 0, result.stderr
    return output.read_bytes()


def test_from_fasta_to_drawings_and_files(page, server, folder, tmp_path):
    page.ask(FASTA)
    cards = page.found()
    assert [card.find_element(By.CSS_SELECTOR, ".uid").text for card in cards] == ["P12345", HOSTILE, CONTROL]
    assert "150 residues, read in 4 windows" in cards[0].text
    assert page.browser("return window.hacked === undefined")
    assert page.all("article script, article b") == []
    drawn = page.browser(
        """
        return [...document.querySelectorAll("article.protein")].map((card) => {
          const line = card.querySelector(".protein").getBoundingClientRect();
          const boxes = [...card.querySelectorAll(".box")].map((box) => {
            const place = box.textContent.match(/ (\\d+)(?:–(\\d+))?,/).slice(1);
            const [first, last = first] = place.filter(Boolean).map(Number);
            return { left: box.x.baseVal.value, width: box.width.baseVal.value, first, last };
          });
          return { name: card.querySelector("h5.name").firstChild.textContent, width: line.width, boxes };
        });
        """
    )
    assert all(each["name"] == NAME and each["boxes"] for each in drawn)
    for each, length in zip(drawn, (150, 40, 45), strict=True):
        scale = each["width"] / length
        for box in each["boxes"]:
            assert box["left"] == pytest.approx((box["first"] - 1) * scale, abs=0.1)
            assert box["width"] == pytest.approx((box["last"] - box["first"] + 1) * scale, abs=0.1)
    assert "P67890" in page.all(".evidence")[0].get_attribute("textContent")
    links = {link.text: link.get_attribute("href") for link in page.all(".downloads a")}
    assert list(links) == ["GFF3", "TSV", "BED", "JSON Lines"]
    with urllib.request.urlopen(links["GFF3"]) as answer:
        gff3 = answer.read()
    assert gff3 == predicted(folder, tmp_path, "gff3", "--task", "grounding_group", "--family", "domain")
    assert gff3.count(b"\tfragmodel\t") == sum(len(each["boxes"]) for each in drawn)
    # All of it from this server, and nothing that the policy had to stop.
    names = page.browser("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert names and all(name.startswith(server[1]) for name in names)
    assert page.driver.get_log("browser") == []


def test_residues_are_selected_and_described(page):
    page.ask(FASTA)
    first = page.found()[0]
    place = first.find_element(By.CSS_SELECTOR, ".place")
    place.click()
    assert "–".join(page.inputs()) == place.text
    # By keyboard: to the first residue, then eleven to the right with Shift.
    letters = first.find_element(By.CSS_SELECTOR, ".residues")
    letters.send_keys(Keys.HOME)
    letters.send_keys(Keys.SHIFT + Keys.ARROW_RIGHT * 11)
    assert page.inputs() == ["1", "12"]
    # By mouse: from the 12th residue to the 29th.
    ten = letters.find_elements(By.CSS_SELECTOR, ".ten")
    page.browser(
        """
        const [from, to, box] = arguments;
        const at = (block, part) => {
          const { left, top, width, height } = block.getBoundingClientRect();
          const [clientX, clientY] = [left + width * part, top + height * 0.8];
          return { clientX, clientY, pointerId: 1, pointerType: "mouse", bubbles: true };
        };
        box.setPointerCapture = () => {};
        box.hasPointerCapture = () => true;
        from.scrollIntoView({ block: "center" });
        from.dispatchEvent(new PointerEvent("pointerdown", at(from, 0.15)));
        to.dispatchEvent(new PointerEvent("pointermove", at(to, 0.85)));
        """,
        ten[1],
        ten[2],
        letters,
    )
    assert page.inputs() == ["12", "29"]
    band = page.browser(
        "const band = arguments[0].querySelector('.band').getBoundingClientRect();"
        "const line = arguments[0].querySelector('.ruler').getBoundingClientRect();"
        "return [(band.left - line.left) / line.width, band.width / line.width]",
        first,
    )
    assert band == pytest.approx([11 / 150, 18 / 150], abs=0.003)
    buttons = {button.text: button for button in first.find_elements(By.CSS_SELECTOR, ".asking button")}
    assert list(buttons) == ["Describe", "Classify"]
    buttons["Classify"].click()
    page.wait(lambda: len(first.find_elements(By.CSS_SELECTOR, ".answer")) == 1)
    answer = first.find_element(By.CSS_SELECTOR, ".answer").text
    assert answer.startswith(f"12–29 as a domain: class\n{NAME} IPR001452")
    assert "Confidence" in answer and "not calibrated" in answer and "Evidence of 1 source" in answer
    buttons["Describe"].click()
    page.wait(lambda: len(first.find_elements(By.CSS_SELECTOR, ".answer")) == 2)
    # By numbers, and what does not lie in the protein.
    end = first.find_elements(By.CSS_SELECTOR, ".asking input")[1]
    end.clear()
    end.send_keys("151")
    buttons["Describe"].click()
    fault = first.find_element(By.CSS_SELECTOR, ".fault")
    page.wait(fault.is_displayed)
    assert (
        fault.text
        == "residues: the fragment ends at residue 151 of 'P12345', which has 150; mend its positions"
    )


@pytest.mark.parametrize(
    ("text", "families", "told"),
    [
        ("", ("domain",), "proteins: nothing here; paste a sequence or FASTA, or choose a file"),
        ("MKT<i>AYI", ("domain",), "proteins: record 1 'protein': '<' at residue 4 of the sequence is no residue"),
        (">a\nMKV", (), "kinds: choose one kind of fragment at least"),
        ("M" * 50_001, ("domain",), "more than 100 proteins or 50,000 residues at 'protein'; ask in parts"),
        (">" + "a" * 600_000, ("domain",), "the text is too long; ask in parts"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_place(page, text, families, told):
    page.ask(text, families=families)
    fault = page.one("#fault")
    page.wait(fault.is_displayed)
    assert told in fault.text and "\n" not in fault.text
    assert page.one("button.main").is_enabled() and page.all("article") == []


def test_work_is_cancelled(page):
    page.ask("".join(f">p{i}\n{SEQUENCE}\n" for i in range(90)))
    page.wait(lambda: "questions" in page.one("#progress").text)
    page.one("#progress button").click()
    page.wait(lambda: page.one("#fault").text == "cancelled")
    assert not page.one("#progress").is_displayed() and page.one("button.main").is_enabled()
    page.ask(SEQUENCE)
    assert len(page.found()) == 1


@pytest.mark.parametrize("dark", [False, True])
def test_phone_width_and_contrast(browser, server, dark):
    page = Page(browser, server[1], width=390, height=800, dark=dark)
    page.ask(FASTA)
    first = page.found()[0]
    first.find_element(By.CSS_SELECTOR, ".place").click()
    browser('document.querySelectorAll("details").forEach((item) => (item.open = true))')
    assert browser("return document.documentElement.scrollWidth") <= 390
    assert browser(CONTRASTS) == []


def test_everything_to_operate_is_reached_by_tab_with_a_visible_focus(page):
    page.ask(SEQUENCE)
    page.found()
    page.browser("document.activeElement.blur(); scrollTo(0, 0)")
    page.driver.find_element(By.CSS_SELECTOR, "body").send_keys("")
    page.browser("document.querySelector('.skip').focus()")
    reached, unseen = [], []
    for _ in range(60):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        name, outline = page.browser(
            "const e = document.activeElement; const seen = getComputedStyle(e.closest('.file') ?? e);"
            "return [e.name || e.id || e.className || e.textContent, seen.outlineStyle]"
        )
        reached.append(name)
        unseen += [name] if outline == "none" else []
        if name == "Classify":
            break
    order = [
        "text",
        "file",
        "task",
        "family",
        "least",
        "main",
        "button",
        "place",
        "residues",
        "Describe",
        "Classify",
    ]
    assert [name for name in dict.fromkeys(reached) if name in order] == order
    assert unseen == []


def test_ctrl_c_ends_it_at_once_whatever_it_is_at(page, server):
    """The last test: it ends the server of all."""
    process, address = server
    page.ask("".join(f">p{i}\n{SEQUENCE}\n" for i in range(90)))
    page.wait(lambda: "questions" in page.one("#progress").text)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert "Traceback" not in process.stderr.read()
    page.wait(lambda: "is fragmodel serve still running?" in page.one("#fault").text)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address)
