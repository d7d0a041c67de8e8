# Variants of a run, each with several seeds, in one DAG: every run is a module, this workflow with a config of its own.
# Stages with the same settings have the same files in all runs, and the first run makes them for all.
import json
import sys
from contextlib import ExitStack
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

REPOSITORY = Path(str(workflow.current_basedir)).parent
if Path(REPOSITORY, "fragmodel").is_dir():
    sys.path.insert(0, str(REPOSITORY))  # as in common.smk

from fragmodel.config.duplicates import refuse_duplicates
from fragmodel.config.stages import place_of
from fragmodel.config.variants import expand
from fragmodel.errors import UserError
from fragmodel.files import held
from fragmodel.planning.preflight import preflight_of_all, refuse_faults
from fragmodel.vocabulary import RUN_LOCK
from fragmodel.workflow.code_digest import code_digest
from fragmodel.workflow.experiment import settings_hold_for, share_rules
from fragmodel.workflow.jobs import at_start, outlive_terminal, pass_signals_on, tell_jobs_of_force

try:
    for path in workflow.configfiles:
        refuse_duplicates(Path(path))
    experiment = expand(config)
    if workflow.is_main_process:
        for note in refuse_faults(preflight_of_all(each.config for each in experiment.runs)):
            print(f"note: {note.subject}: {note.text}", file=sys.stderr)
    settings_hold_for(workflow, [f"{each.name}_" for each in experiment.runs])
except UserError as error:
    raise WorkflowError(str(error)) from None

for each in experiment.runs:
    prefix = f"{each.name}_"

    module:
        name: prefix
        snakefile:
            "../workflow/Snakefile"
        config:
            each.values

    use rule * from prefix as prefix*


try:
    share_rules(workflow)
except UserError as error:
    raise WorkflowError(str(error)) from None

at_work = ExitStack()


def begin():
    """What is to be done before the first job of all runs."""
    pass_signals_on()
    outlive_terminal(logger)
    tell_jobs_of_force(workflow.dag_settings)
    try:
        at_work.enter_context(
            held(
                f"{experiment.results}/{RUN_LOCK}",
                f"{experiment.results}: a run is at work in this folder,",
            )
        )
    except UserError as error:
        raise WorkflowError(str(error)) from None


at_start(workflow, begin)


def of_run(each, path):
    """A file of a run, wherever runs share it."""
    return place_of(each.config, path)


def of_runs(path):
    """A file of every run."""
    return [of_run(each, path) for each in experiment.runs]


rule compare_variants:
    input:
        metrics=of_runs("metrics.json"),
        scored=of_runs("scores/records.parquet"),
        leakage=of_runs("audit/leakage.parquet"),
        training_logs=[
            of_run(each, "training/log.jsonl")
            for each in experiment.runs
            if not each.config.evaluation.model
        ],
    output:
        page=report(f"{experiment.results}/comparison.html", category="fragmodel"),
        figures=directory(f"{experiment.results}/comparison/figures"),
        tables=directory(f"{experiment.results}/comparison/tables"),
    log:
        f"{experiment.results}/comparison/report.log",
    benchmark:
        f"{experiment.results}/comparison/benchmark.tsv"
    conda:
        "../environment.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        experiment=json.dumps(
            {
                "title": experiment.title,
                "reference": experiment.reference,
                "changes": experiment.changes,
                "runs": [
                    {
                        "variant": each.variant,
                        "seed": each.seed,
                        "page": of_run(each, "report.html"),
                        "metrics": of_run(each, "metrics.json"),
                        "scored": of_run(each, "scores/records.parquet"),
                        "leakage": of_run(each, "audit/leakage.parquet"),
                        "training_log": (
                            None if each.config.evaluation.model else of_run(each, "training/log.jsonl")
                        ),
                        "gpus": each.config.training.gpus * each.config.training.nodes,
                    }
                    for each in experiment.runs
                ],
            }
        ),
        identity_threshold=experiment.identity_threshold,
        code=code_digest(
            "fragmodel.report.experiment.make_experiment_page",
            "fragmodel.report.experiment.RunFiles",
            command="fragmodel.cli.stages.report.report_experiment",
        ),
    shell:
        "exec python -m fragmodel --log {log:q} report-experiment --experiment {params.experiment:q}"
        " --identity-threshold {params.identity_threshold} --output {output.page:q} --figures {output.figures:q}"
        " --tables {output.tables:q}"
