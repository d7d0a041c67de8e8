"""What rules/experiment.smk needs where the rules of one run are in a workflow several times, under other names."""

from collections.abc import Mapping, Sequence
from typing import Any

from fragmodel.errors import UserError


def settings_hold_for(workflow: Any, prefixes: Sequence[str]) -> None:
    """Let what profile and command line say of a rule (threads, resources, arrays) hold for it in every run.

    ``workflow`` is Snakemake's; to be called before a rule is made. What is said of one run's rule wins.
    """
    settings = workflow.resource_settings
    for name in ("overwrite_threads", "overwrite_resources"):
        setattr(settings, name, _for_all(getattr(settings, name), prefixes))
    arrays = getattr(workflow.executor_settings, "array_jobs", None)  # of the Slurm executor
    if arrays and arrays != "all":
        names = [name.strip() for name in arrays.split(",")]
        workflow.executor_settings.array_jobs = ",".join(_for_all(dict.fromkeys(names), prefixes))


def share_rules(workflow: Any) -> None:
    """Of rules that make the same files, in different runs, let the first make them for all.

    ``workflow`` is Snakemake's; to be called when all rules are made. Raises :class:`UserError` where rules would not
    make the same: their settings differ.
    """
    makers: dict[tuple[str, ...], list[Any]] = {}
    for rule in workflow.rules:
        # What names another rule's output would be made by that rule of its own run, whatever the order.
        rule.dependencies.clear()
        if rule.output:
            makers.setdefault(tuple(map(str, rule.output)), []).append(rule)
    for first, *others in makers.values():
        for other in others:
            for key, value in first.params.items():
                if not callable(value) and value != other.params.get(key):
                    raise UserError(
                        f"rules {first.name} and {other.name} make {first.output[0]} with different {key}: "
                        "a setting is missing in fragmodel/config/stages.py"
                    )
        workflow.ruleorder(first.name, *(rule.name for rule in others))


def _for_all(said: Mapping[str, Any], prefixes: Sequence[str]) -> dict[str, Any]:
    """What is said of rules, for these rules of every run, too."""
    return {f"{prefix}{name}": value for prefix in prefixes for name, value in said.items()} | dict(said)
