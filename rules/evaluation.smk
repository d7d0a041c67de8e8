# Predictions of the model and of the baselines, and their scores.


# What is evaluated: the model that the run trains, or one that is there already.
TRAINED = ancient(run.evaluation.model) if run.evaluation.model else rules.train_model.output.model


ANNOTATIONS = [path for paths in run.evaluation.annotations.values() for path in paths]
ANNOTATED_BY = [name for name, paths in run.evaluation.annotations.items() for _ in paths]


rule generate:
    input:
        model=TRAINED,
        encoder=rules.encoder.output.folder,
        decoder=rules.decoder.output.folder,
        records=lambda wildcards: records_of(wildcards.data_name, run.evaluation.split),
        manifests=MANIFESTS,
        stores=STORES,
    output:
        predictions=results(f"predictions/{{data_name}}/shard-{{shard}}-of-{run.evaluation.shards}.parquet"),
    log:
        results("logs/generate/{data_name}/shard-{shard}.log"),
    benchmark:
        results("benchmarks/generate/{data_name}/shard-{shard}.tsv")
    conda:
        "../environment.yaml"
    threads: CORES // 2  # the data sets beside each other are busier than one alone
    resources:
        gpu=run.evaluation.gpus,
        mem_mb=memory(3000, factor=2.5, of=["model", "encoder", "decoder"]),
        runtime=minutes(480),
    params:
        store=store_option,
        manifests=option_of("--manifest", "manifests"),
        packages=packages(ANSWERS),
        contents=contents.of([run.evaluation.model]) if run.evaluation.model else "",
        max_new_tokens=run.evaluation.max_new_tokens,
        constrained="constrained" if run.evaluation.constrained else "free",
        classes=run.evaluation.classes,
        batch_size=run.evaluation.batch_size,
        shards=run.evaluation.shards,
        # A model that another run trained may have another encoder.
        check_encoder=lambda wildcards, input: option(
            "--check-encoder", *([input.encoder] if STORE and run.evaluation.model else [])
        ),
        code=code_digest(
            "fragmodel.evaluation.generate.generate",
            "fragmodel.embeddings.manifest.embedded",
            without=RAW_READING,
            command="fragmodel.cli.stages.evaluation.generate",
        ),
    shell:
        "exec python -m fragmodel --log {log:q} generate {input.records:q} --model {input.model:q} --output {output.predictions:q}"
        " {params.store} {params.manifests} {params.check_encoder} --max-new-tokens {params.max_new_tokens}"
        " --{params.constrained} --classes {params.classes}"
        " --batch-size {params.batch_size} --shard {wildcards.shard} --shards {params.shards}"


rule baselines:
    input:
        train=lambda wildcards: records_of(wildcards.data_name, "train"),
        test=lambda wildcards: records_of(wildcards.data_name, run.evaluation.split),
        manifests=MANIFESTS,
        stores=STORES,
        annotations=unchanging(ANNOTATIONS),
    output:
        predictions=results("baselines/{data_name}.parquet"),
    log:
        results("logs/baselines/{data_name}.log"),
    benchmark:
        results("benchmarks/baselines/{data_name}.tsv")
    conda:
        "../environment.yaml"
    threads: CORES // 2  # the data sets beside each other are busier than one alone
    resources:
        mem_mb=memory(2500, factor=120, of=["train", "test", "manifests", "annotations"]),
        runtime=minutes(240),
    params:
        packages=packages(BASELINES),
        names=option("--name", *run.evaluation.baselines),
        annotations=lambda wildcards, input: option(
            "--annotations", *map("{}={}".format, ANNOTATED_BY, as_list(input.get("annotations", [])))
        ),
        contents=contents.of(ANNOTATIONS),
        train=option_of("--train", "train"),
        test=option_of("--test", "test"),
        store=store_option,
        manifests=option_of("--manifest", "manifests"),
        seed=run.seed,
        code=code_digest(
            "fragmodel.evaluation.baselines.run_baselines",
            "fragmodel.embeddings.manifest.embedded",
            command="fragmodel.cli.stages.evaluation.baselines",
        ),
    shell:
        "exec python -m fragmodel --log {log:q} baselines {params.train} {params.test} {params.names} --output {output.predictions:q}"
        " {params.store} {params.manifests} {params.annotations} --seed {params.seed} --threads {threads}"


rule score:
    input:
        predictions=[
            results(f"predictions/{name}/shard-{shard}-of-{run.evaluation.shards}.parquet")
            for name in run.datasets
            for shard in range(run.evaluation.shards)
        ],
        baselines=[results(f"baselines/{name}.parquet") for name in run.datasets],
        train=records_of(split="train"),
        references=records_of(split=run.evaluation.split),
        leakage=rules.audit_leakage.output.table,
    output:
        metrics=results("metrics.json"),
        table=results("scores/records.parquet"),
    log:
        results("logs/score.log"),
    benchmark:
        results("benchmarks/score.tsv")
    conda:
        "../environment.yaml"
    resources:
        mem_mb=memory(2500, factor=5),
        runtime=minutes(120),
    params:
        packages=packages(SCORES),
        bertscore_contents=contents.of(filter(None, [run.evaluation.bertscore])),
        bootstrap_samples=run.evaluation.bootstrap_samples,
        identity_threshold=min(run.evaluation.identity_thresholds, default=0.3),
        clean_only="--clean-only" if run.evaluation.clean_only else "",
        bertscore=option("--bertscore", *([run.evaluation.bertscore] if run.evaluation.bertscore else [])),
        references=option_of("--references", "references"),
        train=option_of("--train", "train"),
        seed=run.seed,
        code=code_digest(
            "fragmodel.evaluation.score.score",
            "fragmodel.evaluation.metrics.semantic.minilm",
            command="fragmodel.cli.score.score",
        ),
    shell:
        "exec python -m fragmodel --log {log:q} score {input.predictions:q} {input.baselines:q} {params.references} {params.train}"
        " --leakage {input.leakage:q} --output {output.metrics:q} --table {output.table:q}"
        " --bootstrap-samples {params.bootstrap_samples} --identity-threshold {params.identity_threshold}"
        " {params.clean_only} {params.bertscore} --seed {params.seed}"
