# Each unique window goes through the frozen encoder once; the store keeps it for all runs.


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
        code=code_digest("fragmodel.embeddings.extract"),
    script:
        "../workflow_scripts/collect_windows.py"


rule embed_shard:
    input:
        windows=rules.windows.output.windows,
        encoder=rules.encoder.output.folder,
    output:
        manifest=results(f"embeddings/shard-{{shard}}-of-{run.embeddings.shards}.parquet"),
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
        # The store outlives the job and the run: it is no declared output, which Snakemake would delete.
        embeddings=slice_of(run.embeddings, "mode", "gpus"),
        code=code_digest("fragmodel.embeddings.extract"),
    script:
        "../workflow_scripts/embed_shard.py"
