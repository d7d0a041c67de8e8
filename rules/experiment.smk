# Variants of a run, each with several seeds, in one DAG: every run is a module, this workflow with a config of its own.
# Stages with the same settings have the same files in all runs, and the first run makes them for all.
import json
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

REPOSITORY = str(Path(str(workflow.current_basedir)).parent)
sys.path.insert(0, REPOSITORY)

from fragmodel.config.duplicates import refuse_duplicates
from fragmodel.config.variants import expand
from fragmodel.errors import UserError
from fragmodel.workflow.code_digest import code_digest
from fragmodel.workflow.experiment import settings_hold_for, share_rules

try:
    for path in workflow.configfiles:
        refuse_duplicates(Path(path))
    experiment = expand(config)
    settings_hold_for(workflow, [f"{each.name}_" for each in experiment.runs])
except UserError as error:
    raise WorkflowError(str(error)) from None

for each in experiment.runs:
    prefix = f"{each.name}_"

    module:
        name: prefix
        snakefile:
            "../Snakefile"
        config:
            each.values

    use rule * from prefix as prefix*


share_rules(workflow)


def of_runs(path):
    """A file of every run."""
    return [f"{each.config.results}/{path}" for each in experiment.runs]
