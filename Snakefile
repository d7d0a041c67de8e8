# Where Snakemake looks first. The workflow lies one folder below, since rules that are fetched from a git host are not
# found from a file at the top. `include:` would leave its default target behind.
workflow.include("workflow/Snakefile", overwrite_default_target=True)
