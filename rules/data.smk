# Raw files to validated records, and the check of the splits against each other.


rule assign_splits:
    input:
        # All data sets: a protein that is dealt follows its relatives whose split is published.
        raw=[
            path for dataset in run.datasets.values() for split in SPLITS for path in getattr(dataset, split)
        ],
    output:
        assignment=results("splits/assignment.parquet"),
    log:
        results("logs/splits/assignment.log"),
    benchmark:
        results("benchmarks/splits/assignment.tsv")
    conda:
        "../environment.yaml"
    threads: CORES
    resources:
        mem_mb=memory(4000, factor=8),
        runtime=minutes(240),
    params:
        datasets={name: slice_of(dataset, "tasks", "weight", "family") for name, dataset in run.datasets.items()},
        seed=run.seed,
        code=code_digest("fragmodel.homology.splits"),
    script:
        "../workflow_scripts/assign_splits.py"


rule ingest_task:
    input:
        raw=raw_files,
        assignment=lambda wildcards: (
            rules.assign_splits.output.assignment
            if run.datasets[wildcards.data_name].split == "by_cluster"
            else []
        ),
    output:
        records=results("data/{data_name}/{task}/{split}.parquet"),
        rejects=results("rejects/{data_name}/{task}/{split}.parquet"),
    log:
        results("logs/ingest/{data_name}/{task}/{split}.log"),
    benchmark:
        results("benchmarks/ingest/{data_name}/{task}/{split}.tsv")
    conda:
        "../environment.yaml"
    resources:
        mem_mb=memory(1500, factor=4),
        runtime=minutes(60),
    params:
        format=lambda wildcards: run.datasets[wildcards.data_name].format,
        family=lambda wildcards: run.datasets[wildcards.data_name].family,
        ingest=slice_of(run.ingest),
        seed=run.seed,
        code=code_digest("fragmodel.data.ingest"),
    script:
        "../workflow_scripts/ingest.py"


rule audit_leakage:
    input:
        train=records_of(split="train"),
        test=records_of(split=run.evaluation.split),
    output:
        summary=results("audit/leakage.json"),
        table=results("audit/leakage.parquet"),
    log:
        results("logs/audit/leakage.log"),
    benchmark:
        results("benchmarks/audit/leakage.tsv")
    conda:
        "../environment.yaml"
    threads: CORES
    resources:
        mem_mb=memory(2000, factor=20),
        runtime=minutes(240),
    params:
        thresholds=run.evaluation.identity_thresholds,
        code=code_digest("fragmodel.homology.leakage"),
    script:
        "../workflow_scripts/audit_leakage.py"
