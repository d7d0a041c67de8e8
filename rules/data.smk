# Raw files to validated records, and the check of the splits against each other.


rule assign_splits:
    input:
        # All data sets: a protein that is dealt follows its relatives whose split is published.
        raw=unchanging(RAW),
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
        datasets=lambda wildcards, input: json.dumps(
            {
                name: json.loads(slice_of(dataset, "tasks", "weight", "complete"))
                | {split: retrieved(getattr(dataset, split), input.raw) for split in SPLITS}
                for name, dataset in run.datasets.items()
            }
        ),
        contents=[
            contents_of_raw(name, split)
            for name, dataset in run.datasets.items()
            for split in SPLITS
            if getattr(dataset, split)
        ],
        packages=packages(SEARCH),
        seed=run.seed,
        code=code_digest("fragmodel.homology.splits.assign_splits", command="fragmodel.cli.stages.data.split"),
    shell:
        "exec python -m fragmodel --log {log:q} split --datasets {params.datasets:q} --output {output.assignment:q}"
        " --seed {params.seed} --threads {threads}"


# A rule for each data set, since a rule has the same outputs in all its jobs. One job reads the files of a split once,
# for all tasks.
for data_name, dataset in run.datasets.items():

    rule:
        name:
            f"ingest_{data_name}"
        input:
            raw=lambda wildcards, name=data_name: unchanging(raw_files(run.datasets[name], wildcards.split)),
            assignment=rules.assign_splits.output.assignment if dataset.split == "by_cluster" else [],
        output:
            records=[results(f"data/{data_name}/{task}/{{split}}.parquet") for task in dataset.tasks],
            rejects=[results(f"rejects/{data_name}/{task}/{{split}}.parquet") for task in dataset.tasks],
        log:
            results(f"logs/ingest/{data_name}/{{split}}.log"),
        benchmark:
            results(f"benchmarks/ingest/{data_name}/{{split}}.tsv")
        conda:
            "../environment.yaml"
        resources:
            mem_mb=memory(1500, factor=4),
            runtime=minutes(60),
        params:
            files=lambda wildcards, input: shlex.join(as_list(input.raw)) or "--no-files",
            tasks=option("--task", *dataset.tasks),
            outputs=lambda wildcards, output: option("--output", *as_list(output.records)),
            rejects=lambda wildcards, output: option("--rejects", *as_list(output.rejects)),
            assignment=option_of("--assignment", "assignment"),
            contents=lambda wildcards, name=data_name: contents_of_raw(name, wildcards.split),
            data_name=data_name,
            format=dataset.format,
            family=option("--family", *([dataset.family] if dataset.family else [])),
            empty=lambda wildcards, input, dataset=dataset: (
                "--refuse-empty" if input.raw and must_have_records(dataset, wildcards.split) else ""
            ),
            max_sequence_length=run.ingest.max_sequence_length,
            min_visible_fraction=run.ingest.min_visible_fraction,
            max_rejected_fraction=run.ingest.max_rejected_fraction,
            negatives=run.ingest.negatives.share,
            hard_negatives=run.ingest.negatives.hard,
            complete=dataset.complete,
            seed=run.seed,
            code=code_digest(
                "fragmodel.data.ingest.ingest_tasks",
                "fragmodel.data.ingest.TaskTables",
                "fragmodel.data.catalogue.Negatives",
                command="fragmodel.cli.ingest.ingest",
            ),
        shell:
            "exec python -m fragmodel --log {log:q} ingest {params.files} --data-name {params.data_name:q} --split {wildcards.split}"
            " --format {params.format:q} {params.tasks} {params.outputs} {params.rejects} {params.assignment}"
            " {params.family} {params.empty}"
            " --max-sequence-length {params.max_sequence_length}"
            " --min-visible-fraction {params.min_visible_fraction}"
            " --max-rejected-fraction {params.max_rejected_fraction}"
            " --negatives {params.negatives} --hard-negatives {params.hard_negatives} --complete {params.complete}"
            " --seed {params.seed}"


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
        train=option_of("--train", "train"),
        test=option_of("--test", "test"),
        packages=packages(SEARCH),
        thresholds=option("--identity", *run.evaluation.identity_thresholds),
        code=code_digest(
            "fragmodel.homology.leakage.audit_leakage", command="fragmodel.cli.stages.data.audit"
        ),
    shell:
        "exec python -m fragmodel --log {log:q} audit {params.train} {params.test} {params.thresholds}"
        " --summary {output.summary:q} --table {output.table:q} --threads {threads}"
