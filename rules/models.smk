# The two pretrained models: stand-ins are built here, others are brought into one place.


rule encoder:
    output:
        folder=directory(results("models/encoder")),
    log:
        results("logs/models/encoder.log"),
    benchmark:
        results("benchmarks/models/encoder.tsv")
    localrule: stays(run.models.encoder)
    conda:
        "../environment.yaml"
    threads: 2
    resources:
        mem_mb=memory(32000 if run.models.encoder != STAND_IN else 2500),
        runtime=minutes(60),
    params:
        source=run.models.encoder,
        contents=source_contents(contents, run.models.encoder),
        revision=option("--revision", *filter(None, [run.models.encoder_revision])),
        stand_in=stand_in("encoder"),
        seed=run.seed,
        code=code_digest(
            "fragmodel.model.sources.make_encoder", command="fragmodel.cli.stages.models.make_encoder"
        ),
    shell:
        "exec python -m fragmodel --log {log:q} make-encoder {params.source:q} {params.revision} --output {output.folder:q}"
        " --stand-in {params.stand_in:q} --seed {params.seed}"


rule decoder:
    input:
        # The stand-in's tokenizer is trained on the run's own training text.
        records=stand_in_text() if run.models.decoder == STAND_IN else [],
    output:
        folder=directory(results("models/decoder")),
    log:
        results("logs/models/decoder.log"),
    benchmark:
        results("benchmarks/models/decoder.tsv")
    localrule: stays(run.models.decoder)
    conda:
        "../environment.yaml"
    threads: 2
    resources:
        mem_mb=memory(32000 if run.models.decoder != STAND_IN else 2500),
        runtime=minutes(60),
    params:
        source=run.models.decoder,
        contents=source_contents(contents, run.models.decoder),
        revision=option("--revision", *filter(None, [run.models.decoder_revision])),
        records=option_of("--records", "records"),
        stand_in=stand_in("decoder", "vocab_size"),
        seed=run.seed,
        code=code_digest(
            "fragmodel.model.sources.make_decoder", command="fragmodel.cli.stages.models.make_decoder"
        ),
    shell:
        "exec python -m fragmodel --log {log:q} make-decoder {params.source:q} {params.revision} --output {output.folder:q} {params.records}"
        " --stand-in {params.stand_in:q} --seed {params.seed}"
