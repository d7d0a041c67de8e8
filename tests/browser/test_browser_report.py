"""The report as a reader meets it."""

import base64

import pytest
from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.browser

# Everything with text of its own, its colour, and the first background behind it that is not transparent.
CONTRASTS = """
const number = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
  .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const low = [];
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || !element.getClientRects().length || ["SCRIPT", "TITLE", "title"].includes(element.tagName)) continue;
  const style = getComputedStyle(element);
  const colour = number(element.closest("figure svg") ? style.fill : style.color);
  let behind = element;
  while (behind && (number(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
  const back = behind ? number(getComputedStyle(behind).backgroundColor) : [255, 255, 255];
  const [a, b] = [light(colour), light(back)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  const text = element.textContent.trim().slice(0, 40);
  if (ratio < 4.5) low.push(`${element.tagName} ${element.className} ${ratio.toFixed(2)}: ${text}`);
}
return low;
"""

# Texts of figures that leave their figure, and figures that are not seen.
BAD_FIGURES = """
const bad = [];
for (const figure of document.querySelectorAll("figure")) {
  const box = figure.querySelector("svg").getBoundingClientRect();
  const name = figure.querySelector("figcaption").textContent;
  if (box.width < 150 || box.height < 50 || box.right > innerWidth + 1 || box.left < 0)
    bad.push(`${name}: ${box.width} x ${box.height}`);
  for (const text of figure.querySelectorAll("svg text")) {
    const t = text.getBoundingClientRect();
    if (t.left < box.left - 2 || t.right > box.right + 2 || t.top < box.top - 2 || t.bottom > box.bottom + 2)
      bad.push(`${name}: text "${text.textContent}" leaves the figure`);
  }
}
return bad;
"""

# Filters that lie on top of each other.
OVERLAPS = """
const boxes = [...document.querySelectorAll("#filters select")].map((item) => item.getBoundingClientRect());
const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
return boxes.flatMap((a, i) => boxes.slice(i + 1).filter((b) => !apart(a, b)).map((b) => [a.left, b.left]));
"""

SHOWN = (
    'return [...document.querySelectorAll("#cards article:not([hidden])")].map((card) => ({...card.dataset}))'
)
COUNT = 'return document.querySelector(".count").textContent'
SYSTEMS = """
const seen = [...document.querySelectorAll(".answer")].filter((answer) => answer.getClientRects().length);
return [...new Set(seen.map((answer) => answer.dataset.system))].sort();
"""
CHOOSE = """
const select = document.querySelector(`#filters select[name=${arguments[0]}]`);
select.value = arguments[1];
select.dispatchEvent(new Event("change", { bubbles: true }));
"""


def test_no_errors_no_requests_no_foreign_script(browser, report):
    browser.driver.get_log("browser")
    browser.open(report)
    assert browser.driver.get_log("browser") == []
    assert browser('return performance.getEntriesByType("resource").map((entry) => entry.name)') == []
    assert browser("return window.hacked === undefined")


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_every_figure_is_visible_and_nothing_leaves_the_page(browser, report, width, dark):
    browser.open(report, width=width, dark=dark)
    assert browser("return document.documentElement.scrollWidth") <= width
    assert browser(OVERLAPS) == []
    # With everything unfolded and all examples shown.
    browser('document.querySelectorAll("details").forEach((item) => (item.open = true))')
    browser('document.getElementById("more").click()')
    assert browser('return document.querySelectorAll("figure svg").length') > 25
    assert browser(BAD_FIGURES) == []
    assert browser("return document.documentElement.scrollWidth") <= width


def test_what_matters_comes_first_and_details_are_folded(browser, report):
    browser.open(report)
    tops = browser(
        'return ["summary", "examples", "results"].map((id) => document.getElementById(id).getBoundingClientRect().top)'
    )
    assert tops == sorted(tops) and tops[1] < 1500
    folded = browser("return document.documentElement.scrollHeight")
    browser('document.querySelectorAll("details").forEach((item) => (item.open = true))')
    assert folded < 0.6 * browser("return document.documentElement.scrollHeight")


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast(browser, report, dark):
    browser.open(report, dark=dark)
    browser('document.querySelectorAll("details").forEach((item) => (item.open = true))')
    browser('document.getElementById("more").click()')
    assert browser(CONTRASTS) == []


def test_dark_and_light_differ(browser, report):
    seen = []
    for dark in (False, True):
        browser.open(report, dark=dark)
        seen.append(
            browser(
                "return [getComputedStyle(document.body).backgroundColor,"
                ' getComputedStyle(document.querySelector("figure svg text")).fill]'
            )
        )
    assert seen[0][0] != seen[1][0] and seen[0][1] != seen[1][1]


def test_filters(browser, report):
    browser.open(report)
    everything = browser('return document.querySelectorAll("#cards article").length')
    assert everything == 24  # six for each task
    assert len(browser(SHOWN)) == 8 and browser(COUNT) == "8 of 24 examples"

    browser(CHOOSE, "task", "grounding_single")
    shown = browser(SHOWN)
    assert len(shown) == 6 and {card["task"] for card in shown} == {"grounding_single"}
    places = [float(card["place"]) for card in shown]
    assert places == sorted(places) and shown[0]["kind"] == "worst"

    browser(CHOOSE, "order", "best")
    assert [float(card["place"]) for card in browser(SHOWN)] == sorted(places, reverse=True)

    browser(CHOOSE, "family", "domain")
    assert {card["data"] for card in browser(SHOWN)} == {"VenusX_Dom"}
    browser(CHOOSE, "family", "")

    browser(CHOOSE, "data", "VenusX_Act")
    assert {card["data"] for card in browser(SHOWN)} == {"VenusX_Act"}

    assert browser(SYSTEMS) == ["model"]
    browser(CHOOSE, "system", "")
    assert browser(SYSTEMS) == ["alignment", "majority", "model", "random_span"]
    # No referring record was answered by a baseline of places.
    browser(CHOOSE, "system", "random_span")
    browser(CHOOSE, "task", "referring_class")
    assert browser(SHOWN) == [] and browser(COUNT) == "0 of 0 examples"


def test_more_examples_by_keyboard(browser, report):
    browser.open(report)
    button = browser.driver.find_element("id", "more")
    assert button.text == "Show 16 more"
    button.send_keys(Keys.ENTER)
    assert len(browser(SHOWN)) == 24
    assert not button.is_displayed()
    # The first new card has the focus.
    assert (
        browser('return [...document.querySelectorAll("#cards article")].indexOf(document.activeElement)')
        == 8
    )


def test_everything_to_operate_is_reached_by_tab(browser, report):
    browser.open(report)
    reached = []
    for _ in range(400):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(browser("const e = document.activeElement; return e.name || e.id || e.tagName"))
        if reached[-1] == "more":
            break
    assert [name for name in reached if name in ("task", "family", "data", "system", "order", "more")] == [
        "task", "family", "data", "system", "order", "more",
    ]  # fmt: skip


def test_example_is_drawn_to_scale(browser, report):
    browser.open(report)
    browser(CHOOSE, "task", "grounding_single")
    drawn = browser(
        """
        const lane = document.querySelector("#cards article:not([hidden]) .truth .tracks");
        const line = lane.querySelector(".protein").getBoundingClientRect();
        const box = lane.querySelector(".box");
        const [first, last = first] = box.textContent.match(/(\\d+)(?:–(\\d+))?$/).slice(1).filter(Boolean).map(Number);
        const meta = lane.closest("article").querySelector(".meta").textContent;
        const residues = Number(meta.match(/([\\d\\u202f]+) residues/)[1].replace(/\\D/g, ""));
        return { line: line.width, left: box.x.baseVal.value, width: box.width.baseVal.value, first, last, residues };
        """
    )
    scale = drawn["line"] / drawn["residues"]
    assert drawn["left"] == pytest.approx((drawn["first"] - 1) * scale, abs=0.1)
    assert drawn["width"] == pytest.approx((drawn["last"] - drawn["first"] + 1) * scale, abs=0.1)


def test_prints_without_controls(browser, report):
    browser.open(report, dark=True)
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser('return document.getElementById("filters").getClientRects().length') == 0
    assert browser("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    pdf = base64.b64decode(browser.driver.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF") and len(pdf) > 50_000
