# One self-contained page for people.


rule report:
    input:
        records=records_of(),
        rejects=records_of(table="rejects"),
        training_log=[] if run.evaluation.model else rules.train_model.output.log,
        model=TRAINED,
        encoder=rules.encoder.output.folder,
        decoder=rules.decoder.output.folder,
        metrics=rules.metrics.output.metrics,
        scored=expand(rules.score.output.table, data_name=run.datasets),
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
        report=slice_of(run.report),
        config=run.model_dump(),
        code=code_digest("fragmodel.report.page", "fragmodel.model.sources"),
    script:
        "../workflow_scripts/make_report.py"
