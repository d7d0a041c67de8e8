# Stage 1, where the config switches it on: adapters aligned with the frozen decoder's view of descriptions.


rule embed_texts:
    input:
        decoder=rules.decoder.output.folder,
        records=describing(),
    output:
        manifest=results("alignment/texts.json"),
    log:
        results("logs/alignment/texts.log"),
    benchmark:
        results("benchmarks/alignment/texts.tsv")
    conda:
        "../environment.yaml"
    threads: CORES
    resources:
        gpu=min(run.alignment.gpus, 1),
        mem_mb=memory(3000, factor=2.5, of=["decoder"]),
        runtime=minutes(240),
    params:
        # As the store of encoder states, the text vectors outlive the run.
        packages=packages(EMBEDDING),
        alignment=of_texts(run.alignment),
        code=code_digest(
            "fragmodel.alignment.texts.embed_texts",
            "fragmodel.alignment.texts.write_manifest",
            "fragmodel.alignment.pairs.read_pairs",
            command="fragmodel.cli.stages.alignment.embed_texts",
        ),
    shell:
        "exec python -m fragmodel --log {log:q} embed-texts {input.records:q} --decoder {input.decoder:q} --manifest {output.manifest:q}"
        " --alignment {params.alignment:q}"


rule align_adapters:
    input:
        encoder=rules.encoder.output.folder,
        decoder=rules.decoder.output.folder,
        train=describing("train"),
        valid=describing("valid"),
        manifests=MANIFESTS,
        stores=STORES,
        texts=rules.embed_texts.output.manifest,
    output:
        model=directory(results("alignment/model")),
        log=results("alignment/log.jsonl"),
    log:
        results("logs/alignment/align.log"),
    benchmark:
        results("benchmarks/alignment/align.tsv")
    conda:
        "../environment.yaml"
    threads: max(CORES, run.alignment.processes_per_node)
    resources:
        **over_nodes(run.alignment),
        mem_mb=memory(4000, factor=10, of=["train"], processes=run.alignment.processes_per_node),
        runtime=1440,
    params:
        packages=packages(TRAINING),
        # Checkpoints must survive a failed job: they are named here only, never as an output.
        checkpoints=results("alignment/checkpoints"),
        store=store_option,
        train=option_of("--train", "train"),
        valid=option_of("--valid", "valid"),
        manifests=option_of("--manifest", "manifests"),
        adapter=slice_of(run.adapter),
        alignment=slice_of(run.alignment, "seed"),
        seed=run.alignment.seed,
        code=code_digest(
            "fragmodel.alignment.program.main",
            "fragmodel.alignment.program.launch_alignment",
            "fragmodel.alignment.texts.fingerprint_in",
            "fragmodel.embeddings.manifest.embedded",
            command="fragmodel.cli.stages.alignment.align",
        ),
    shell:
        "exec python -m fragmodel --log {log:q} align --encoder {input.encoder:q} --decoder {input.decoder:q} {params.train} {params.valid}"
        " {params.store} {params.manifests} --texts {input.texts:q} --checkpoints {params.checkpoints:q}"
        " --model {output.model:q} --training-log {output.log:q} --adapter {params.adapter:q}"
        " --alignment {params.alignment:q} --seed {params.seed} --code {params.code}"


rule score_alignment:
    input:
        model=rules.align_adapters.output.model,
        encoder=rules.encoder.output.folder,
        decoder=rules.decoder.output.folder,
        records=describing(),
        manifests=MANIFESTS,
        stores=STORES,
        texts=rules.embed_texts.output.manifest,
    output:
        metrics=results("alignment/metrics.json"),
    log:
        results("logs/alignment/score.log"),
    benchmark:
        results("benchmarks/alignment/score.tsv")
    conda:
        "../environment.yaml"
    threads: CORES
    resources:
        gpu=min(run.alignment.gpus, 1),
        mem_mb=memory(4000, factor=10, of=["records"]),
        runtime=minutes(120),
    params:
        store=store_option,
        manifests=option_of("--manifest", "manifests"),
        adapter=slice_of(run.adapter),
        alignment=slice_of(run.alignment, "seed"),
        seed=run.alignment.seed,
        code=code_digest(
            "fragmodel.alignment.evaluate.evaluate",
            "fragmodel.alignment.texts.fingerprint_in",
            "fragmodel.embeddings.manifest.embedded",
            command="fragmodel.cli.stages.alignment.score_alignment",
        ),
    shell:
        "exec python -m fragmodel --log {log:q} score-alignment {input.records:q} --model {input.model:q} --encoder {input.encoder:q}"
        " --decoder {input.decoder:q} {params.store} {params.manifests} --texts {input.texts:q}"
        " --output {output.metrics:q} --adapter {params.adapter:q} --alignment {params.alignment:q}"
        " --seed {params.seed}"
