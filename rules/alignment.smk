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
        store=run.alignment.store,
        layer=run.alignment.layer,
        pooling=run.alignment.pooling,
        segments=run.alignment.segments,
        max_text_tokens=run.alignment.max_text_tokens,
        batch_size=run.alignment.text_batch_size,
        precision=run.alignment.precision,
        code=code_digest("fragmodel.alignment.texts", "fragmodel.alignment.pairs"),
    script:
        "../workflow_scripts/embed_texts.py"


rule align_adapters:
    input:
        encoder=rules.encoder.output.folder,
        decoder=rules.decoder.output.folder,
        train=describing("train"),
        valid=describing("valid"),
        manifests=expand(rules.embed_shard.output.manifest, shard=range(run.embeddings.shards)),
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
        # Checkpoints must survive a failed job: they are named here only, never as an output.
        checkpoints=results("alignment/checkpoints"),
        store=run.embeddings.store,
        adapter=slice_of(run.adapter),
        alignment=slice_of(run.alignment),
        seed=run.seed,
        code=code_digest("fragmodel.embeddings.manifest", "fragmodel.alignment.program"),
    script:
        "../workflow_scripts/align.py"


rule score_alignment:
    input:
        model=rules.align_adapters.output.model,
        encoder=rules.encoder.output.folder,
        decoder=rules.decoder.output.folder,
        records=describing(),
        manifests=rules.align_adapters.input.manifests,
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
        store=run.embeddings.store,
        adapter=slice_of(run.adapter),
        alignment=slice_of(run.alignment),
        seed=run.seed,
        code=code_digest("fragmodel.embeddings.manifest", "fragmodel.alignment.evaluate"),
    script:
        "../workflow_scripts/score_alignment.py"
