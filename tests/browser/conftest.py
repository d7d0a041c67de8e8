"""Fixtures: a real browser without a window, and a report to open in it."""

import shutil

import pytest
from report_run import build_run
from system_tools import require_tool

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # containers run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class Browser:
    """Chromium with what the tests ask of it."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, *, width=1280, height=900, dark=False):
        """Show a file, or an address, in a window of ``width`` × ``height`` CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},  # nothing moves while a test clicks
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": scheme})
        self.driver.get(path if isinstance(path, str) else path.as_uri())
        return self

    def __call__(self, script, *arguments):
        """The value that ``script`` returns."""
        return self.driver.execute_script(script, *arguments)


@pytest.fixture(scope="session")
def browser():
    require_tool("chromium", "chromium")
    require_tool("chromedriver", "chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in ARGUMENTS:
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """Path of a report's HTML file."""
    from fragmodel.report.page import make_report

    arguments = build_run(tmp_path_factory.mktemp("run"))
    make_report(**arguments)
    return arguments["output"]
