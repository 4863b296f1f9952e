"""From profiles to definitions: an object that cannot be read concerns its own profile and stops no other."""

from __future__ import annotations

from typing import Any

import pytest

from concertmaster.controller.discovery import definitions as module
from concertmaster.kube.discover import ProblemKind
from tests.support.controller.harness import Bed, run


@pytest.fixture
def bed() -> Bed:
    found = Bed()
    for name in ("etl", "bad"):
        found.cronjob(name)
        found.profile(name, name)
        found.history.runs_of[name] = [run(name, 1)]
    return found


def test_a_profile_of_an_object_nested_too_deeply_says_so_and_the_others_are_recommended(bed: Bed) -> None:
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    for obj in bed.client.objects.values():
        if obj["kind"] == "CronJob" and obj["metadata"]["name"] == "bad":
            obj["spec"]["deep"] = deep
    bed.run()
    assert bed.status()["advice"] == ["1 runs"]
    assert bed.state(name="bad")["TargetResolved"] == ("False", "Unsupported")
    assert "nested deeper than 100 levels" in bed.message("TargetResolved", name="bad")


def test_a_definition_that_breaks_its_reader_is_left_out(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.define

    def broken(raw: Any, *args: Any, **more: Any) -> Any:
        if raw["metadata"]["name"] == "bad":
            raise RecursionError("maximum recursion depth exceeded")
        return real(raw, *args, **more)

    monkeypatch.setattr(module, "define", broken)
    bed.run()
    assert bed.status()["advice"] == ["1 runs"]
    assert bed.state(name="bad")["TargetResolved"] == ("False", "Unsupported")
    assert "is left out (RecursionError)" in bed.message("TargetResolved", name="bad")


def test_every_kind_of_problem_has_a_reason() -> None:
    assert set(module._REASONS) == set(ProblemKind)
