# One self-contained page for people.


rule report:
    input:
        records=records_of(),
        rejects=records_of(table="rejects"),
        training_log=[] if run.evaluation.model else rules.train_model.output.log,
        model=TRAINED,
        encoder=rules.encoder.output.folder,
        decoder=rules.decoder.output.folder,
        metrics=rules.score.output.metrics,
        scored=rules.score.output.table,
        leakage=rules.audit_leakage.output.summary,
        alignment=(
            [rules.align_adapters.output.log, rules.score_alignment.output.metrics]
            if run.alignment.enabled and not run.evaluation.model
            else []
        ),
    output:
        page=report(
            results("report.html"),
            caption="../fragmodel/report/templates/caption.rst",
            category="fragmodel",
        ),
        figures=report(
            directory(results("figures")),
            patterns=["{name}.svg"],
            caption="../fragmodel/report/templates/figures.rst",
            category="Figures",
            labels={"figure": "{name}"},
        ),
        tables=report(
            directory(results("tables")),
            patterns=["{name}.csv"],
            caption="../fragmodel/report/templates/tables.rst",
            category="Tables",
            labels={"table": "{name}"},
        ),
    log:
        results("logs/report.log"),
    benchmark:
        results("benchmarks/report.tsv")
    conda:
        "../environment.yaml"
    resources:
        mem_mb=memory(1500, factor=5),
        runtime=minutes(60),
    params:
        config=json.dumps(run.model_dump()),
        rejects=lambda wildcards, input: Path(input.rejects[0]).parents[2],
        scored=option_of("--scored", "scored"),
        training_log=option_of("--training-log", "training_log"),
        benchmarks=results("benchmarks"),
        alignment=lambda wildcards, input: " ".join(
            option(name, path)
            for name, path in zip(("--alignment-log", "--alignment-metrics"), input.alignment)
        ),
        code=code_digest(
            "fragmodel.report.page.make_report",
            "fragmodel.model.sources.describe_run",
            command="fragmodel.cli.stages.report.report",
        ),
    shell:
        "exec python -m fragmodel --log {log:q} report {input.records:q} --rejects {params.rejects:q} --metrics {input.metrics:q}"
        " {params.scored} --leakage {input.leakage:q} {params.training_log} {params.alignment}"
        " --model {input.model:q} --encoder {input.encoder:q} --decoder {input.decoder:q}"
        " --config {params.config:q} --output {output.page:q} --figures {output.figures:q}"
        " --tables {output.tables:q} --benchmarks {params.benchmarks:q}"
