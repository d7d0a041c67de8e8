"""Ingestion at 10⁴, 10⁵ and 10⁶ fragments: growth of time, throughput and peak memory.

The generator multiplies the proteins of the shipped sample under new accessions. The peer is what a script would do:
`json.load` or `pandas.read_csv` of the whole file, the same checks of each row (letters, bounds, fragment text), and
`to_parquet`. Each run is a process of its own, so that its peak memory is its own.
"""

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

from benchmarks.measure import peak_memory, row

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
FAMILIES = ("Dom", "Act", "BindI", "Evo", "Motif")
LETTERS = set("ACDEFGHIKLMNPQRSTVWYUOBZX")
TASK = "referring_class"


def copies() -> Iterator[dict[str, Any]]:
    """The sample's training proteins again and again, each copy under its own accession."""
    proteins = [
        protein
        for family in FAMILIES
        for protein in json.loads((SAMPLE / f"VenusX_{family}" / "train.json").read_text(encoding="utf-8"))
    ]
    for copy in count():
        for number, protein in enumerate(proteins):
            yield {**protein, "uid": f"{protein['uid']}_{number}_{copy}"}


def write_nested(path: Path, fragments: int) -> None:
    """Nested JSON with at least that many fragments."""
    written = 0
    with path.open("w", encoding="utf-8") as handle:
        for protein in copies():
            handle.write(f"{',' if written else '['}\n{json.dumps(protein)}")
            written += sum(len(entry["frags"]) for entry in protein["fragments"])
            if written >= fragments:
                break
        handle.write("\n]\n")


def write_venusx(path: Path, fragments: int) -> None:
    """VenusX CSV (`fragment_cls`) with that many rows."""
    rows = (
        (
            protein["uid"],
            entry["category"],  # stands for the accession, which UniProt's own features lack
            protein["sequence"],
            place["sequence"],
            place["start_position"] + 1,
            place["end_position"] + 1,
            0,
        )
        for protein in copies()
        for entry in protein["fragments"]
        for place in entry["frags"]
    )
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["uid", "interpro_id", "seq_full", "seq_fragment", "start", "end", "interpro_label"])
        writer.writerows(islice(rows, fragments))


def ours(raw: Path, folder: Path) -> int:
    """Ingest the file; returns the number of accepted fragments."""
    from fragmodel.data.ingest import ingest

    summary = ingest(
        [raw],
        task=TASK,
        data_name="VenusX_all",
        output=folder / "ours.parquet",
        rejects=folder / "rejects.parquet",
    )
    return summary.accepted


def plain(raw: Path, folder: Path) -> int:
    """Load the whole file, check each row, write Parquet; returns the number of accepted fragments."""
    import pandas as pd

    rows = []
    if raw.suffix == ".json":
        with raw.open(encoding="utf-8") as handle:
            proteins = json.load(handle)
        for protein in proteins:
            for entry in protein["fragments"]:
                for place in entry["frags"]:
                    start, end = place["start_position"], place["end_position"] + 1
                    if _valid(protein["sequence"], start, end, place["sequence"]):
                        rows.append((protein["uid"], protein["sequence"], start, end, entry["category"]))
    else:
        table = pd.read_csv(raw)
        for row in table.itertuples():
            if _valid(row.seq_full, row.start - 1, row.end, row.seq_fragment):
                rows.append((row.uid, row.seq_full, row.start - 1, row.end, row.interpro_id))
    frame = pd.DataFrame(rows, columns=["uid", "sequence", "start", "end", "answer"])
    frame.to_parquet(folder / "plain.parquet", compression="zstd")
    return len(frame)


def _valid(sequence: str, start: int, end: int, text: str) -> bool:
    return LETTERS.issuperset(sequence) and 0 <= start < end <= len(sequence) and sequence[start:end] == text


def measure(system: str, raw: Path, folder: Path) -> dict[str, float]:
    """Run a system on a file in a new process: CPU seconds (without starting Python) and peak memory in MiB."""
    command = [sys.executable, "-m", "benchmarks.ingest", system, str(raw), str(folder)]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    return json.loads(done.stdout.splitlines()[-1])


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows `{"name", "ours", "peer", "unit", "ratio"}`; ratio > 1 means that we are better."""
    rows = []
    sizes = (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000)
    with tempfile.TemporaryDirectory(prefix="fragmodel-bench-") as name:
        folder = Path(name)
        for layout, write in (("nested.json", write_nested), ("venusx.csv", write_venusx)):
            seconds = {}
            for size in sizes:
                raw = folder / layout
                write(raw, size)
                results = {system: measure(system, raw, folder) for system in ("ours", "plain")}
                seconds[size] = results["ours"]["seconds"]
                mine, peer = results["ours"], results["plain"]
                assert mine["fragments"] == peer["fragments"] >= size
                title = f"ingest {layout} {size:,} fragments"
                speed, peer_speed = mine["fragments"] / mine["seconds"], peer["fragments"] / peer["seconds"]
                rows += [
                    row(f"{title}: throughput", speed, peer_speed, "fragments per CPU second"),
                    row(f"{title}: peak memory", mine["peak"], peer["peak"], "MiB", less=True),
                ]
                raw.unlink()
            # Linear growth: ten times the fragments may take ten times as long.
            growth = seconds[sizes[-1]] / seconds[sizes[-2]]
            ideal = sizes[-1] / sizes[-2]
            name = f"ingest {layout}: CPU time for 10 times the fragments"
            rows.append(row(name, growth, ideal, "times", less=True))
    return rows


def main() -> None:
    """One measured run: `python -m benchmarks.ingest ours|plain RAW FOLDER`."""
    system, raw, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if system == "ours":
        import fragmodel.data.ingest  # noqa: F401  (importing is not what is measured)
    else:
        import pandas  # noqa: F401
    begun = time.process_time()  # of all threads; other jobs on the machine do not change it
    fragments = {"ours": ours, "plain": plain}[system](raw, folder)
    seconds = time.process_time() - begun
    print(json.dumps({"fragments": fragments, "seconds": seconds, "peak": peak_memory()}))


if __name__ == "__main__":
    main()
