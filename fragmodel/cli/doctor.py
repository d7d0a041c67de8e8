"""`fragmodel doctor`: is everything there that a run needs?"""

from pathlib import Path
from typing import Annotated

import typer

from fragmodel.cli import app


@app.command()
def doctor(
    config: Annotated[Path, typer.Option(help="Config of the run.")] = Path("config.yaml"),
    profile: Annotated[
        str, typer.Option(help="`slurm` or `default`; without it Slurm is checked where sbatch is found.")
    ] = "auto",
) -> None:
    """Check what a run needs from this machine and from Slurm; exit status 1 when something is missing."""
    import os
    import shutil

    from fragmodel.config.run import load_config
    from fragmodel.errors import UserError
    from fragmodel.planning.doctor import examine

    if profile not in ("auto", "slurm", "default"):
        raise UserError(f"--profile {profile}: must be slurm or default")
    slurm = profile == "slurm" or (profile == "auto" and shutil.which("sbatch") is not None)
    site = Path(os.environ.get("FRAGMODEL_SITE", "slurm/site.yaml")) if slurm else None
    findings = [*examine(load_config(config), site_file=site, folder=Path.cwd())]
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        print(f"{finding.state:7}  {finding.subject:{width}}  {finding.text}")
    missing = sum(finding.state == "missing" for finding in findings)
    if not slurm and profile == "auto":
        print("Slurm is not checked: sbatch is not on PATH (--profile slurm checks it).")
    print(f"{missing} missing" if missing else "Everything that this run needs is there.")
    raise typer.Exit(1 if missing else 0)
