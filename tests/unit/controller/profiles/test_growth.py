"""Of a workflow with many runs in its window, one more changes next to nothing: it is analysed when they are 5% more, or
when something happened that cannot wait for that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from concertmaster.controller.live.live_runs import LiveRunsReport
from concertmaster.controller.profiles.analysis.runner import REANALYZE_AFTER
from concertmaster.controller.profiles.last_analyses import LARGE
from concertmaster.core.model import Outcome, RunRecord, Source, StepExecution, WorkflowKey
from concertmaster.kube.objects import CHANGES, PROFILES
from tests.support.builders import run_record
from tests.support.controller.harness import NOW, Bed

ETL = WorkflowKey("demo", "CronJob", "etl")
MANY = 160
DUE = 8  # 5% of them
MINUTE = 60.0


def ended(number: int, outcome: Outcome = Outcome.SUCCEEDED) -> RunRecord:
    end = NOW - 86_400.0 + number * MINUTE
    return run_record(workflow=ETL, run=f"etl-{number}", start=end - 50.0, end=end, outcome=outcome)


def settled(count: int) -> Bed:
    """A workflow of so many runs that was analysed once."""
    bed = Bed()
    bed.cronjob()
    bed.profile()
    bed.history.runs_of["etl"] = [ended(n) for n in range(count)]
    bed.run()
    bed.run(seconds=MINUTE)
    assert len(bed.analyzer.requests) == 1
    return bed


@pytest.fixture
def bed() -> Bed:
    return settled(MANY)


def more(bed: Bed, outcome: Outcome = Outcome.SUCCEEDED) -> int:
    """One more run, and a cycle after it; how many analyses there were by then."""
    runs = bed.history.runs_of["etl"]
    runs.append(ended(len(runs), outcome))
    bed.history.stale.update(bed.history.kept)
    bed.sources.changed.add(ETL)
    bed.run(seconds=MINUTE)
    return len(bed.analyzer.requests)


def test_many_runs_are_analysed_again_when_they_grew_by_five_per_cent(bed: Bed) -> None:
    assert [more(bed) for _ in range(DUE)] == [1] * (DUE - 1) + [2]
    assert [more(bed) for _ in range(DUE + 1)] == [2] * DUE + [3]  # 5% of 168


def test_few_runs_are_analysed_whenever_one_ends() -> None:
    bed = settled(LARGE - 3)
    assert [more(bed) for _ in range(5)] == [2, 3, 4, 4, 4]


def test_a_failure_does_not_wait(bed: Bed) -> None:
    assert [more(bed), more(bed, Outcome.FAILED), more(bed), more(bed, Outcome.FAILED)] == [1, 2, 2, 3]


def test_the_age_of_an_analysis_is_bounded(bed: Bed) -> None:
    assert more(bed) == 1
    bed.run(seconds=REANALYZE_AFTER)
    assert len(bed.analyzer.requests) == 2


def test_another_policy_does_not_wait(bed: Bed) -> None:
    assert more(bed) == 1
    bed.policy(selector={}, analysis={"minRuns": 7})
    bed.run(seconds=MINUTE)
    assert len(bed.analyzer.requests) == 2


def test_another_definition_does_not_wait(bed: Bed) -> None:
    assert more(bed) == 1
    cronjob = bed.cronjob()
    cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"] = "y"
    cronjob["metadata"]["resourceVersion"] = "999"
    bed.run(seconds=MINUTE)
    assert len(bed.analyzer.requests) == 2


@pytest.mark.parametrize(("state", "analyses"), [("Unknown", [2, 3]), ("True", [1, 1])])
def test_runs_that_decide_about_a_change_do_not_wait(bed: Bed, state: str, analyses: list[int]) -> None:
    spec = {"profileRef": {"name": "etl"}, "recommendation": "right-size", "planDigest": "a"}
    bed.client.put(CHANGES, "demo", "etl-a", spec=spec, status={"conditions": [{"type": "Verified", "status": state}]})
    other = {**spec, "profileRef": {"name": "other"}}
    bed.client.put(CHANGES, "demo", "o", spec=other, status={"conditions": [{"type": "Verified", "status": "Unknown"}]})
    assert [more(bed), more(bed)] == analyses


@pytest.mark.parametrize(("verdict", "analyses"), [(None, [2, 3]), ("Improved", [2, 2])])  # a verdict is news once
def test_runs_that_measure_what_somebody_changed_do_not_wait(
    bed: Bed, verdict: str | None, analyses: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    profile_reconciler, measured = bed.profile_reconciler, {"id": "right-size", "verdict": verdict}
    profiles = profile_reconciler.profiles

    def measured_profiles(*args: object) -> object:
        found = profiles(*args)  # type: ignore[arg-type]
        return [replace(s, entry=replace(s.entry, status=replace(s.entry.status, outcomes=(measured,)))) for s in found]

    monkeypatch.setattr(profile_reconciler, "profiles", measured_profiles)
    assert [more(bed), more(bed)] == analyses


def test_runs_beside_a_late_one_do_not_wait(bed: Bed) -> None:
    start = bed.now - 4 * 3600.0
    step = StepExecution(
        "job", pod="p", uid="u", created=start, scheduled=start, started=start, outcome=Outcome.RUNNING
    )
    late = RunRecord(ETL, "etl-now", start, None, Outcome.RUNNING, Source.LIVE, (step,))
    bed.live.seen = [LiveRunsReport(running={ETL: (late,)})] * 2
    assert [more(bed), more(bed)] == [2, 3]
    assert bed.status(PROFILES)["running"][0]["late"] is True


def test_runs_that_were_too_few_count_after_a_restart(bed: Bed) -> None:
    for _ in range(DUE - 2):
        more(bed)
    after = Bed(history=bed.history)
    after.client.objects = bed.client.objects
    after.now = bed.now
    assert [more(after) for _ in range(2)] == [0, 1]
