"""Rule report: the HTML page, its figures and tables."""

from pathlib import Path

from fragmodel.workflow.stage import stage

with stage(snakemake.log[0]):
    from fragmodel.model.sources import describe_run
    from fragmodel.report.page import make_report

    options = snakemake.params.report
    make_report(
        records=[Path(path) for path in snakemake.input.records],
        rejects=[Path(path) for path in snakemake.input.rejects],
        training_log=Path(log) if (log := snakemake.input.training_log) else None,
        metrics=Path(snakemake.input.metrics),
        scored=[Path(path) for path in snakemake.input.scored],
        leakage=Path(snakemake.input.leakage),
        output=Path(snakemake.output.page),
        figures_dir=Path(snakemake.output.figures),
        tables_dir=Path(snakemake.output.tables),
        title=options["title"],
        examples=options["examples"],
        run=describe_run(
            snakemake.params.config,
            encoder=Path(snakemake.input.encoder),
            decoder=Path(snakemake.input.decoder),
            model=Path(snakemake.input.model),
        ),
        alignment=tuple(map(Path, snakemake.input.alignment)) or None,
    )
