"""Time and memory by stage."""

from fragmodel.report import labels
from fragmodel.report.benchmarks import read_benchmarks

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def write(path, seconds, memory):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}{seconds}\t0:00:05\t{memory}\t-\t-\t-\t-\t-\t-\t-\n")


def test_jobs_of_a_stage_are_added_up(tmp_path):
    write(tmp_path / "ingest/A/train.tsv", 2.5, "100.5")
    write(tmp_path / "ingest/A/test.tsv", 1.5, "NA")
    write(tmp_path / "training.tsv", 90, 512)
    write(tmp_path / "windows.tsv", 0.1, "-")
    write(tmp_path / "report.tsv", 9, 9)  # of the page before this one
    assert read_benchmarks(tmp_path) == [
        ("training", 1, 90.0, 512.0),
        ("ingest", 2, 4.0, 100.5),
        ("windows", 1, 0.1, None),
    ]
    assert read_benchmarks(None) == read_benchmarks(tmp_path / "elsewhere") == []


def test_times_in_words():
    times = {4.2: "4.2 s", 59.96: "60.0 s", 70.4: "1 min 10 s", 7500: "2 h 05 min"}
    assert {seconds: labels.duration(seconds).replace("\u202f", " ") for seconds in times} == times
