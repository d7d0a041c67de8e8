"""`snakemake --report` collects what a run is judged by."""

import zipfile

import pytest

pytestmark = pytest.mark.slow


def test_page_figures_and_tables_with_their_captions(finished):
    finished.snakemake("--report", "collected.zip")
    with zipfile.ZipFile(finished.folder / "collected.zip") as archive:
        names = {name.rpartition("/")[2] for name in archive.namelist()}
        (index,) = (name for name in archive.namelist() if name.endswith("collected/report.html"))
        page = archive.read(index).decode()
    figures = {path.name for path in (finished.results / "figures").glob("*.svg")}
    tables = {path.name for path in (finished.results / "tables").glob("*.csv")}
    assert figures and tables and figures | tables | {"report.html"} <= names
    for caption in ("A single page on the run", "A figure of the report page", "A table of the report page"):
        assert caption in page
