# LoRA training from the store (or with the encoder in the loop).


rule train_model:
    input:
        encoder=rules.encoder.output.folder,
        decoder=rules.decoder.output.folder,
        train=questions_of(split="train"),
        valid=questions_of(split="valid"),
        relatives=rules.evidence.output.relatives if run.evidence.enabled else [],
        manifests=MANIFESTS,
        stores=STORES,
        aligned=rules.align_adapters.output.model if run.alignment.enabled else [],
    output:
        model=directory(results("training/model")),
        log=results("training/log.jsonl"),
    log:
        results("logs/training.log"),
    benchmark:
        results("benchmarks/training.tsv")
    conda:
        "../environment.yaml"
    # Each process runs its model and reads its own data.
    threads: max(CORES, run.training.processes_per_node * (1 + run.training.workers))
    resources:
        **over_nodes(run.training),
        mem_mb=memory(
            3500,
            factor=2.5,
            of=["decoder"] if STORE else ["encoder", "decoder"],
            processes=run.training.processes_per_node,
            # Most new attempts follow a time limit or a preemption, and a node has only so much.
            growth=0.25,
        ),
        # Not longer at a new attempt, which goes on at the last checkpoint: partitions have a limit.
        runtime=1440,
    params:
        packages=packages(TRAINING),
        # Checkpoints must survive a failed job: they are named here only, never as an output.
        checkpoints=results("training/checkpoints"),
        store=store_option,
        manifests=option_of("--manifest", "manifests"),
        train=option_of("--train", "train"),
        valid=option_of("--valid", "valid"),
        aligned=option_of("--aligned", "aligned"),
        relatives=option_of("--relatives", "relatives"),
        weights=option(
            "--weight", *(dataset.weight for dataset in run.datasets.values() for _ in dataset.tasks)
        ),
        adapter=slice_of(run.adapter),
        lora=slice_of(run.lora),
        training=slice_of(run.training, "seed"),
        seed=run.training.seed,
        code=code_digest(
            "fragmodel.embeddings.manifest.embedded",
            "fragmodel.training.launch.launch",
            "fragmodel.training.run.main",
            (
                "fragmodel.training.trainer.train"
                if run.training.loop == "trainer"
                else "fragmodel.training.loop.train"
            ),
            without=RAW_READING + SCORING,
            command="fragmodel.cli.stages.training.train",
        ),
    shell:
        "exec python -m fragmodel --log {log:q} train --encoder {input.encoder:q} --decoder {input.decoder:q} {params.train} {params.valid}"
        " {params.weights} {params.store} {params.manifests} {params.aligned} {params.relatives} --checkpoints {params.checkpoints:q}"
        " --model {output.model:q} --training-log {output.log:q} --adapter {params.adapter:q}"
        " --lora {params.lora:q} --training {params.training:q} --seed {params.seed} --code {params.code}"
