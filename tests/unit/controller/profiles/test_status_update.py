"""What a profile's status says in every state, and which Events that makes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason, update
from concertmaster.controller.object_cache import CachedObject, ObjectCache
from concertmaster.controller.profiles.status_events import status_events
from concertmaster.controller.profiles.status_update import (
    REFRESH_AFTER,
    ProfileOutcome,
    metrics_finding,
    status_update,
)
from concertmaster.controller.source_report import SourceReport
from concertmaster.controller.status_view import StatusView
from concertmaster.kube.events import EventType, Note
from concertmaster.kube.objects import PROFILES

NOW = 1_760_000_000.0
FOUND = ConditionUpdate(ConditionType.TARGET_RESOLVED, True, Reason.FOUND, "CronJob etl with 1 step")
GONE = ConditionUpdate(ConditionType.TARGET_RESOLVED, False, Reason.NOT_FOUND, "CronJob etl does not exist; create it")
WHOLE = ConditionUpdate(ConditionType.METRICS_AVAILABLE, True, Reason.COMPLETE, "all answered")
DOWN = ConditionUpdate(
    ConditionType.METRICS_AVAILABLE, False, Reason.SOURCE_UNREACHABLE, "connection refused. Start it."
)
DOCUMENT = {
    "advice": ["do this"],
    "dataUntil": "2025-10-09T08:53:20Z",
    "recommendations": [{"id": "memory-request.job", "action": "x"}],
    "score": 80,
}
READY = ConditionUpdate(ConditionType.READY, True, Reason.ANALYZED, "30 runs")
MET = ConditionUpdate(ConditionType.OBJECTIVES_MET, True, Reason.MET, "all met")


def known(
    target: ConditionUpdate,
    metrics: ConditionUpdate,
    *,
    fresh: bool = False,
    data_until: float = NOW,
    failure: str = "",
) -> ProfileOutcome:
    """A verdict after an analysis in this process, made just now when ``fresh``."""
    return ProfileOutcome(
        target, metrics, READY, MET, DOCUMENT if fresh else None, failure=failure, data_until=data_until
    )


def entry(status: dict[str, Any] | None = None) -> CachedObject:
    cache = ObjectCache()
    meta = {"name": "etl", "namespace": "demo", "uid": "u", "generation": 3, "resourceVersion": "1"}
    cache.observe(PROFILES, None, {"metadata": meta, "spec": {}, "status": status or {}})
    return cache.snapshot().profiles[0]


def written(verdict: ProfileOutcome, before: dict[str, Any] | None = None, now: float = NOW) -> dict[str, Any]:
    """The status on the server after this verdict."""
    update = status_update(entry(before), verdict, now, running=(), workflow="CronJob/etl")
    assert update is not None
    return {**(before or {}), **update.status} if update.partial else dict(update.status)


def state(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}


def reported(before: CachedObject, status: dict[str, Any]) -> list[Note]:
    """The Events about a status just written."""
    return status_events(before, StatusView.of(status))


def healthy() -> dict[str, Any]:
    return written(known(FOUND, WHOLE, fresh=True, data_until=NOW))


def test_a_fresh_analysis_is_written_whole() -> None:
    status = healthy()
    assert status["advice"] == ["do this"]
    assert status["observedGeneration"] == 3
    assert {c["observedGeneration"] for c in status["conditions"]} == {3}
    assert state(status) == {
        "Ready": ("True", "Analyzed"),
        "MetricsAvailable": ("True", "Complete"),
        "TargetResolved": ("True", "Found"),
        "ObjectivesMet": ("True", "Met"),
    }


def test_the_first_status_names_the_workflow_and_an_outage_keeps_its_figures() -> None:
    """``kubectl get`` shows it while the runs are being read, and where the workflow does not exist."""
    first = written(ProfileOutcome(FOUND, WHOLE))
    assert first["summary"] == {"target": "CronJob/etl"}
    later = status_update(entry(first), ProfileOutcome(GONE, WHOLE), NOW + 300, running=(), workflow="CronJob/etl")
    assert later is not None and "summary" not in later.status


def test_the_same_again_is_no_write() -> None:
    before = healthy()
    assert (
        status_update(
            entry(before),
            known(FOUND, WHOLE, fresh=True, data_until=NOW + 300),
            NOW + 300,
            running=(),
            workflow="CronJob/etl",
        )
        is None
    )
    assert (
        status_update(
            entry(before), known(FOUND, WHOLE, data_until=NOW + 300), NOW + 300, running=(), workflow="CronJob/etl"
        )
        is None
    )


def test_an_outage_keeps_the_recommendation_and_dates_it() -> None:
    before = healthy()
    after = written(known(FOUND, DOWN, data_until=NOW + 600), before, NOW + 900)
    assert after["advice"] == before["advice"]
    assert after["score"] == 80
    assert after["dataUntil"] == "2025-10-09T09:03:20Z"
    assert state(after)["Ready"] == ("False", "Stale")
    assert state(after)["ObjectivesMet"] == ("True", "Met")
    ready = next(c for c in after["conditions"] if c["type"] == "Ready")
    assert "connection refused" in ready["message"]
    assert ready["message"].endswith("based on data up to 2025-10-09 08:53 UTC.")


@pytest.mark.parametrize("message", ["the store has no such series", "the store has no such series."])
def test_what_is_kept_is_a_sentence_of_its_own(message: str) -> None:
    gone = ConditionUpdate(ConditionType.METRICS_AVAILABLE, False, Reason.SERIES_MISSING, message)
    after = written(known(FOUND, gone, data_until=NOW), healthy(), NOW + 300)
    ready = next(c for c in after["conditions"] if c["type"] == "Ready")
    assert ready["message"].startswith("the store has no such series. Showing recommendations based on data")


def test_an_outage_is_written_once_and_its_end_restores_everything() -> None:
    before = healthy()
    during = written(known(FOUND, DOWN, data_until=NOW), before, NOW + 300)
    assert (
        status_update(entry(during), known(FOUND, DOWN, data_until=NOW), NOW + 600, running=(), workflow="CronJob/etl")
        is None
    )
    after = written(known(FOUND, WHOLE, data_until=NOW + 900), during, NOW + 900)
    assert state(after) == state(before)


def test_an_outage_at_the_start_of_a_process_keeps_what_the_last_one_said() -> None:
    before = healthy()
    after = written(ProfileOutcome(FOUND, DOWN), before)
    assert after["advice"] == before["advice"]
    assert after["dataUntil"] == before["dataUntil"]
    assert state(after)["Ready"] == ("False", "Stale")
    assert state(after)["ObjectivesMet"] == ("True", "Met")  # nobody knows better


def test_an_outage_before_any_recommendation_says_why_there_is_none() -> None:
    after = written(ProfileOutcome(FOUND, DOWN))
    assert state(after)["Ready"] == ("False", "SourceUnreachable")
    assert state(after)["ObjectivesMet"] == ("Unknown", "Undecided")
    assert "advice" not in after


def test_a_target_that_went_keeps_the_recommendation() -> None:
    before = healthy()
    after = written(known(GONE, WHOLE, data_until=NOW), before)
    assert after["recommendations"] == before["recommendations"]
    assert state(after)["TargetResolved"] == ("False", "NotFound")
    assert state(after)["Ready"] == ("False", "NotFound")


def test_an_analysis_that_failed_keeps_the_recommendation() -> None:
    before = healthy()
    after = written(known(FOUND, WHOLE, failure="the analysis failed (ValueError)."), before)
    assert after["advice"] == before["advice"]
    assert state(after)["Ready"] == ("False", "AnalysisFailed")


def test_a_definition_with_oddities_is_still_ready() -> None:
    odd = ConditionUpdate(ConditionType.TARGET_RESOLVED, False, Reason.UNSUPPORTED, "odd")
    after = written(known(odd, WHOLE, fresh=True, data_until=NOW))
    assert state(after)["Ready"] == ("True", "Analyzed")


def test_a_transition_moves_its_time_and_a_restatement_does_not() -> None:
    before = healthy()
    after = written(known(FOUND, DOWN, data_until=NOW), before, NOW + 3600)
    times = {c["type"]: c["lastTransitionTime"] for c in after["conditions"]}
    assert times["MetricsAvailable"] == "2025-10-09T09:53:20Z"
    assert times["TargetResolved"] == "2025-10-09T08:53:20Z"


@pytest.mark.parametrize("fresh", [True, False])
def test_data_until_is_refreshed_once_a_day(fresh: bool) -> None:
    before = healthy()
    almost = known(FOUND, WHOLE, fresh=fresh, data_until=NOW + REFRESH_AFTER - 60)
    assert status_update(entry(before), almost, NOW, running=(), workflow="CronJob/etl") is None
    due = known(FOUND, WHOLE, fresh=fresh, data_until=NOW + REFRESH_AFTER + 60)
    update = status_update(entry(before), due, NOW + REFRESH_AFTER, running=(), workflow="CronJob/etl")
    assert update is not None
    assert update.force or update.partial


def test_data_that_no_analysis_considered_does_not_date_the_recommendations() -> None:
    """Their workflow is gone, or its analysis fails: they rest on the data of before."""
    before, later = healthy(), NOW + 3 * REFRESH_AFTER
    for failed in (known(GONE, WHOLE, data_until=later), known(FOUND, WHOLE, data_until=later, failure="a fault")):
        after = written(failed, before, later)
        assert after["dataUntil"] == before["dataUntil"]
        assert (
            status_update(
                entry(after),
                replace(failed, data_until=later + 2 * REFRESH_AFTER),
                later,
                running=(),
                workflow="CronJob/etl",
            )
            is None
        )


def test_missing_series_are_named_with_their_cure() -> None:
    report = SourceReport("default", True, Reason.COMPLETE, "fine", missing=("a: b; c.", "d: e; f.", "g", "h"))
    finding = metrics_finding(report)
    assert (finding.status, finding.reason) == (True, Reason.PARTIAL)
    assert "a: b; c. d: e; f." in finding.message
    assert "1 more" in finding.message


def test_missing_series_hide_no_difference_of_clocks() -> None:
    finding = metrics_finding(SourceReport("default", True, Reason.CLOCK_SKEW, "the clocks differ", missing=("a: b",)))
    assert (finding.status, finding.reason) == (True, Reason.CLOCK_SKEW)
    assert finding.message == "the clocks differ; some series are missing: a: b"


def test_a_healthy_first_status_is_no_event() -> None:
    assert reported(entry(), healthy()) == []


def test_a_bad_first_status_is_one_event_per_cause() -> None:
    found = reported(entry(), written(ProfileOutcome(GONE, WHOLE)))
    assert {(n.severity, n.reason) for n in found} == {(EventType.WARNING, "NotFound")}


def test_reading_the_window_for_the_first_time_is_no_warning_and_makes_nothing_obsolete() -> None:
    """42 Warnings and every recommendation Obsolete: that was the first hour after an installation."""
    reading = ConditionUpdate(ConditionType.READY, False, Reason.BACKFILLING, "Backfilling 3d12h of 14d")
    first = written(ProfileOutcome(FOUND, WHOLE, reading))
    assert state(first)["Ready"] == ("False", "Backfilling")
    assert reported(entry(), first) == []
    before = healthy()
    again = written(ProfileOutcome(FOUND, WHOLE, reading), before)
    assert again["recommendations"] == before["recommendations"]
    assert reported(entry(before), again) == []
    assert {n.severity for n in reported(entry(first), written(known(FOUND, WHOLE, fresh=True), first))} <= {
        EventType.NORMAL
    }


def test_flips_are_reported_both_ways_and_wording_is_not() -> None:
    before = healthy()
    during = written(known(GONE, WHOLE, data_until=NOW), before)
    down = reported(entry(before), during)
    assert {(n.severity, n.reason) for n in down} == {(EventType.WARNING, "NotFound")}
    up = reported(entry(during), before)
    assert up
    assert {n.severity for n in up} == {EventType.NORMAL}
    reworded = {**before, "conditions": [{**c, "message": "other"} for c in before["conditions"]]}
    assert reported(entry(before), reworded) == []


def test_an_outage_of_a_source_and_its_end_are_shared_by_all_who_read_from_it() -> None:
    before = healthy()
    during = written(known(FOUND, DOWN, data_until=NOW), before)
    assert [(n.reason, n.shared) for n in reported(entry(before), during)] == [("SourceUnreachable", True)]
    assert [(n.reason, n.shared) for n in reported(entry(during), before)] == [("Complete", True)]


def test_what_the_first_analysis_finds_is_no_event() -> None:
    """At the end of a backfill every profile has one."""
    after = healthy()
    ready = next(c for c in after["conditions"] if c["type"] == "Ready")
    others = [c for c in after["conditions"] if c["type"] != "Ready"]
    during = {"conditions": [*others, {**ready, "status": "False", "reason": "Backfilling"}]}
    assert after["recommendations"]
    assert reported(entry(during), after) == []


def test_a_new_recommendation_is_reported_with_where_to_read_it() -> None:
    before = healthy()
    more = {**before, "recommendations": [*before["recommendations"], {"id": "cpu-request.job"}]}
    found = reported(entry(before), more)
    assert [n.reason for n in found] == ["NewRecommendations"]
    assert "cpu-request.job" in found[0].text
    assert "memory-request.job" not in found[0].text
    assert "kubectl concertmaster describe etl -n demo" in found[0].text


def test_a_right_that_is_missing_is_a_warning_and_its_grant_is_none() -> None:
    denied = ConditionUpdate(ConditionType.WRITE_ACCESS, False, Reason.DENIED, "the operator may not patch cronjobs")
    granted = ConditionUpdate(ConditionType.WRITE_ACCESS, True, Reason.GRANTED, "the operator may make the changes")
    off, on = ({"conditions": update((), [c], generation=1, now=NOW)} for c in (denied, granted))
    assert [n.severity for n in reported(entry(on), off)] == [EventType.WARNING]
    assert [n.severity for n in reported(entry(off), on)] == [EventType.NORMAL]
