# Predictions of the model and of the baselines, and their scores.


# What is evaluated: the model that the run trains, or one that is there already.
TRAINED = run.evaluation.model or rules.train_model.output.model


rule generate:
    input:
        model=TRAINED,
        encoder=rules.encoder.output.folder,
        decoder=rules.decoder.output.folder,
        records=lambda wildcards: records_of(wildcards.data_name, run.evaluation.split),
        manifests=rules.train_model.input.manifests,
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
        store=run.embeddings.store if STORE else None,
        max_new_tokens=run.evaluation.max_new_tokens,
        batch_size=run.evaluation.batch_size,
        shards=run.evaluation.shards,
        check_encoder=bool(STORE and run.evaluation.model),
        code=code_digest("fragmodel.evaluation.generate", "fragmodel.embeddings.manifest"),
    script:
        "../workflow_scripts/generate.py"


rule baselines:
    input:
        train=lambda wildcards: records_of(wildcards.data_name, "train"),
        test=lambda wildcards: records_of(wildcards.data_name, run.evaluation.split),
        manifests=rules.train_model.input.manifests,
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
        mem_mb=memory(2500, factor=10),
        runtime=minutes(240),
    params:
        names=run.evaluation.baselines,
        store=run.embeddings.store if STORE else None,
        seed=run.seed,
        code=code_digest("fragmodel.evaluation.baselines", "fragmodel.embeddings.manifest"),
    script:
        "../workflow_scripts/baselines.py"


rule score:
    input:
        predictions=lambda wildcards: expand(
            rules.generate.output.predictions,
            shard=range(run.evaluation.shards),
            data_name=wildcards.data_name,
        ),
        baselines=rules.baselines.output.predictions,
        train=lambda wildcards: records_of(wildcards.data_name, "train"),
        references=lambda wildcards: records_of(wildcards.data_name, run.evaluation.split),
        leakage=rules.audit_leakage.output.table,
    output:
        metrics=results("scores/{data_name}.json"),
        table=results("scores/{data_name}.parquet"),
    log:
        results("logs/score/{data_name}.log"),
    benchmark:
        results("benchmarks/score/{data_name}.tsv")
    conda:
        "../environment.yaml"
    resources:
        mem_mb=memory(2500, factor=5),
        runtime=minutes(120),
    params:
        bootstrap_samples=run.evaluation.bootstrap_samples,
        identity_threshold=min(run.evaluation.identity_thresholds, default=0.3),
        clean_only=run.evaluation.clean_only,
        bertscore=run.evaluation.bertscore,
        seed=run.seed,
        code=code_digest("fragmodel.evaluation.score"),
    script:
        "../workflow_scripts/score.py"


rule metrics:
    input:
        metrics=expand(rules.score.output.metrics, data_name=run.datasets),
    output:
        metrics=results("metrics.json"),
    log:
        results("logs/metrics.log"),
    benchmark:
        results("benchmarks/metrics.tsv")
    # Joining a few small files is not worth a place in the queue.
    localrule: True
    conda:
        "../environment.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_digest("fragmodel.evaluation.score"),
    script:
        "../workflow_scripts/gather_metrics.py"
