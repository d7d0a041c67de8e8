"""Rules of several runs in one workflow: the first makes what they share, and a missing setting is told."""

from types import SimpleNamespace

import pytest

from fragmodel.errors import UserError
from fragmodel.workflow.experiment import settings_hold_for, share_rules


def rule(name: str, output: str, **params: object) -> SimpleNamespace:
    return SimpleNamespace(name=name, output=[output], params=params, dependencies={"input": "another"})


def ordered(*rules: SimpleNamespace) -> list[tuple[str, ...]]:
    orders: list[tuple[str, ...]] = []
    share_rules(SimpleNamespace(rules=rules, ruleorder=lambda *names: orders.append(names)))
    return orders


def test_rules_with_the_same_files_are_ordered_as_they_come():
    rules = rule("a_1_windows", "shared/windows", code="x"), rule("a_2_windows", "shared/windows", code="x")
    assert ("a_1_windows", "a_2_windows") in ordered(*rules, rule("a_1_train", "a/model", seed=1))
    assert not any(each.dependencies for each in rules)


def test_the_same_files_with_other_settings_are_refused():
    with pytest.raises(
        UserError, match="a_1_windows and b_1_windows make shared/windows with different length"
    ):
        ordered(
            rule("a_1_windows", "shared/windows", length=1), rule("b_1_windows", "shared/windows", length=2)
        )


def test_what_is_said_of_a_rule_holds_in_every_run():
    resources = SimpleNamespace(overwrite_threads={"train_model": 4}, overwrite_resources={})
    executor = SimpleNamespace(array_jobs="embed_shard, generate")
    workflow = SimpleNamespace(resource_settings=resources, executor_settings=executor)
    settings_hold_for(workflow, ["a_1_", "b_1_"])
    assert resources.overwrite_threads == {"a_1_train_model": 4, "b_1_train_model": 4, "train_model": 4}
    assert set(executor.array_jobs.split(",")) >= {"a_1_generate", "b_1_embed_shard", "generate"}
