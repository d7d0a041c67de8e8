"""Records as training examples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from torch.utils.data import ConcatDataset, Dataset

from fragmodel.batching import token_cache
from fragmodel.batching.token_cache import TokenCache, cached_tokens
from fragmodel.data.ingest import iter_records
from fragmodel.embeddings.store import EmbeddingStore
from fragmodel.errors import UserError
from fragmodel.evidence.block import as_without_relatives
from fragmodel.model.chat import ChatEncoder
from fragmodel.model.token_loss import IGNORED
from fragmodel.tables import RECORDS, Record, read_table, record_at, to_table
from fragmodel.vocabulary import LONGEST_WINDOW, Family, TaskType

_SPLIT_NAMES = {"valid": ("valid", "validation", "val", "dev")}
_RAW_ENDINGS = (".json", ".jsonl", ".csv")


class FragRefDataset(Dataset):
    """Examples of one data set and task, in the order of the file.

    Item ``i`` is a dict with ``input_ids`` and ``labels`` (lists of ints; the prompt's labels are -100),
    ``position_ref`` (``[start, end]`` in the window, 0-based half-open, or None), ``sequence``, ``record_id``
    and, with a store, ``protein_hidden_states [residues + 2, encoder_dim]`` in the stored dtype.
    """

    def __init__(
        self,
        records: pa.Table,
        chat: ChatEncoder,
        *,
        store: EmbeddingStore | None = None,
        max_text_tokens: int = 512,
        prompts_only: bool = False,
        tokens: Sequence[TokenCache] = (),
    ) -> None:
        """``records`` has the columns of :data:`fragmodel.tables.RECORDS`.

        Their texts are tokenised here, once; or they have been before, and ``tokens`` has them.
        """
        self.records = records
        self.chat = chat
        self.store = store
        self.max_text_tokens = max_text_tokens
        self.prompts_only = prompts_only
        if tokens:
            self.chat = chat.reading(tokens)
            return
        messages, answers = _texts(records)
        chat.tokenise(messages.to_pylist())
        if not prompts_only:
            chat.tokenise(answers.to_pylist())

    @classmethod
    def from_files(
        cls, files: Sequence[Path], chat: ChatEncoder, *, without_evidence: bool = False, **options: Any
    ) -> "FragRefDataset":
        """Read Parquet files of the records contract, in the order given.

        Where they have many records, the ids of their texts are kept beside them
        (:mod:`fragmodel.batching.token_cache`). ``without_evidence``: they are asked as if no relative were known.
        """
        tables = [read_table(path, RECORDS) for path in files]
        if without_evidence:
            tables = [as_without_relatives(table) for table in tables]
        records, tokens = pa.concat_tables(tables), []
        if len(records) >= token_cache.FEWEST_RECORDS and not without_evidence:
            tokens = [
                cached_tokens(path, _texts(table), chat) for path, table in zip(files, tables, strict=True)
            ]
        return cls(records, chat, tokens=tokens if all(tokens) else (), **options)

    @classmethod
    def from_root(
        cls,
        root_dir: Path,
        data_name: str,
        task_type: TaskType,
        split: str,
        chat: ChatEncoder,
        *,
        family: Family | None = None,
        max_sequence_length: int = LONGEST_WINDOW,
        **options: Any,
    ) -> "FragRefDataset":
        """Read ``root_dir/data_name``: the pipeline's Parquet, or raw files of any format that ingestion reads.

        ``family`` is for raw files of a data set whose name tells none, as in ingestion. Raw records that it rejects
        are counted in a warning. Raises :class:`UserError` when nothing is
        found or nothing is usable.
        """
        path = find_split(root_dir, data_name, task_type, split)
        if path.suffix == ".parquet":
            return cls.from_files([path], chat, **options)
        records = []
        rejected: dict[str, int] = {}
        for item in iter_records(
            [path],
            task=task_type,
            data_name=data_name,
            split=split,
            family=family,
            max_sequence_length=max_sequence_length,
        ):
            if isinstance(item, Record):
                records.append(item)
            else:
                rejected[item.reason] = rejected.get(item.reason, 0) + 1
        if rejected:
            print(f"{path}: rejected {sum(rejected.values())} of its fragments for {task_type}: {rejected}")
        if not records:
            raise UserError(
                f"{path}: no usable record for task '{task_type}' ({rejected or 'the file is empty'})"
            )
        return cls(to_table(records), chat, **options)

    def __len__(self) -> int:
        return len(self.records)

    def record(self, index: int) -> Record:
        """The record that item ``index`` is made from."""
        return record_at(self.records, index)

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Items of a batch, whose stored states are fetched together; loaders of torch ask so."""
        self.read_ahead(indices)
        return [self[index] for index in indices]

    def read_ahead(self, indices: Sequence[int]) -> None:
        """Let the system fetch the stored states of several items at once, before they are read one by one."""
        if self.store is not None:
            self.store.read_ahead(self.records["sequence"][index].as_py() for index in indices)

    def __getitem__(self, index: int) -> dict[str, Any]:
        record = self.record(index)
        prompt = self.chat.prompt(record.conversation, len(record.sequence))
        item: dict[str, Any] = {
            "record_id": record.record_id,
            "sequence": record.sequence,
            "position_ref": list(record.position_ref) if record.position_ref else None,
            "input_ids": prompt,
        }
        if not self.prompts_only:
            answer = self.chat.answer(record.answer)
            if len(answer) > self.max_text_tokens:
                # The end-of-turn token stays: a cut answer must still teach the model to stop.
                answer = [*answer[: self.max_text_tokens - 1], answer[-1]]
            item["input_ids"] = prompt + answer
            item["labels"] = [IGNORED] * len(prompt) + answer
        if self.store is not None:
            item["protein_hidden_states"] = self.store.view(record.sequence)
        return item


def _texts(records: pa.Table) -> tuple[pa.Array, pa.Array]:
    """The different texts of conversations and of answers."""
    turns = pc.list_flatten(records.column("conversation"))
    return pc.unique(pc.struct_field(turns, "content")), pc.unique(records.column("answer"))


class JoinedDataset(ConcatDataset):
    """Several data sets one after the other, whose batches' stored states are fetched together."""

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Items of a batch; loaders of torch ask so."""
        self.read_ahead(indices)
        return [self[index] for index in indices]

    def read_ahead(self, indices: Sequence[int]) -> None:
        """As :meth:`FragRefDataset.read_ahead`."""
        for part, dataset in enumerate(self.datasets):
            first = self.cumulative_sizes[part] - len(dataset)
            dataset.read_ahead([index - first for index in indices if 0 <= index - first < len(dataset)])


def find_split(root_dir: Path, data_name: str, task_type: str, split: str) -> Path:
    """The file or folder of a split below ``root_dir/data_name``.

    Looked for in this order: ``<task>/<split>.parquet`` (the pipeline's layout), ``<task>/<split>`` and
    ``<split>`` with the endings of raw files, also gzipped. `Venux_*` and `VenusX_*` are the same name.
    Raises :class:`UserError` that lists what was tried.
    """
    root_dir = Path(root_dir)
    if not root_dir.is_dir():
        raise UserError(f"--root_dir {root_dir}: no such folder")
    names = [data_name]
    for ours, theirs in (("Venux_", "VenusX_"), ("VenusX_", "Venux_")):
        if data_name.startswith(ours):
            names.append(theirs + data_name.removeprefix(ours))
    tried = []
    for name in names:
        for split_name in _SPLIT_NAMES.get(split, (split,)):
            raw = [
                f"{name}/{folder}{split_name}{ending}{packed}"
                for folder in (f"{task_type}/", "")
                for ending in _RAW_ENDINGS
                for packed in ("", ".gz")
            ]
            for candidate in [f"{name}/{task_type}/{split_name}.parquet", *raw]:
                tried.append(candidate)
                if (root_dir / candidate).exists():
                    return root_dir / candidate
    present = sorted(child.name for child in root_dir.iterdir())[:8]
    raise UserError(
        f"--root_dir {root_dir} --data_name {data_name}: no {split} file for task '{task_type}'; "
        f"looked for {tried[0]}, {tried[1]}, …; the folder holds {', '.join(present) or 'nothing'}"
    )
