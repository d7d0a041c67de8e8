# LoRA training from the store (or with the encoder in the loop).


rule train_model:
    input:
        encoder=rules.encoder.output[0],
        decoder=rules.decoder.output[0],
        train=records_of(split="train"),
        valid=records_of(split="valid"),
        manifests=(
            expand(rules.embed_shard.output.manifest, shard=range(run.embeddings.shards)) if STORE else []
        ),
    output:
        model=directory(results("training/model")),
        log=results("training/log.jsonl"),
    log:
        results("logs/training.log"),
    benchmark:
        results("benchmarks/training.tsv")
    conda:
        "../environment.yaml"
    threads: 8
    resources:
        gpu=0,
        mem_mb=lambda wildcards, attempt: 32000 * attempt,
        runtime=1440,
    params:
        # Checkpoints must survive a failed job: they are named here only, never as an output.
        checkpoints=results("training/checkpoints"),
        store=run.embeddings.store if STORE else None,
        weights=[dataset.weight for dataset in run.datasets.values() for _ in dataset.tasks],
        adapter=slice_of(run.adapter),
        lora=slice_of(run.lora),
        training=slice_of(run.training),
        seed=run.seed,
        code=code_digest(
            "fragmodel.embeddings.manifest",
            "fragmodel.training.launch",
            "fragmodel.training.run",
            "fragmodel.training.trainer",
            "fragmodel.training.loop",
        ),
    script:
        "../workflow_scripts/train.py"
