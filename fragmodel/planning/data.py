"""How much data a run has: counted from its raw files, or said by the user."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fragmodel.config.run import RunConfig
from fragmodel.data.ingest import iter_records
from fragmodel.errors import UserError
from fragmodel.files import text_digest
from fragmodel.homology.splits import SHARES
from fragmodel.vocabulary import DESCRIBING_TASKS, SPLITS

# Characters of a question or an answer in one token, at least: residue numbers take a token for each digit or two.
CHARACTERS_PER_TOKEN = 3
TEMPLATE_TOKENS = 20  # of the chat template around the turns
# Of a record whose text is not counted; the means of the shipped sample are 82 and 59.
PROMPT_TOKENS, ANSWER_TOKENS = 90, 80


@dataclass(frozen=True, kw_only=True)
class DataSize:
    """Counts of a run. Lengths are in residues, texts in the decoder's tokens."""

    counted: bool
    windows: int  # unique sequences, which the store holds
    residues: int  # of all windows
    longest: int  # window
    records: dict[str, int]  # by split
    record_residues: float  # mean of the training records
    prompt_tokens: float  # mean of question and template, without the protein
    answer_tokens: float  # mean, cut to `training.max_text_tokens`
    pairs: int  # training records that describe a protein or a fragment, which alignment takes
    pair_rows: float  # residues of the protein or fragment, mean of the pairs


def given(run: RunConfig, *, proteins: int, mean_length: float, records: int | None) -> DataSize:
    """Sizes as the user says them: ``proteins`` windows of ``mean_length`` residues.

    Without ``records`` (of all splits) each protein gives one for each task of the configuration.
    """
    tasks = {task for dataset in run.datasets.values() for task in dataset.tasks}
    total = records or proteins * len(tasks)
    describing = len(tasks.intersection(DESCRIBING_TASKS)) / len(tasks)
    longest = run.ingest.max_sequence_length
    if mean_length > longest:
        raise UserError(
            f"--mean-length {mean_length:g}: is above ingest.max_sequence_length ({longest}), to which longer "
            "proteins are cut"
        )
    return DataSize(
        counted=False,
        windows=proteins,
        residues=round(proteins * mean_length),
        longest=longest,
        records={split: round(total * share) for split, share in SHARES.items()},
        record_residues=mean_length,
        prompt_tokens=PROMPT_TOKENS,
        answer_tokens=min(ANSWER_TOKENS, run.training.max_text_tokens),
        pairs=round(total * SHARES["train"] * describing),
        pair_rows=mean_length,
    )


def count(run: RunConfig, folder: Path) -> DataSize:
    """Sizes of the run's raw files, whose paths are relative to ``folder``; every record is made once.

    Raises :class:`UserError` where a file is missing.
    """
    windows: dict[str, int] = {}
    records = dict.fromkeys(SPLITS, 0)
    residues = prompt = answer = pairs = pair_rows = 0
    for name, split, row in _rows(run, folder):
        length = len(row["sequence"])
        windows[text_digest(row["sequence"])] = length
        for each, share in SHARES.items() if run.datasets[name].split == "by_cluster" else [(split, 1)]:
            records[each] += share
        if split == "train":
            residues += length
            prompt += sum(len(turn["content"]) for turn in row["conversation"]) / CHARACTERS_PER_TOKEN
            answer += min(len(row["answer"]) / CHARACTERS_PER_TOKEN, run.training.max_text_tokens)
            if row["task_type"] in DESCRIBING_TASKS:
                start, end = row["position_ref"] or (0, length)
                pairs, pair_rows = pairs + 1, pair_rows + end - start
    train = max(records["train"], 1)
    return DataSize(
        counted=True,
        windows=len(windows),
        residues=sum(windows.values()),
        longest=max(windows.values(), default=run.ingest.max_sequence_length),
        records={split: round(number) for split, number in records.items()},
        record_residues=residues / train,
        prompt_tokens=prompt / train + TEMPLATE_TOKENS,
        answer_tokens=answer / train,
        pairs=pairs,
        pair_rows=pair_rows / max(pairs, 1),
    )


def _rows(run: RunConfig, folder: Path) -> Iterable[tuple[str, str, dict[str, Any]]]:
    """Data name, split as the files have it, and row of every record."""
    from tqdm import tqdm

    bar = tqdm(desc="counting records", unit=" records", delay=2)
    for name, dataset in run.datasets.items():
        for split in SPLITS:
            files = [folder / path for path in getattr(dataset, split)]
            if missing := [path for path in files if not path.exists()]:
                raise UserError(
                    f"datasets.{name}.{split}: {missing[0]}: no such file; "
                    "give the size of the data instead: --proteins N --mean-length L"
                )
            for task in dataset.tasks if files else []:
                for row in iter_records(
                    files,
                    task=task,
                    data_name=name,
                    format=dataset.format,
                    split=split,
                    family=dataset.family,
                    max_sequence_length=run.ingest.max_sequence_length,
                    min_visible_fraction=run.ingest.min_visible_fraction,
                    seed=run.seed,
                ):
                    if isinstance(row, dict):
                        bar.update()
                        yield name, split, row
    bar.close()
