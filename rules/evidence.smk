# What annotated training proteins say about each question, put into the question.


rule evidence:
    input:
        records=[path for split in WITH_EVIDENCE for path in records_of(split=split)],
    output:
        questions=[path for split in WITH_EVIDENCE for path in records_of(split=split, table="questions")],
        lines=results("evidence/lines.parquet"),
        relatives=results("evidence/relatives.parquet"),
    log:
        results("logs/evidence.log"),
    benchmark:
        results("benchmarks/evidence.tsv")
    conda:
        "../environment.yaml"
    threads: CORES
    resources:
        mem_mb=memory(2000, factor=20),
        runtime=minutes(240),
    params:
        packages=packages(EVIDENCE),
        records=option_of("--records", "records"),
        questions=lambda wildcards, output: option("--questions", *as_list(output.questions)),
        kinds=option(
            "--kind",
            *(f"{name}={dataset.family}" for name, dataset in run.datasets.items() if dataset.family),
        ),
        max_lines=run.evidence.max_lines,
        max_e_value=run.evidence.max_e_value,
        profiles="--profiles" if run.evidence.profiles else "",
        pointers="--pointers" if run.evidence.pointers else "",
        code=code_digest(
            "fragmodel.evidence.stage.add_evidence",
            "fragmodel.evidence.stage.Tables",
            command="fragmodel.cli.stages.data.evidence",
        ),
    shell:
        "exec python -m fragmodel --log {log:q} evidence {params.records} {params.questions} {params.kinds}"
        " --lines {output.lines:q} --relatives {output.relatives:q} --max-lines {params.max_lines}"
        " --max-e-value {params.max_e_value} {params.profiles} {params.pointers} --threads {threads}"
