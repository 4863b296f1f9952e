"""What people applied is compared with the other workflows of the same source."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest

from concertmaster.core.changes.verification.before_after import split_runs
from concertmaster.core.model import WorkflowKey
from tests.support.controller.harness import NOW, Bed
from tests.support.core.verification_runs import HOUR, noisy, series

APPLIED = NOW - 13 * HOUR


def test_an_analysis_can_see_how_the_other_workflows_did_meanwhile() -> None:
    bed = Bed()
    for number in range(8):
        name = f"etl-{number}"
        bed.cronjob(name)
        bed.profile(name, target=name)
        rows = [
            *series([*map(float, noisy(number, 30))], APPLIED - 31 * HOUR),
            *series([*map(float, noisy(100 + number, 12, 780.0))], APPLIED + 60.0, 100),
        ]
        key = WorkflowKey("demo", "CronJob", name)
        bed.history.runs_of[name] = [replace(r, workflow=key) for r in rows]
    bed.run()
    request = bed.analyzer.requests[0]
    assert request.others is not None
    own = split_runs(bed.history.runs_of[request.definition.key.name], applied=APPLIED, since=None, now=NOW)
    common = request.others.common(own, APPLIED)
    assert common is not None
    assert (common.workflows, common.ratio) == (7, pytest.approx(1.3, abs=0.06))
    assert request.others.own_runs(own, APPLIED) == own


def test_the_runs_of_the_others_do_not_stay_in_memory_until_the_next_cycle() -> None:
    bed = Bed()
    bed.cronjob("etl")
    bed.profile("etl", target="etl")
    bed.run()
    assert bed.analyzer.requests[0].others is not None
    others = weakref.ref(bed.analyzer.requests[0].others.group)  # type: ignore[attr-defined]
    bed.analyzer.requests.clear()
    gc.collect()
    assert others() is None
