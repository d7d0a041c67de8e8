"""The head of the page: what was trained or evaluated, on what, and whether it beats the baselines."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fragmodel.report import labels, metric_tables
from fragmodel.report.metric_tables import TaskTable
from fragmodel.report.run_files import Log, SplitSummary
from fragmodel.vocabulary import DESCRIBING_TASKS, MODEL, SPLITS


def summary_section(
    tables: Iterable[TaskTable],
    splits: Sequence[SplitSummary],
    log: Log,
    scored: pa.Table,
    run: Mapping[str, Any],
) -> dict[str, Any]:
    """What a reader sees first; the log is empty where nothing was trained."""
    verdicts = [found for table in tables if (found := metric_tables.verdict(table))]
    own = scored.filter(pc.equal(scored["system"], MODEL))
    # Free text has no format to keep: any text would count as well-formed.
    kept = own.filter(pc.invert(pc.is_in(own["task_type"], pa.array(DESCRIBING_TASKS))))
    groups = Counter(labels.status_group(status) for status in kept["parse_status"].to_pylist())
    models = run.get("models", {})
    return {
        "verdicts": verdicts,
        "claim": metric_tables.claim(verdicts),
        "scored": sum(found.scored for found in verdicts),
        "records": {name: sum(part.records for part in splits if part.split == name) for name in SPLITS},
        "data_sets": sorted({part.data_name for part in splits}),
        "tasks": len({part.task_type for part in splits}),
        "rejected": sum(part.rejected for part in splits),
        "well_formed": groups["well-formed"] / groups.total() if groups else None,
        "losses": log.losses,
        "steps": log.steps,
        "stand_ins": [part for part in ("encoder", "decoder") if models.get(part, {}).get("stand_in")],
    }
