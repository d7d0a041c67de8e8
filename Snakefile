# From raw annotation files to a trained, evaluated model. What a run is: config.yaml; how it works: docs/.
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")


# A config file given on the command line replaces the default one: merging would mix their data sets.
if not workflow.overwrite_configfiles:
    if not Path("config.yaml").is_file() and "datasets" not in config:  # a module is given its config
        raise WorkflowError(
            f"no config.yaml in {Path.cwd()}: name the run's config with --configfile FILE, or start in its folder"
        )

    configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/models.smk"
include: "rules/data.smk"
include: "rules/embeddings.smk"
include: "rules/alignment.smk"
include: "rules/training.smk"
include: "rules/evaluation.smk"
include: "rules/report.smk"


onstart:
    pass_signals_on()


rule all:
    default_target: True
    input:
        rules.report.output.page,
        rules.score.output.metrics,


rule ingest:
    input:
        records_of(),


rule embed:
    input:
        expand(rules.embed_shard.output.manifest, shard=range(run.embeddings.shards)) if STORE else [],


rule align:
    input:
        rules.score_alignment.output.metrics if run.alignment.enabled else [],


rule train:
    input:
        rules.train_model.output.model,


rule evaluate:
    input:
        rules.score.output.metrics,
