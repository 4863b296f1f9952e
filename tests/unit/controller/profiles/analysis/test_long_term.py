"""What the analysis of a profile leaves behind for the time after its runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.api.models.profile import WorkflowProfile
from concertmaster.api.resolve import resolve
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.discovery.definitions import ResolvedDefinition
from concertmaster.controller.discovery.resolved_profile import ResolvedProfile
from concertmaster.controller.object_cache import CachedObject
from concertmaster.controller.profiles.analysis.analyzer import analyze_profile
from concertmaster.controller.profiles.outputs import Outputs
from concertmaster.controller.profiles.request import AnalysisRequest, EarlierRecommendations, ProfileAnalysis
from concertmaster.controller.reporting.details import Details
from concertmaster.controller.reporting.workflow_series import WorkflowSeries
from concertmaster.controller.status_view import StatusView
from concertmaster.core.model.daily import RUN
from concertmaster.core.model.engines import QUEUE_LABEL
from concertmaster.core.model.enums import ApplyMode
from concertmaster.core.model.policy import MetricsSettings
from concertmaster.engines.argo.traits import ARGO
from concertmaster.history import HistoryFull
from concertmaster.kube.objects import PROFILES, ObjectRef
from concertmaster.report.status.recommendation_log import read as tracked
from concertmaster.report.workflow_series import Sample
from tests.support.builders import DAY, NOW
from tests.support.core.cases import POLICY, cases

CASE = next(c for c in cases() if c.name == "over-requested")
KEY = CASE.definition.key


def request_of(
    *, runs: Any = CASE.runs, most: int | None = None, mode: ApplyMode = ApplyMode.APPROVE, **more: Any
) -> AnalysisRequest:
    ref = {"apiVersion": "argoproj.io/v1alpha1", "kind": KEY.kind, "name": KEY.name}
    meta = {"name": "etl", "namespace": KEY.namespace}
    profile = WorkflowProfile.parse({"metadata": meta, "spec": {"workflowRef": ref}})
    policy = resolve(None, POLICY)
    policy = replace(policy, apply=replace(policy.apply, mode=mode))
    if most is not None:
        policy = replace(policy, analysis=replace(policy.analysis, max_runs=most))
    return AnalysisRequest(profile, policy, CASE.definition, runs, NOW, NOW, **more)


def profile(name: str, *, led: bool = False) -> ResolvedProfile:
    ref = {"apiVersion": "argoproj.io/v1alpha1", "kind": KEY.kind, "name": KEY.name}
    spec = json.dumps({"workflowRef": ref})
    entry = CachedObject(ObjectRef(PROFILES, KEY.namespace, name, f"uid-{name}"), 1, "1", 0.0, {}, spec)
    found = ConditionUpdate(ConditionType.TARGET_RESOLVED, True, Reason.FOUND, "")
    return ResolvedProfile(entry, None, "", (), ResolvedDefinition(CASE.definition, found), "default", led=led)


def analyzed(**more: Any) -> ProfileAnalysis:
    return analyze_profile(request_of(**more))


def test_every_run_of_the_window_is_in_the_row_of_its_day() -> None:
    figures = analyzed().figures
    whole = [r for r in figures.rows if r.step == RUN]
    assert sum(r.count for r in whole) == len(CASE.runs)
    assert {r.step for r in figures.rows} == {RUN, "extract", "transform", "load"}
    today = int(NOW // DAY)
    assert [r.score is not None for r in whole] == [r.day == today for r in whole]
    assert figures.baseline is not None
    assert (figures.baseline.at, figures.baseline.runs) == (NOW, len(CASE.runs))


def test_runs_beyond_those_at_hand_are_not_taken_for_whole_days() -> None:
    """Only the newest 20 runs are read: the day that holds the oldest of them began before."""
    newest = CASE.runs[-20:]
    rows = [r for r in analyzed(runs=newest, most=20).figures.rows if r.step == RUN]
    oldest = min(r.end or 0.0 for r in newest)
    assert [r.whole for r in rows] == [r.start >= oldest for r in rows]
    again = analyzed(runs=newest, most=20, recorded=max(r.until for r in rows)).figures.rows
    assert all(r.whole for r in again)


def test_where_no_run_is_found_the_message_ends_with_the_command_that_tells_why() -> None:
    message = analyzed(runs=()).ready.message
    assert message.startswith("no finished run in 14d")
    assert message.endswith("; if there were runs, see why with: kubectl concertmaster doctor -n demo --prometheus URL")
    paused = replace(CASE.definition, suspended=True)
    message = analyze_profile(replace(request_of(runs=()), definition=paused)).ready.message
    assert message.startswith("no finished run in 14d; it is suspended; ")
    queued = replace(CASE.definition, declared={QUEUE_LABEL: "team"})
    message = analyze_profile(replace(request_of(runs=()), definition=queued)).ready.message
    assert (
        "; runs that LocalQueue team has not admitted are listed by: kubectl get workloads -n demo; if there" in message
    )


@pytest.mark.parametrize(("kind", "said"), [("WorkflowTemplate", True), ("CronWorkflow", False)])
def test_templates_that_others_refer_to_need_no_runs_of_their_own(kind: str, said: bool) -> None:
    key = replace(CASE.definition.key, kind=kind)
    of = replace(CASE.definition, key=key, engine=ARGO)
    message = analyze_profile(replace(request_of(runs=()), definition=of)).ready.message
    assert (
        "templates that other workflows refer to (templateRef) are analyzed with those workflows" in message
    ) is said


@pytest.mark.parametrize(("schedule", "rare"), [("0 4 * * 0", True), ("0 4 * * *", False)])
@pytest.mark.parametrize("runs", [0, 2])
def test_a_schedule_that_never_has_enough_runs_is_said_to(schedule: str, rare: bool, runs: int) -> None:
    seldom = replace(CASE.definition, schedule=schedule)
    message = analyze_profile(replace(request_of(runs=CASE.runs[:runs]), definition=seldom)).ready.message
    assert ("; the schedule starts fewer than 5 runs in 14d: set spec.analysis.window of" in message) is rare


def test_too_few_runs_make_no_baseline() -> None:
    assert analyzed(runs=CASE.runs[:2]).figures.baseline is None


def test_recommendations_are_followed_with_what_they_are_worth() -> None:
    first = analyzed()
    adopted = {a.recommendation: a for a in first.figures.adoptions}
    assert adopted["right-size"].state == "Active"
    assert adopted["right-size"].money is not None and adopted["right-size"].money > 0
    memory = StatusView.of(first.document).memory
    gone = analyzed(runs=[], past=EarlierRecommendations(memory)).figures.adoptions
    assert {a.recommendation for a in gone} >= set(adopted)


def test_the_history_keeps_them_over_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "history.db")
    keeper = HistoryProvider(path)
    keeper.record(KEY, analyzed().figures)
    keeper.close()
    keeper = HistoryProvider(path)
    rows = keeper.store.daily.rows(KEY)
    assert sum(r.count for r in rows) == len(CASE.runs)
    assert keeper.recorded(KEY) == rows[-1].until
    assert keeper.store.daily.baseline(KEY) is not None
    keeper.tidy({}, NOW)
    assert keeper.store.daily.rows(KEY) == rows  # also without a profile


def test_a_full_disk_does_not_stop_the_analysis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = HistoryProvider(str(tmp_path / "history.db"))

    def full(*_: Any, **__: Any) -> int:
        raise HistoryFull("no room")

    monkeypatch.setattr(keeper.store.daily, "record", full)
    keeper.record(KEY, analyzed().figures)
    assert "no room" in caplog.text


def test_series_are_made_where_the_policy_asks_for_them() -> None:
    assert analyzed().samples == ()
    policy = replace(resolve(None, POLICY), metrics=MetricsSettings(per_workflow=True, steps=1))
    found = analyze_profile(replace(request_of(), policy=policy)).samples
    assert {"score", "saving", "duration_seconds"} <= {s.family for s in found}
    assert len({s.labels[0] for s in found if s.family.startswith("step_")}) == 1


def test_an_analysis_reaches_history_details_and_series(tmp_path: Path) -> None:
    keeper, details, series = HistoryProvider(str(tmp_path / "history.db")), Details(), WorkflowSeries()
    outputs = Outputs(keeper, details, series)
    outputs.keep(profile("etl"), replace(analyzed(), samples=(Sample("score", 80.0),)))
    assert keeper.store.daily.rows(KEY)
    assert details.get(KEY.namespace, "etl", "uid-etl")
    assert 'workflow="nightly-etl"' in series.render()
    outputs.keep_only([])
    assert series.render() == ""
    assert details.get(KEY.namespace, "etl", "uid-etl") is None


def test_of_two_profiles_of_a_workflow_one_fills_its_daily_rows(tmp_path: Path) -> None:
    """The other one reads other runs, at other prices: rows would change with every analysis, and peaks be lost."""
    keeper, details = HistoryProvider(str(tmp_path / "history.db")), Details()
    outputs = Outputs(keeper, details)
    older = analyzed(runs=CASE.runs[-20:], most=20)
    outputs.keep(profile("etl"), older)
    rows, peaks = keeper.store.daily.rows(KEY), keeper.largest(KEY, 0.0)
    assert any(row.largest for row in rows)
    outputs.keep(profile("other", led=True), analyzed())
    assert (keeper.store.daily.rows(KEY), keeper.largest(KEY, 0.0)) == (rows, peaks)
    assert details.get(KEY.namespace, "other", "uid-other")


def test_nothing_is_changed_or_kept_for_the_long_term_by_what_only_the_newest_runs_say() -> None:
    found, whole = analyzed(provisional=True), analyzed()
    assert whole.candidates and whole.figures.rows
    assert (found.candidates, tuple(found.figures.rows), found.figures.baseline) == ((), (), None)
    assert analyzed(mode=ApplyMode.RECOMMEND).candidates == ()
    assert (found.ready.status, found.ready.reason) == (True, Reason.BACKFILLING)
    assert "older runs are still being read" in found.ready.message
    assert found.document["recommendations"] == whole.document["recommendations"]


@pytest.mark.parametrize("provisional", [False, True])
def test_what_only_the_newest_runs_said_leaves_no_obsolete_recommendation(provisional: bool) -> None:
    first = analyze_profile(request_of(runs=CASE.runs[-6:], provisional=True))
    memory = tracked(first.document)
    assert memory.tracked
    other = [replace(r, steps=()) for r in CASE.runs]  # of all runs nothing of it is true
    found = analyze_profile(
        request_of(runs=other, past=EarlierRecommendations(memory=memory), was_provisional=provisional)
    )
    states = {r["state"] for r in (*found.document.get("recommendations", ()), *found.document.get("remaining", ()))}
    assert ("Obsolete" in states) is not provisional


@pytest.mark.parametrize(("fewest", "kept"), [(None, False), (20, True), (10_000, False)])
def test_largest_amounts_are_kept_for_a_profile_that_analyzes_fewer_runs(fewest: int | None, kept: bool) -> None:
    """The one that fills the rows may analyze all runs of the window, and need none."""
    rows = analyzed(fewest_runs=fewest).figures.rows
    assert all(row.whole for row in rows if row.day > min(r.day for r in rows))
    assert any(row.largest for row in rows) is kept
