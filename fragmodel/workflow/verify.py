"""Whether the files of a run are those that were written: every byte that has a checksum is read."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fragmodel import tables
from fragmodel.digests import SUMS, fault_of, faults, noted
from fragmodel.errors import UserError

_CONTRACTS = {
    "data": tables.RECORDS,
    "rejects": tables.REJECTS,
    "splits": tables.SPLIT_ASSIGNMENT,
    "windows.parquet": tables.WINDOWS,
    "embeddings": tables.EMBEDDED,
    "predictions": tables.PREDICTIONS,
    "baselines": tables.PREDICTIONS,
    "audit": tables.LEAKAGE,
    "scores": tables.SCORED,
}


_TEXT = (".json", ".jsonl", ".html")


@dataclass(slots=True)
class Verdict:
    """One kind of files: how many, how large, and what is wrong with them, a line each."""

    kind: str
    files: int = 0
    size: int = 0  # bytes
    faults: list[str] = field(default_factory=list)

    def saw(self, path: Path, found: list[str]) -> None:
        """Count a file, or a folder with what lies in it."""
        members = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
        self.files += len(members)
        self.size += sum(file.stat().st_size for file in members)
        self.faults += found


def verify_run(results: Path, store: Path | None = None) -> list[Verdict]:
    """Read the tables, weights, checkpoints, JSON, page and stores of a run.

    ``store`` is where the run keeps encoder states, ``results / "store"`` unless given. Raises :class:`UserError`
    where ``results`` is no folder.
    """
    if not results.is_dir():
        raise UserError(f"{results}: no such folder; name the folder of a run (`results` in its config)")
    store = store or results / "store"
    kinds = {name: Verdict(name) for name in ("tables", "weights", "checkpoints", "text", "store", "texts")}
    for path in sorted(_files(results, [store, results / "store", results / "texts"])):
        checkpoint = path.parent.name.startswith("checkpoint-")
        if path.suffix == ".parquet":
            kinds["tables"].saw(path, list(_of_table(path, path.relative_to(results).parts[0])))
        elif path.name == SUMS:
            kinds["checkpoints" if checkpoint else "weights"].saw(path.parent, faults(path.parent))
        elif path.suffix in _TEXT and path.name not in noted(path.parent):
            kinds["text"].saw(path, list(_of_text(path)))
    if store.is_dir():
        _of_store(results, store, kinds["store"])
    if found := sorted((results / "texts").glob("*/*.safetensors")):
        from fragmodel.alignment.texts import damage

        for path in found:
            fault = damage(path)
            kinds["texts"].saw(path, [f"{fault}; remove it with alignment/texts.json"] if fault else [])
    return [verdict for verdict in kinds.values() if verdict.files or verdict.faults]


def _files(folder: Path, leave_out: list[Path]) -> Iterator[Path]:
    for path in folder.iterdir():
        if path in leave_out or path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files(path, leave_out)
        elif path.is_file():
            yield path


def _of_table(path: Path, place: str) -> Iterator[str]:
    contract = _CONTRACTS.get(place)
    try:
        with tables.open_table(path, contract) as parquet, tables.damage_told(path, contract):
            for _ in parquet.iter_batches():
                pass
    except UserError as error:
        yield str(error)


def _of_text(path: Path) -> Iterator[str]:
    if fault := fault_of(path):
        yield f"{fault}; remove it, its stage writes it anew"
        return
    if path.suffix == ".html":
        return
    try:
        text = path.read_text(encoding="utf-8")
        for part in text.splitlines() if path.suffix == ".jsonl" else [text]:
            json.loads(part)
    except ValueError as error:  # also bytes that are no text
        yield f"{path}: damaged ({' '.join(str(error).split())[:100]}); remove it, its stage writes it anew"


def _of_store(results: Path, store: Path, verdict: Verdict) -> None:
    from fragmodel.embeddings.maintenance import verify
    from fragmodel.embeddings.manifest import lost

    for folder in store.iterdir():
        if folder.is_dir():
            verdict.saw(folder, [])
    remedy = f"`fragmodel store verify {store} --remove`, then start the workflow again"
    verdict.faults += [f"{message}; {remedy}" for _, message, _ in verify(store)]
    for manifest in sorted((results / "embeddings").glob("*.parquet")):
        try:
            count = lost(manifest, store)
        except UserError:
            continue  # told among the tables
        if count:
            told = f"{count} of its sequences are not in {store}; remove it, the workflow embeds these alone"
            verdict.faults.append(f"{manifest}: {told}")
