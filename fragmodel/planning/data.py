"""How much data a run has: counted from its raw files, or said by the user."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fragmodel.config.run import RunConfig
from fragmodel.data.catalogue import Negatives
from fragmodel.data.ingest import iter_records
from fragmodel.errors import UserError
from fragmodel.files import text_digest
from fragmodel.homology.splits import SHARES
from fragmodel.tables import Record
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


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """One record: residues of its window, tokens of its question and of its answer."""

    residues: int
    prompt: int
    answer: int

    @classmethod
    def longest(cls, run: RunConfig, data: DataSize) -> "Lengths":
        """The longest record that a batch can hold."""
        return cls(
            residues=data.longest, prompt=round(data.prompt_tokens), answer=run.training.max_text_tokens
        )

    @classmethod
    def mean(cls, data: DataSize) -> "Lengths":
        """The mean training record."""
        return cls(
            residues=round(data.record_residues),
            prompt=round(data.prompt_tokens),
            answer=max(round(data.answer_tokens), 1),
        )

    @property
    def tokens(self) -> int:
        """Positions in the decoder: BOS, residues and EOS, then the text."""
        return self.residues + 2 + self.prompt + self.answer


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
    for name, split, record in _records(run, folder):
        length = len(record.sequence)
        windows[text_digest(record.sequence)] = length
        for each, share in SHARES.items() if run.datasets[name].split == "by_cluster" else [(split, 1)]:
            records[each] += share
        if split == "train":
            residues += length
            prompt += sum(len(turn["content"]) for turn in record.conversation) / CHARACTERS_PER_TOKEN
            answer += min(len(record.answer) / CHARACTERS_PER_TOKEN, run.training.max_text_tokens)
            if record.task_type in DESCRIBING_TASKS:
                pairs += 1
                pair_rows += record.position_ref.length if record.position_ref else length
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


def _records(run: RunConfig, folder: Path) -> Iterable[tuple[str, str, Record]]:
    """Data name, split as the files have it, and every record."""
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
                for item in iter_records(
                    files,
                    task=task,
                    data_name=name,
                    format=dataset.format,
                    split=split,
                    family=dataset.family,
                    max_sequence_length=run.ingest.max_sequence_length,
                    min_visible_fraction=run.ingest.min_visible_fraction,
                    seed=run.seed,
                    negatives=Negatives(
                        run.ingest.negatives.share, run.ingest.negatives.hard, dataset.complete
                    ),
                ):
                    if isinstance(item, Record):
                        bar.update()
                        yield name, split, item
    bar.close()
