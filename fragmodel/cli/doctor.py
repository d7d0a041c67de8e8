"""`fragmodel doctor`: is everything there that a run needs?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fragmodel.cli.app import app

if TYPE_CHECKING:
    from fragmodel.workflow.environment import Package


@app.command()
def doctor(
    config: Annotated[Path, typer.Option(help="Config of the run.")] = Path("config.yaml"),
    profile: Annotated[
        str, typer.Option(help="`slurm` or `default`; without it Slurm is checked where sbatch is found.")
    ] = "auto",
) -> None:
    """Check what a run needs: its files and models, this machine, Slurm; exit status 1 when something is missing."""
    import os
    import shutil

    from fragmodel.config.variants import load_runs
    from fragmodel.errors import UserError
    from fragmodel.planning.doctor import examine
    from fragmodel.planning.finding import Finding
    from fragmodel.planning.preflight import preflight_of_all
    from fragmodel.workflow.environment import recorded_packages

    if profile not in ("auto", "slurm", "default"):
        raise UserError(f"--profile {profile}: must be slurm or default")
    slurm = profile == "slurm" or (profile == "auto" and shutil.which("sbatch") is not None)
    site = Path(os.environ.get("FRAGMODEL_SITE", "slurm/site.yaml")) if slurm else None
    runs = [each.config for each in load_runs(config)]
    machine = (found for run in runs for found in examine(run, site_file=site, folder=Path.cwd()))
    findings = [*preflight_of_all(runs), *dict.fromkeys(machine)]
    for run in runs:
        if changed := [package for package in recorded_packages(Path(run.results)) if package.changed]:
            findings.append(Finding("packages", "note", _told(changed, run.packages)))
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        print(f"{finding.state:7}  {finding.subject:{width}}  {finding.text}")
    missing = sum(finding.state == "missing" for finding in findings)
    if not slurm and profile == "auto":
        print("Slurm is not checked: sbatch is not on PATH (--profile slurm checks it).")
    print(f"{missing} missing" if missing else "Everything that this run needs is there.")
    raise typer.Exit(1 if missing else 0)


def _told(changed: "Sequence[Package]", policy: str) -> str:
    """One line on packages that another version of has made a run's files."""
    by_package: dict[str, list[str]] = {}
    for package in changed:
        change = f"{package.name} {', '.join(package.recorded)} → {package.installed}"
        by_package.setdefault(change, []).append(package.stage)
    told = "; ".join(f"{change} ({', '.join(stages)})" for change, stages in by_package.items())
    return told + ("; these stages will run again" if policy == "rerun" else "; nothing runs again for it")
