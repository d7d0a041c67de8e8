# Predictions of the model and of the baselines, and their scores.


# What is evaluated: the model that the run trains, or one that is there already.
TRAINED = ancient(run.evaluation.model) if run.evaluation.model else rules.train_model.output.model


# How the model is asked: with all that its questions have, and where they have evidence, without it.
ASKED = ["predictions"] + ["without_evidence"] * (run.evidence.enabled and run.evidence.compare)


ANNOTATIONS = [path for paths in run.evaluation.annotations.values() for path in paths]
ANNOTATED_BY = [name for name, paths in run.evaluation.annotations.items() for _ in paths]


rule generate:
    input:
        model=TRAINED,
        encoder=rules.encoder.output.folder,
        decoder=rules.decoder.output.folder,
        records=lambda wildcards: questions_of(wildcards.data_name, run.evaluation.split),
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
        settings=(
            f"--max-new-tokens {run.evaluation.max_new_tokens} --batch-size {run.evaluation.batch_size}"
            f" --{'constrained' if run.evaluation.constrained else 'free'} --classes {run.evaluation.classes}"
            f" --place-draws {run.evaluation.place_draws}"
        ),
        candidates=f"--candidates {run.evaluation.candidates}" if run.evaluation.candidates > 1 else "",
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
        evidence="",
        part=lambda wildcards: f"--shard {wildcards.shard} --shards {run.evaluation.shards}",
    shell:
        "exec python -m fragmodel --log {log:q} generate {input.records:q} --model {input.model:q} --output {output.predictions:q}"
        " {params.store} {params.manifests} {params.check_encoder} {params.settings} {params.candidates}"
        " {params.evidence} {params.part}"


# Confidences are calibrated on the validation records, in tasks whose answers have any.
CALIBRATED = [
    path
    for path in questions_of(split="valid")
    if Path(path).parent.name in ("referring_class", *GROUNDING_TASKS)
]
CALIBRATES = bool(CALIBRATED and run.evaluation.calibration_records and run.evaluation.split != "valid")


use rule generate as answer_validation with:
    input:
        model=TRAINED,
        encoder=rules.encoder.output.folder,
        decoder=rules.decoder.output.folder,
        records=CALIBRATED,
        manifests=MANIFESTS,
        stores=STORES,
    output:
        predictions=results("calibration/answers.parquet"),
    log:
        results("logs/calibration/answers.log"),
    benchmark:
        results("benchmarks/calibration/answers.tsv")
    params:
        part=f"--at-most {run.evaluation.calibration_records}",
        candidates="",


rule calibrate:
    input:
        answers=rules.answer_validation.output.predictions,
        records=CALIBRATED,
        train=records_of(split="train"),
    output:
        calibration=results("calibration.json"),
    log:
        results("logs/calibration/fit.log"),
    benchmark:
        results("benchmarks/calibration/fit.tsv")
    conda:
        "../environment.yaml"
    resources:
        mem_mb=memory(1500, factor=5),
        runtime=minutes(60),
    params:
        packages=packages(CALIBRATION),
        records=option_of("--records", "records"),
        train=option_of("--train", "train"),
        code=code_digest(
            "fragmodel.evaluation.calibrate.calibrate", command="fragmodel.cli.stages.evaluation.calibrate"
        ),
    shell:
        "exec python -m fragmodel --log {log:q} calibrate {input.answers:q} {params.records} {params.train}"
        " --output {output.calibration:q}"


# The same questions as to a protein without known relatives.
use rule generate as generate_without_evidence with:
    input:
        model=TRAINED,
        encoder=rules.encoder.output.folder,
        decoder=rules.decoder.output.folder,
        records=lambda wildcards: records_of(wildcards.data_name, run.evaluation.split),
        manifests=MANIFESTS,
        stores=STORES,
    output:
        predictions=results(
            f"without_evidence/{{data_name}}/shard-{{shard}}-of-{run.evaluation.shards}.parquet"
        ),
    log:
        results("logs/without_evidence/{data_name}/shard-{shard}.log"),
    benchmark:
        results("benchmarks/without_evidence/{data_name}/shard-{shard}.tsv")
    params:
        evidence="--without-evidence",
        candidates="",


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
            results(f"{asked}/{name}/shard-{shard}-of-{run.evaluation.shards}.parquet")
            for asked in ASKED
            for name in run.datasets
            for shard in range(run.evaluation.shards)
        ],
        baselines=[results(f"baselines/{name}.parquet") for name in run.datasets],
        train=records_of(split="train"),
        references=records_of(split=run.evaluation.split),
        leakage=rules.audit_leakage.output.table,
        calibration=rules.calibrate.output.calibration if CALIBRATES else [],
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
        calibration=option_of("--calibration", "calibration"),
        train=option_of("--train", "train"),
        seed=run.seed,
        code=code_digest(
            "fragmodel.evaluation.score.score",
            "fragmodel.evaluation.claims.by_data_set",
            "fragmodel.evaluation.metrics.semantic.minilm",
            command="fragmodel.cli.score.score",
        ),
    shell:
        "exec python -m fragmodel --log {log:q} score {input.predictions:q} {input.baselines:q} {params.references} {params.train}"
        " --leakage {input.leakage:q} --output {output.metrics:q} --table {output.table:q}"
        " --bootstrap-samples {params.bootstrap_samples} --identity-threshold {params.identity_threshold}"
        " {params.clean_only} {params.bertscore} {params.calibration} --seed {params.seed}"
