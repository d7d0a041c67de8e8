"""The raw files of a run, read before its first job: what ingestion would refuse, and classes that cannot be learnt."""

from collections.abc import Iterator
from pathlib import Path

from fragmodel.config.datasets import DatasetConfig
from fragmodel.config.run import RunConfig
from fragmodel.config.stages import place_of
from fragmodel.data.ingest import TaskTables, ingest_tasks
from fragmodel.data.readers import open_sources
from fragmodel.errors import UserError
from fragmodel.files import temporary_folder
from fragmodel.planning.finding import Finding
from fragmodel.tables import RECORDS, iter_columns
from fragmodel.vocabulary import SPLITS, Split, TaskType, told_family

READ_BYTES = 8_000_000  # of a data set's files: a few seconds; of larger ones the beginning is read
NAMING: tuple[TaskType, ...] = (
    "referring_class",
    "grounding_single",
    "grounding_group",
)  # tasks that name classes


def raw_findings(run: RunConfig, *, made_elsewhere: bool) -> Iterator[Finding]:
    """Faults of the raw files, and a note on classes of a test split that its training split never has.

    Data sets whose tables are younger than their files have been read. ``made_elsewhere``: absent files are no fault.
    """
    for name, dataset in run.datasets.items():
        key = f"datasets.{name}"
        paths = [(split, Path(path)) for split in SPLITS for path in getattr(dataset, split)]
        absent = [(split, path) for split, path in paths if not path.exists()]
        if absent:
            if not made_elsewhere:
                yield from (
                    Finding(f"{key}.{split}", "missing", f"{path}: no such file") for split, path in absent
                )
        elif not _is_ingested(run, name, dataset, [path for _, path in paths]):
            size = sum(_size(path) for _, path in paths)
            yield from (_read(run, name, dataset) if size <= READ_BYTES else _opened(name, dataset, size))


def _read(run: RunConfig, name: str, dataset: DatasetConfig) -> Iterator[Finding]:
    """What ingestion says of a data set: it is done, into a folder that is removed again."""
    splits: list[Split] = (
        ["train"] if dataset.split == "by_cluster" else [s for s in SPLITS if getattr(dataset, s)]
    )
    classes: dict[str, set[str]] = {}
    with temporary_folder() as folder:
        for split in splits:
            tables = {
                task: TaskTables(Path(folder, f"{task}.{split}"), Path(folder, f"{task}.{split}.rejects"))
                for task in dataset.tasks
            }
            try:
                ingest_tasks(
                    [Path(path) for path in getattr(dataset, split)],
                    tables,
                    data_name=name,
                    format=dataset.format,
                    family=dataset.family,
                    split=split,
                    max_sequence_length=run.ingest.max_sequence_length,
                    min_visible_fraction=run.ingest.min_visible_fraction,
                    max_rejected_fraction=run.ingest.max_rejected_fraction,
                    seed=run.seed,
                    allow_empty=False,
                )
            except UserError as error:
                yield Finding(f"datasets.{name}.{split}", "missing", " ".join(str(error).split()))
                continue
            naming = [tables[task].records for task in dataset.tasks if task in NAMING]
            classes[split] = {
                each
                for path in naming
                for (found,) in iter_columns(path, RECORDS, ["classes"])
                for each in found
            }
    asked = classes.get(run.evaluation.split, set())
    if unknown := asked - classes.get("train", asked):
        text = (
            f"training has none of {len(unknown)} of the {len(asked)} classes of the {run.evaluation.split} records, "
            f"which no system can name then: {'; '.join(sorted(unknown)[:3])}{'; …' if len(unknown) > 3 else ''}"
        )
        yield Finding(f"datasets.{name}", "note", text)


def _opened(name: str, dataset: DatasetConfig, size: int) -> Iterator[Finding]:
    """What the beginnings of large files tell."""
    family = dataset.family or told_family(name) or ("fragment" if dataset.tasks == ["function"] else None)
    for split in SPLITS:
        try:
            paths = [Path(path) for path in getattr(dataset, split)]
            open_sources(paths, format=dataset.format, family=family, split=split)
        except UserError as error:
            yield Finding(f"datasets.{name}.{split}", "missing", str(error))
    text = (
        f"{size / 1e6:,.0f} MB of raw files: their beginnings are read here; the rest speaks up in ingestion"
    )
    yield Finding(f"datasets.{name}", "note", text)


def _is_ingested(run: RunConfig, name: str, dataset: DatasetConfig, raw: list[Path]) -> bool:
    tables = [
        Path(place_of(run, f"data/{name}/{task}/{split}.parquet"))
        for task in dataset.tasks
        for split in SPLITS
    ]
    if not all(path.is_file() for path in tables):
        return False
    made = min(path.stat().st_mtime for path in tables)
    return all(file.stat().st_mtime < made for path in raw for file in (path, *path.rglob("*")))


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
