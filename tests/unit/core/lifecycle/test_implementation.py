"""Whether recommendations were implemented: by name, by amount, and never by accident."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from concertmaster.core.lifecycle.implementation import (
    Field,
    are_implemented,
    fields,
    implemented_share,
    implements,
    is_applied,
    value,
    whole,
    word,
)
from concertmaster.core.model import Edit
from tests.support.core.change_samples import TRAIN, cron_job, template

CPU = Edit(f"{TRAIN}/cpu", "2", "1")
PATH = "/spec/templates/train/container/resources/requests/cpu"


def test_a_path_names_elements_of_lists() -> None:
    assert fields([CPU], template()) == (Field(PATH, "2", "1"),)


def test_it_is_found_again_when_a_template_was_put_in_front() -> None:
    wanted = fields([CPU], template())
    moved = template()
    moved["spec"]["templates"].insert(0, {"name": "check", "container": {"image": "y"}})
    assert value(moved, PATH) == (True, "2")
    assert not are_implemented(wanted, moved)
    moved["spec"]["templates"][2]["container"]["resources"]["requests"]["cpu"] = 1
    assert are_implemented(wanted, moved)


def test_a_field_of_a_task_is_found_in_the_task_and_in_no_other() -> None:
    def task(cpu: str) -> dict[str, Any]:
        return {"spec": {"steps": [{"name": "go", "computeResources": {"requests": {"cpu": cpu}}}]}}

    pipeline: dict[str, Any] = {"kind": "Pipeline", "spec": {"tasks": []}}
    edit = Edit("/spec/steps/0/computeResources/requests/cpu", "2", "1", "compile")
    wanted = fields([edit], whole(pipeline, {"compile": task("2"), "deploy": task("1")}))
    assert wanted == (Field("/Task/compile/spec/steps/go/computeResources/requests/cpu", "2", "1"),)
    assert not are_implemented(wanted, whole(pipeline, {"compile": task("2"), "deploy": task("1")}))
    assert are_implemented(wanted, whole(pipeline, {"compile": task("1"), "deploy": task("2")}))
    assert is_applied([edit], whole(pipeline, {"compile": task("1")}))
    assert not are_implemented(wanted, whole(pipeline, {}))


def test_a_template_of_another_name_at_the_same_place_is_not_it() -> None:
    wanted = fields([CPU], template())
    other = template()
    other["spec"]["templates"][1]["name"] = "score"
    other["spec"]["templates"][1]["container"]["resources"]["requests"]["cpu"] = "1"
    assert value(other, PATH) == (False, None)
    assert not are_implemented(wanted, other)


def test_what_is_not_set_yet_can_be_recommended_and_followed() -> None:
    raw = cron_job()
    edit = Edit("/spec/jobTemplate/spec/template/spec/containers/0/resources/requests/memory", None, "1Gi")
    wanted = fields([edit], raw)
    assert wanted == (
        Field("/spec/jobTemplate/spec/template/spec/containers/main/resources/requests/memory", None, "1Gi"),
    )
    assert not are_implemented(wanted, raw)
    assert are_implemented(wanted, cron_job({"requests": {"memory": "1024Mi"}}))


@pytest.mark.parametrize(
    ("old", "new", "now", "answer"),
    [
        ("2Gi", "832Mi", "832Mi", True),
        ("2Gi", "832Mi", "1Gi", True),  # a round number near it
        ("2Gi", "832Mi", "512Mi", True),  # further than recommended
        ("2Gi", "832Mi", "1900Mi", False),  # hardly anything
        ("2Gi", "832Mi", "4Gi", False),  # the other implemented_share
        ("2Gi", "832Mi", None, False),
        ("2", "8", "5", True),
        ("2", "8", "4", False),
        (None, "8", "4", False),
        ("500m", "500m", "0.5", True),
        ("0 2 * * *", "30 2 * * *", "30 2 * * *", True),
        ("0 2 * * *", "30 2 * * *", "15 2 * * *", False),
    ],
)
def test_half_of_the_way_is_followed(old: str | None, new: str, now: str | None, answer: bool) -> None:
    assert implements(Field("/x", old, new), now) is answer


def test_all_fields_must_stand() -> None:
    raw = template()
    both = fields([CPU, Edit("/spec/parallelism", "2", "8")], raw)
    raw["spec"]["parallelism"] = 8
    assert not are_implemented(both, raw)
    raw["spec"]["templates"][1]["container"]["resources"]["requests"]["cpu"] = "1"
    assert are_implemented(both, raw)
    assert not are_implemented((), raw)


def test_recommendations_that_stands_already_is_known() -> None:
    raw = template()
    assert not is_applied([CPU], raw)
    raw["spec"]["templates"][1]["container"]["resources"]["requests"]["cpu"] = "1"
    assert is_applied([CPU], raw)
    assert not is_applied([], raw)


def test_long_values_are_compared_by_digest() -> None:
    strategy: dict[str, Any] = {"limit": 3, "expression": "lastRetry.exitCode == 137 -> more", "affinity": "x" * 200}
    short = word(strategy)
    assert short is not None
    assert short.startswith("sha256:")
    assert word(copy.deepcopy(strategy)) == short
    assert word({**strategy, "limit": 4}) != short


def test_a_list_that_is_too_short_gives_no_fields() -> None:
    assert fields([Edit("/spec/templates/9/parallelism", None, "3")], template()) == ()


@pytest.mark.parametrize(
    ("path", "old", "new", "done"),
    [
        ("/spec/x/resources/limits/cpu", "1", "2", True),  # "Raise CPU limit ..., or remove it"
        ("/spec/x/resources/limits/memory", "1Gi", "2Gi", True),
        ("/spec/x/resources/limits/cpu", "2", "1", False),
        ("/spec/x/resources/limits/cpu", None, "1", False),
        ("/spec/x/resources/requests/cpu", "1", "2", False),
    ],
)
def test_a_limit_to_raise_that_was_removed_is_implemented(path: str, old: str | None, new: str, done: bool) -> None:
    assert implements(Field(path, old, new), None) is done


def test_a_container_that_became_a_script_has_not_removed_its_limit() -> None:
    limit = Field("/spec/templates/split/container/resources/limits/memory", "512Mi", "1Gi")
    work = {"image": "work:1", "resources": {"limits": {"memory": "512Mi"}}}

    def now(template: dict[str, Any]) -> dict[str, Any]:
        return {"spec": {"templates": [{"name": "split", **template}]}}

    assert not are_implemented([limit], now({"container": work}))
    assert are_implemented([limit], now({"container": {"image": "work:1"}}))
    script = now({"script": {"image": "work:2", "source": "..."}})
    assert not are_implemented([limit], script)
    assert implemented_share([limit], script) == 0.0
