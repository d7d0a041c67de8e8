# What all rules share: the checked configuration, paths of the run, and helpers for params.
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# The package beside the Snakefile is the code that runs, here and in every job, whatever else is installed.
REPOSITORY = str(Path(str(workflow.current_basedir)).parent)
sys.path.insert(0, REPOSITORY)

from fragmodel.code_digest import code_digest
from fragmodel.config import SPLITS, parse_config
from fragmodel.errors import UserError
from fragmodel.stage import jobs_import_from

jobs_import_from(REPOSITORY)

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


def records_of(data_name=None, split=None, table="data"):
    """Records tables (or `rejects`) of one data set or all, of one split or all."""
    return [
        results(f"{table}/{name}/{task}/{each}.parquet")
        for name, dataset in run.datasets.items()
        if data_name in (None, name)
        for task in dataset.tasks
        for each in SPLITS
        if split in (None, each)
    ]


def slice_of(section, *leave_out):
    """A section of the config as plain values: the rule reruns when they change."""
    return {key: value for key, value in section.model_dump().items() if key not in leave_out}
