"""Training runs of a few steps on a few records, in this process."""

from pathlib import Path
from typing import Any

from tiny_models import TinyModels, grounding_record, referring_record

from fragmodel.tables import RECORDS, write_table
from fragmodel.training.arguments import Arguments, parse_arguments
from fragmodel.training.flags import TRAINER

ROWS = [referring_record(0), grounding_record(1), referring_record(2, (10, 20), "serine protease")] * 2


def write_rows(path: Path, rows: list[dict[str, Any]] | None = None) -> Path:
    """The rows as a records file."""
    numbered = [row | {"record_id": f"{number}"} for number, row in enumerate(rows or ROWS)]
    write_table(path, RECORDS, numbered, {})
    return path


def small_run(tiny: TinyModels, folder: Path, *words: str, program: str = TRAINER) -> Arguments:
    """Arguments of a run on six records, two a step, with its output in ``folder / "out"``."""
    records = folder / "records.parquet"
    if not records.exists():
        write_rows(records)
    settings = {
        **{"esm_path": tiny.encoder, "llama_path": tiny.untied, "train_files": records},
        **{"output_dir": folder / "out", "intermediate_dim": 32, "num_perceiver_heads": 4, "lora_rank": 4},
        **{"per_device_train_batch_size": 2, "max_steps": 2, "logging_steps": 1, "report_to": "none"},
        **{"use_cpu": True, "disable_tqdm": True, "learning_rate": 1e-3},
    }
    flags = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    return parse_arguments([*flags, *words], program)
