# Each unique window goes through the frozen encoder once; the store keeps it for all runs.


SHARD = f"shard-{{shard}}-of-{run.embeddings.shards}"
# What readers of the states wait for; with a storage provider also the states themselves.
MANIFESTS = [
    results(f"embeddings/{SHARD}.parquet").format(shard=shard)
    for shard in range(run.embeddings.shards)
    if STORE
]
STORES = [path.removesuffix(".parquet") for path in MANIFESTS if IN_STORAGE]


rule windows:
    input:
        records=records_of(),
    output:
        windows=results("windows.parquet"),
    log:
        results("logs/windows.log"),
    benchmark:
        results("benchmarks/windows.tsv")
    conda:
        "../environment.yaml"
    resources:
        mem_mb=memory(1500, factor=10),
        runtime=minutes(60),
    params:
        code=code_digest(
            "fragmodel.embeddings.extract.collect_windows", command="fragmodel.cli.stages.windows.windows"
        ),
    shell:
        "exec python -m fragmodel --log {log:q} windows {input.records:q} --output {output.windows:q}"


rule embed_shard:
    input:
        windows=rules.windows.output.windows,
        encoder=rules.encoder.output.folder,
    output:
        manifest=results(f"embeddings/{SHARD}.parquet"),
        # The store outlives the job and the run: it is no declared output, which Snakemake would delete. Where jobs
        # share no file system, what this one is about is handed on besides.
        states=[directory(results(f"embeddings/{SHARD}"))] if IN_STORAGE else [],
    log:
        results("logs/embeddings/shard-{shard}.log"),
    benchmark:
        results("benchmarks/embeddings/shard-{shard}.tsv")
    conda:
        "../environment.yaml"
    threads: CORES
    resources:
        gpu=run.embeddings.gpus,
        mem_mb=memory(3000, factor=2.5, of=["windows", "encoder"]),
        runtime=minutes(240),
    params:
        packages=packages(EMBEDDING),
        store=run.embeddings.store,
        states=lambda wildcards, output: option("--states", *as_list(output.get("states", []))),
        shards=run.embeddings.shards,
        dtype=run.embeddings.dtype,
        layer=run.embeddings.layer,
        compute_dtype=run.embeddings.compute_dtype,
        tokens_per_batch=run.embeddings.tokens_per_batch,
        code=code_digest("fragmodel.embeddings.extract.embed_windows", command="fragmodel.cli.embed.embed"),
    shell:
        "exec python -m fragmodel --log {log:q} embed {input.windows:q} --encoder {input.encoder:q} --store {params.store:q}"
        " --manifest {output.manifest:q} {params.states} --shard {wildcards.shard} --shards {params.shards}"
        " --dtype {params.dtype} --layer {params.layer} --compute-dtype {params.compute_dtype}"
        " --tokens-per-batch {params.tokens_per_batch}"
