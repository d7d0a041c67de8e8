# ruff: noqa: F401 (the package's names, from the modules that define them)
"""Every Parquet table of a run: its columns, its typed rows, and the functions that read and write it."""

from fragmodel.tables.contracts import (
    EMBEDDED,
    EVIDENCE,
    LEAKAGE,
    PREDICTIONS,
    RECORDS,
    REJECTS,
    RELATIVES,
    SCORED,
    SEQUENCES,
    SHARD_INDEX,
    SPLIT_ASSIGNMENT,
    WINDOWS,
)
from fragmodel.tables.io import (
    TableWriter,
    damage_told,
    iter_column,
    iter_columns,
    open_table,
    open_writer,
    read_metadata,
    read_rows,
    read_table,
    write_table,
)
from fragmodel.tables.rows import Record, Reject, record_at, to_table
