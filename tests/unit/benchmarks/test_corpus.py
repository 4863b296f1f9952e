"""The hostile objects of the chaos campaign: of every kind that the operator reads, and none that it never looks at."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from benchmarks.chaos.corpus import corpus, victim
from benchmarks.chaos.crowds import children, pods
from benchmarks.chaos.objects import SPACE
from benchmarks.chaos.poison import analyzed, cycles_until
from concertmaster.engines import ENGINES, Claims, define, ended
from tests.support.named import ROOT

Raw = dict[str, Any]


def whole(raw: Raw, status: Raw | None = None) -> Raw:
    return {**raw, "metadata": {"namespace": SPACE, **raw["metadata"]}, **({"status": status} if status else {})}


@pytest.fixture(scope="module")
def objects() -> list[Raw]:
    crowds = [body for _, body in children(3)]
    return [whole(item.body, item.status) for item in (*corpus(), *pods(3))] + [whole(body) for body in crowds]


def test_there_is_one_of_every_kind_that_is_read_and_of_every_kind_of_ours(objects: list[Raw]) -> None:
    there = {(str(raw["apiVersion"]).rpartition("/")[0], str(raw["kind"])) for raw in objects}
    runs = [kind for engine in ENGINES for run in engine.run_kinds for kind in (run.object, run.children)]
    read = [*(kind for engine in ENGINES for kind in engine.traits.kinds), *(kind for kind in runs if kind is not None)]
    crds = [yaml.safe_load(file.read_text())["spec"] for file in (ROOT / "crds").glob("*.yaml")]
    wanted = {(kind.group, kind.kind) for kind in read} | {(crd["group"], crd["names"]["kind"]) for crd in crds}
    assert len(crds) == 4
    assert wanted <= there
    assert len({raw["metadata"]["name"] for raw in objects}) >= 40


def test_finished_runs_of_every_kind_are_of_a_workflow_that_is_observed(objects: list[Raw]) -> None:
    """A run of which no profile is read never reaches a reader."""
    found = (define(raw) for raw in [victim() | {"metadata": {"name": "victim", "namespace": SPACE}}, *objects]
             if raw["kind"] in ("WorkflowProfile", "WorkflowTemplate", "Pipeline") and "deep" not in raw["metadata"]["name"]
             and not raw["metadata"]["name"].startswith(("bomb", "wide", "costly", "text", "wrong")))  # fmt: skip
    claims = Claims([definition for definition in found if definition is not None])
    read = {raw["kind"] for raw in objects if ended(raw) and claims.of(raw) is not None}
    assert read == {run.object.kind for engine in ENGINES for run in engine.run_kinds}


def test_the_cycle_in_which_the_last_was_analyzed_is_known_however_late_somebody_looks() -> None:
    def profile(status: str, at: str) -> Raw:
        return {"status": {"conditions": [{"type": "Ready", "status": status, "lastTransitionTime": at}]}}

    ended = [{"ts": f"2026-11-23T15:00:{second:02}.500Z"} for second in (9, 10, 30)]
    both = [profile("True", "2026-11-23T15:00:07Z"), profile("True", "2026-11-23T15:00:09Z")]
    assert cycles_until(analyzed(both), ended) == 1
    assert cycles_until(analyzed([*both, profile("True", "2026-11-23T15:00:29Z")]), ended) == 3
    assert cycles_until(analyzed([*both, profile("Unknown", "2026-11-23T15:00:09Z")]), ended) == 4
    assert cycles_until(analyzed([*both, {}]), []) == 1
