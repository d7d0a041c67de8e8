# What all rules share: the checked configuration, paths of the run, and helpers for params.
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

from fragmodel.code_digest import code_digest
from fragmodel.config import SPLITS, parse_config
from fragmodel.errors import UserError

try:
    run = parse_config(config)
except UserError as error:
    raise WorkflowError(str(error)) from None

validate(config, workflow.source_path("../fragmodel/config.schema.json"))

RESULTS = run.results
STORE = run.embeddings.mode == "store"


wildcard_constraints:
    data_name="|".join(run.datasets),
    split="|".join(SPLITS),
    shard=r"\d+",


def results(path):
    """A path of this run."""
    return f"{RESULTS}/{path}"


def records_of(data_name=None, split=None):
    """Records tables of one data set or all, of one split or all."""
    return [
        results(f"data/{name}/{task}/{each}.parquet")
        for name, dataset in run.datasets.items()
        if data_name in (None, name)
        for task in dataset.tasks
        for each in SPLITS
        if split in (None, each)
    ]


def slice_of(section, *leave_out):
    """A section of the config as plain values: the rule reruns when they change."""
    return {
        key: value
        for key, value in section.model_dump().items()
        if key not in leave_out
    }

