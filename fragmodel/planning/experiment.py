"""The plan of an experiment: its runs one by one, and their sum with what they share counted once."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fragmodel.config.stages import shared_folders
from fragmodel.config.variants import Run
from fragmodel.planning.plan import Plan
from fragmodel.planning.settings import GIB
from fragmodel.planning.text import hours_text, size_text

_SHARED_HOURS = {"embedding": "embeddings", "alignment": "alignment"}  # column → stage


@dataclass(frozen=True, kw_only=True)
class RunSum:
    """What one run adds: what an earlier one has made already costs nothing."""

    name: str
    gpu_hours: dict[str, float]
    memory: int  # bytes on a GPU in a training step, as configured
    disk: int  # bytes


@dataclass(frozen=True, kw_only=True)
class ExperimentPlan:
    """Everything that is printed. Sizes in bytes, times in hours of one GPU."""

    runs: list[RunSum]
    gpu_hours: dict[str, float]
    disk: int
    tflops: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def add_up(runs: Sequence[Run], plans: Sequence[Plan]) -> ExperimentPlan:
    """The sum of the plans of an experiment's runs, in their order; at least one."""
    made: set[str] = set()
    found = []
    for run, plan in zip(runs, plans, strict=True):
        folders = shared_folders(run.config)
        new = {stage for stage, folder in folders.items() if folder not in made}
        made.update(folders.values())
        hours = {
            stage: hours if _SHARED_HOURS.get(stage, stage) in new or stage not in _SHARED_HOURS else 0.0
            for stage, hours in plan.gpu_hours.items()
        }
        checkpointing = "with" if run.config.training.gradient_checkpointing else "without"
        disk = plan.checkpoint_bytes
        disk += plan.store_bytes if "embeddings" in new else 0
        disk += plan.text_bytes if "texts" in new else 0
        memory = plan.memory[checkpointing]["total"]
        found.append(RunSum(name=run.name, gpu_hours=hours, memory=memory, disk=disk))
    stages = dict.fromkeys(stage for each in found for stage in each.gpu_hours)
    return ExperimentPlan(
        runs=found,
        gpu_hours={stage: sum(each.gpu_hours.get(stage, 0.0) for each in found) for stage in stages},
        disk=sum(each.disk for each in found),
        tflops=plans[0].tflops,
    )


def sum_as_text(plan: ExperimentPlan) -> Iterator[str]:
    """The sum in lines, a run each."""
    stages = [stage for stage, hours in plan.gpu_hours.items() if hours]
    width = max(len(name) for name in ("run", "sum", *(each.name for each in plan.runs)))
    yield (
        f"{len(plan.runs)} runs; GPU hours at {plan.tflops:g} TFLOP/s sustained (`--tflops`), what runs share is"
        " counted at the first"
    )
    columns = "".join(f"{stage:>12}" for stage in (*stages, "GiB of GPU", "disk"))
    yield f"  {'run':<{width}}{columns}"
    for each in plan.runs:
        hours = "".join(f"{hours_text(each.gpu_hours[stage]):>12}" for stage in stages)
        yield f"  {each.name:<{width}}{hours}{each.memory / GIB:>12.3g}{size_text(each.disk):>12}"
    hours = "".join(f"{hours_text(plan.gpu_hours[stage]):>12}" for stage in stages)
    yield f"  {'sum':<{width}}{hours}{'':>12}{size_text(plan.disk):>12}"
    yield f"  {sum(plan.gpu_hours.values()):.3g} GPU hours together; what this rests on: docs/plan.md"
