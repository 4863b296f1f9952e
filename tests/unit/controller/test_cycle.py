"""The cycle: what is analysed and written when, and how far a fault reaches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn
from weakref import ref

import pytest

from concertmaster.controller import cycle
from concertmaster.controller.archive.archived_runs import ArchiveReport
from concertmaster.controller.changes.control_group import ControlGroup
from concertmaster.controller.changes.reconciler import ChangesOutcome
from concertmaster.controller.discovery.labelled import Labelled
from concertmaster.controller.live.live_runs import LiveRunsReport
from concertmaster.controller.profiles import reconciler
from concertmaster.controller.profiles.analysis.runner import REANALYZE_AFTER
from concertmaster.controller.snapshot import SnapshotBuilder
from concertmaster.controller.watches import watchdog
from concertmaster.controller.watches.watchdog import KindsLost
from concertmaster.core.model import Outcome, WorkflowKey
from concertmaster.core.model.conditions import Reason
from concertmaster.core.model.policy import PolicyRef
from concertmaster.core.times import format_time, parse_time
from concertmaster.kube import errors
from concertmaster.kube.objects import CHANGES, CLUSTER_POLICIES, EVENTS, NAMESPACES, POLICIES, PROFILES, Resource
from tests.support.controller.harness import INTERVAL, NOW, Bed, report, run
from tests.support.resources import CRONJOB, known_resource

DISCOVER = [{"apiVersion": "batch/v1", "kind": "CronJob"}]
ETL = WorkflowKey("demo", "CronJob", "etl")


@pytest.fixture
def bed() -> Bed:
    """One CronJob with a profile and three runs."""
    made = Bed()
    made.cronjob()
    made.profile()
    made.history.runs_of["etl"] = [run("etl", i) for i in range(3)]
    return made


def test_the_first_cycle_gives_recommendations_and_the_second_does_nothing(bed: Bed) -> None:
    bed.run()
    assert bed.status()["advice"] == ["3 runs"]
    assert bed.state() == {
        "Ready": ("True", "Analyzed"),
        "MetricsAvailable": ("True", "Complete"),
        "TargetResolved": ("True", "Found"),
        "ObjectivesMet": ("True", "Met"),
    }
    bed.writes()
    bed.run(seconds=INTERVAL)
    assert bed.writes() == []
    assert len(bed.analyzer.requests) == 1


def test_each_cycle_says_with_what_the_runs_of_a_workflow_are_read(bed: Bed) -> None:
    bed.run()
    bed.run(seconds=INTERVAL)
    (observed,) = bed.outputs.details.observed.values()
    assert (observed.definition.key.name, observed.policy.analysis.max_runs) == ("etl", 200)
    assert observed.as_of == parse_time(bed.status()["dataUntil"])


def test_a_policy_of_a_namespace_ranks_and_adds_up_its_own_workflows_only() -> None:
    bed = Bed()
    item = {
        "action": "Right-size a",
        "id": "right-size",
        "impact": "5 USD a month",
        "severity": "Low",
        "state": "Active",
    }
    bed.analyzer.more = {"recommendations": [item], "minor": 2, "summary": {"target": "CronJob/etl"}}
    bed.history.runs_of["etl"] = [run("etl", 1)]
    bed.client.put(CLUSTER_POLICIES, None, "baseline", spec={})
    for namespace in ("demo", "other", "ungoverned"):
        bed.client.put(NAMESPACES, None, namespace)
        bed.cronjob(namespace=namespace)
        bed.profile(namespace=namespace)
    for namespace in ("demo", "other"):
        bed.policy(namespace=namespace)
    bed.run()  # the statuses of policies are written after those of the profiles

    def shown(kind: Resource, name: str, namespace: str | None) -> tuple[list[str], str, int]:
        status = bed.status(kind, name, namespace)
        return status["top"], status["totals"]["moneyPerMonth"], status["totals"]["minor"]

    for namespace in ("demo", "other"):
        line = f"{namespace}/etl right-size: 5 USD a month; Right-size a"
        assert shown(POLICIES, "team", namespace) == ([line], "5 USD", 2)
    line = "ungoverned/etl right-size: 5 USD a month; Right-size a"
    assert shown(CLUSTER_POLICIES, "baseline", None) == ([line], "5 USD", 2), "what no other policy governs"


def test_discovery_brings_recommendations_in_the_same_cycle() -> None:
    bed = Bed()
    bed.cronjob(team="data")
    bed.policy(discover=DISCOVER)
    bed.history.runs_of["etl"] = [run("etl", 1)]
    bed.run()
    assert bed.status(name="cronjob-etl")["advice"] == ["1 runs"]
    assert bed.client.objects[PROFILES.path("demo", "cronjob-etl")]["metadata"]["labels"]["team"] == "data"
    assert bed.status(POLICIES, "team")["discoveredProfiles"] == 1
    bed.writes()
    bed.run(seconds=INTERVAL)
    assert bed.writes() == []


def test_only_what_has_new_runs_is_analysed_again(bed: Bed) -> None:
    bed.cronjob("other")
    bed.profile("other", "other")
    bed.run()
    bed.analyzer.requests.clear()
    bed.history.runs_of["etl"].append(run("etl", 9))
    bed.sources.changed.add(ETL)
    bed.writes()
    bed.run(seconds=INTERVAL)
    assert [c.definition.key for c in bed.analyzer.requests] == [ETL]
    assert [p for _, p in bed.writes()] == [f"{PROFILES.path('demo', 'etl')}/status"]
    assert bed.status()["advice"] == ["4 runs"]


def test_two_profiles_of_one_workflow_both_learn_of_new_runs(bed: Bed) -> None:
    bed.profile("second")
    bed.run()
    bed.analyzer.requests.clear()
    bed.history.runs_of["etl"].append(run("etl", 9))
    bed.sources.changed.add(ETL)
    bed.run(seconds=INTERVAL)
    assert {c.profile.metadata.name for c in bed.analyzer.requests} == {"etl", "second"}


def test_of_two_profiles_of_one_workflow_the_older_is_used_for_changes_and_both_say_so(bed: Bed) -> None:
    bed.policy(apply={"mode": "Auto"})
    bed.run()
    assert bed.state()["TargetResolved"] == ("True", "Found")
    bed.profile("a-later", metadata={"creationTimestamp": "2035-01-01T00:00:00Z"})
    bed.run(seconds=INTERVAL)
    for name in ("etl", "a-later"):
        assert bed.state(name=name)["TargetResolved"] == ("True", "SharedTarget")
    assert "this one, the oldest, is used for changes" in bed.message("TargetResolved")
    assert "etl, the oldest, is used for changes" in bed.message("TargetResolved", name="a-later")
    modes = {c.profile.metadata.name: c.policy.apply.mode.value for c in bed.analyzer.requests}
    assert modes == {"etl": "Auto", "a-later": "Recommend"}
    del bed.client.objects[PROFILES.path("demo", "etl")]
    bed.run(seconds=INTERVAL)
    assert bed.state(name="a-later")["TargetResolved"] == ("True", "Found")
    modes = {c.profile.metadata.name: c.policy.apply.mode.value for c in bed.analyzer.requests}
    assert modes["a-later"] == "Auto"


def test_the_profile_that_fills_daily_rows_knows_of_one_that_analyzes_fewer_runs(bed: Bed) -> None:
    bed.run()
    bed.policy("small", selector={"matchLabels": {"size": "small"}}, analysis={"maxRuns": 20})
    bed.profile("a-later", metadata={"creationTimestamp": "2035-01-01T00:00:00Z", "labels": {"size": "small"}})
    bed.history.runs_of["etl"].append(run("etl", 9))
    bed.sources.changed.add(ETL)
    bed.run(seconds=INTERVAL)
    assert [c.fewest_runs for c in bed.analyzer.requests] == [None, 20, 20]


def test_a_target_that_is_missing_is_worth_more_than_the_notice_of_two_profiles(bed: Bed) -> None:
    for name in ("one", "two"):
        bed.profile(name, target="gone")
    bed.run()
    assert bed.state(name="one")["TargetResolved"] == ("False", "NotFound")


@pytest.mark.parametrize("change", ["profile", "policy", "definition", "missing", "time"])
def test_every_input_of_an_analysis_makes_it_run_again(bed: Bed, change: str) -> None:
    bed.run()
    bed.analyzer.requests.clear()
    seconds = INTERVAL
    if change == "profile":
        obj = bed.client.objects[PROFILES.path("demo", "etl")]
        obj["spec"] = {**obj["spec"], "dismissals": [{"recommendation": "a", "reason": "b"}]}
    elif change == "policy":
        bed.policy(objectives={"duration": {"p95": "5m"}})
    elif change == "definition":
        obj = bed.client.objects[CRONJOB.path("demo", "etl")]
        obj["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"] = "y"
        obj["metadata"]["resourceVersion"] = "999"
    elif change == "missing":
        bed.sources.reports["default"] = report(missing=("container_memory_working_set_bytes: gone.",))
    else:
        seconds = REANALYZE_AFTER + 1
    bed.run(seconds=seconds)
    assert len(bed.analyzer.requests) == 1
    bed.run(seconds=INTERVAL)
    assert len(bed.analyzer.requests) == 1


def test_clocks_that_differ_are_reported_and_stop_nothing(bed: Bed) -> None:
    bed.policy()
    bed.sources.reports["default"] = report(clock_ahead=900.0)
    bed.run()
    assert bed.state()["MetricsAvailable"] == ("True", "ClockSkew")
    assert bed.state()["Ready"][0] == "True"
    said = (
        "the clock of the operator is 15m00s ahead of that of metrics source default: synchronize the two clocks (NTP)"
    )
    assert bed.message("MetricsAvailable").startswith(said)
    assert bed.message("MetricsAvailable", POLICIES, "team").startswith(said)


def test_a_source_that_seems_to_know_no_pods_says_that_the_clocks_differ(bed: Bed) -> None:
    """It is known after the second reading, when the fault is reported already."""
    blind = {"reason": Reason.SERIES_MISSING, "message": "kube_pod_info: no pods"}
    bed.sources.reports["default"] = replace(report(ok=False), **blind)  # type: ignore[arg-type]
    bed.run()
    bed.sources.reports["default"] = replace(report(ok=False, clock_ahead=7200.0), **blind)  # type: ignore[arg-type]
    bed.run(seconds=INTERVAL)
    (text,) = (r.message for r in bed.collector.reports.values())
    assert text.startswith("kube_pod_info: no pods; the clock of the operator is 2h00m ahead of")


def test_a_finished_run_is_analysed_once_however_many_pods_came_before(bed: Bed) -> None:
    bed.history.runs_of["etl"].append(run("etl", 9, Outcome.RUNNING))
    bed.run()
    for _ in range(3):  # pods of the run that is going on
        bed.sources.changed.add(ETL)
        bed.run(seconds=INTERVAL)
    assert len(bed.analyzer.requests) == 1
    bed.history.runs_of["etl"][-1] = run("etl", 9)
    bed.sources.changed.add(ETL)
    bed.run(seconds=INTERVAL)
    assert len(bed.analyzer.requests) == 2
    bed.run(seconds=INTERVAL)
    assert len(bed.analyzer.requests) == 2


def test_a_pod_without_a_trace_does_not_have_its_workflow_analysed_in_every_cycle(bed: Bed) -> None:
    """The run waits a day for its missing pod. Nothing happens meanwhile, and then it counts as over without a new fact."""
    bed.history.runs_of["etl"].append(run("etl", 9, Outcome.RUNNING))
    hours = 5 * 3600.0
    for number in range(4):
        bed.sources.reports["default"] = report(data_until=NOW + number * INTERVAL)
        bed.run(seconds=INTERVAL)
    assert len(bed.analyzer.requests) == 1
    for _ in range(4):
        bed.run(seconds=hours)
    analyses = len(bed.analyzer.requests)
    assert analyses <= 4  # the hours that pass have it made anew, the run does not
    bed.sources.reports["default"] = report(data_until=NOW + 86_400.0)
    bed.history.runs_of["etl"][-1] = run("etl", 9, Outcome.UNKNOWN)
    bed.run(seconds=INTERVAL)
    assert len(bed.analyzer.requests) == analyses + 1


def test_a_source_that_is_down_stops_nobody_else(bed: Bed) -> None:
    bed.sources.reports["thanos"] = report("thanos", ok=False)
    bed.cronjob("other", "web")
    bed.client.put(NAMESPACES, None, "web")
    bed.profile("other", "other", "web")
    bed.policy("web", "web", metricsSource="thanos")
    bed.run()
    assert bed.state()["Ready"] == ("True", "Analyzed")
    assert bed.state(name="other", namespace="web")["MetricsAvailable"] == ("False", "SourceUnreachable")
    assert bed.state(POLICIES, "web", "web")["MetricsAvailable"] == ("False", "SourceUnreachable")


def test_an_unexpected_fault_of_a_source_is_isolated_too(bed: Bed) -> None:
    bed.run()
    bed.sources.broken.add("default")
    bed.run(seconds=INTERVAL)
    assert bed.status()["advice"] == ["3 runs"]
    assert bed.state()["MetricsAvailable"][0] == "False"
    bed.sources.broken.clear()
    bed.run(seconds=INTERVAL)
    assert bed.state()["Ready"] == ("True", "Analyzed")


def test_a_failing_analysis_is_reported_without_its_secrets_and_stops_nobody_else(bed: Bed) -> None:
    bed.cronjob("other")
    bed.profile("other", "other")
    bed.history.runs_of["other"] = [run("other", 1)]
    bed.analyzer.failing.add("etl")
    bed.run()
    assert bed.state()["Ready"] == ("False", "AnalysisFailed")
    assert "hunter22" not in str(bed.status())
    assert bed.status(name="other")["advice"] == ["1 runs"]
    bed.analyzer.failing.clear()
    bed.run(seconds=INTERVAL)
    assert bed.state()["Ready"] == ("True", "Analyzed")


def test_a_profile_nobody_can_parse_is_reported_and_stops_nobody_else(bed: Bed) -> None:
    bed.profile("odd", spec={"workflowRef": {"kind": 7}})
    bed.run()
    assert bed.state(name="odd")["Ready"] == ("False", "InvalidSpec")
    assert "workflowRef" in bed.message("TargetResolved", name="odd")
    assert bed.state()["Ready"] == ("True", "Analyzed")


def test_a_date_in_a_status_that_is_no_time_is_written_anew_and_stops_nobody_else(bed: Bed) -> None:
    """The API server takes a 60th second; whoever may write statuses in one namespace must not stop the others."""
    bed.run()
    status = bed.status()
    bed.client.put(
        PROFILES, "demo", "etl", spec=bed.profile()["spec"], status={**status, "dataUntil": "2025-10-09T08:53:60Z"}
    )
    bed.profile("other", target="other")
    bed.cronjob("other")
    bed.run(seconds=INTERVAL)
    assert bed.state(name="other")["Ready"][1] == "NoRuns"
    assert bed.status()["dataUntil"] == status["dataUntil"]


def test_a_policy_nobody_can_parse_is_out_of_force_and_reported(bed: Bed) -> None:
    bed.policy("odd", priority="high")
    bed.run()
    assert bed.state(POLICIES, "odd")["Ready"] == ("False", "InvalidSpec")
    assert bed.state()["Ready"] == ("True", "Analyzed")


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([("a", ["b"]), ("b", ["a"])], ("a", "b")),
        ([("a", ["nowhere"])], ("nowhere",)),
        ([("a", []), ("a", [])], ("a",)),
    ],
)
def test_a_graph_that_contradicts_itself_is_refused_by_name(
    bed: Bed, steps: list[tuple[str, list[str]]], words: tuple[str, ...]
) -> None:
    graph = {
        "podRunLabel": "run",
        "steps": [
            {"name": name, "dependsOn": after, "podSelector": {"matchLabels": {"step": name}}} for name, after in steps
        ],
    }
    bed.profile("graph", spec={"graph": graph})
    bed.run()
    assert bed.state(name="graph")["TargetResolved"] == ("False", "GraphInvalid")
    message = bed.message("TargetResolved", name="graph")
    assert all(word in message for word in words)
    assert "spec.graph" in message
    assert bed.state()["Ready"] == ("True", "Analyzed")


def test_an_unknown_source_names_the_known_ones_and_is_never_asked(bed: Bed) -> None:
    bed.policy(metricsSource="thanos")
    bed.run()
    assert bed.state()["MetricsAvailable"] == ("False", "SourceUnknown")
    assert "default" in bed.message("MetricsAvailable")
    assert bed.state(POLICIES, "team")["MetricsAvailable"] == ("False", "SourceUnknown")
    assert bed.sources.asked == []


def test_a_namespace_its_source_does_not_want_is_refused(bed: Bed) -> None:
    bed.sources.denied.add("default")
    bed.run()
    assert bed.state()["MetricsAvailable"] == ("False", "SourceRefused")
    bed.client.objects[NAMESPACES.path(None, "demo")]["metadata"]["labels"] = {"trusted": "true"}
    bed.run(seconds=INTERVAL)
    assert bed.state()["Ready"] == ("True", "Analyzed")


def test_listed_namespaces_ask_for_nothing_of_the_cluster() -> None:
    """A list that is denied in every cycle would be an alert for ever."""
    bed = Bed(namespaces=["demo"])
    bed.client.put(NAMESPACES, None, "demo", metadata={"labels": {"tier": "gold"}})
    bed.cronjob()
    bed.profile()
    ref = {"apiVersion": "argoproj.io/v1alpha1", "kind": "ClusterWorkflowTemplate", "name": "shared"}
    bed.profile("wide", spec={"workflowRef": ref})
    bed.history.runs_of["etl"] = [run("etl", 1)]
    bed.run()
    asked = {path for method, path, _ in bed.client.calls if method in ("LIST", "GET")}
    assert "/api/v1/namespaces/demo" in asked
    assert not {path for path in asked if path == "/api/v1/namespaces" or "clusterworkflowtemplates" in path}
    assert bed.state()["Ready"] == ("True", "Analyzed")
    assert bed.state(name="wide")["TargetResolved"] == ("False", "Forbidden")
    assert "leave namespaces empty" in bed.message("TargetResolved", name="wide")


FORBIDDEN = (
    "the operator may not list tasks.tekton.dev in the cluster; grant its service account get, list and watch on"
)
MISSING = "the cluster does not serve Task (tekton.dev/v1); install its CustomResourceDefinition"


@pytest.mark.parametrize(
    ("failure", "state", "words"),
    [
        (errors.Forbidden("tasks", status=403), ("True", "Found"), f"Task compile cannot be read: {FORBIDDEN}"),
        (errors.NotFound("tasks", status=404), ("True", "Found"), f"Task compile cannot be read: {MISSING}"),
        (None, ("False", "Unsupported"), "spec.tasks[0] refers to Task 'compile', which cannot be found"),
    ],
)
def test_tasks_that_may_not_be_read_are_distinguished_from_one_that_is_not_there(
    failure: errors.KubeError | None, state: tuple[str, str], words: str
) -> None:
    """What a Pipeline refers to: nothing of it stops the analysis, and the next list is believed at once."""
    bed = Bed()
    tasks, pipelines = known_resource("tekton.dev/v1", "Task"), known_resource("tekton.dev/v1", "Pipeline")
    if failure is not None:
        bed.client.lists[tasks.path()] = failure
    bed.client.put(pipelines, "demo", "ci", spec={"tasks": [{"name": "build", "taskRef": {"name": "compile"}}]})
    bed.profile("ci", spec={"workflowRef": {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "name": "ci"}})
    bed.history.runs_of["ci"] = [run("ci", 1)]
    bed.run()
    assert bed.state(name="ci")["TargetResolved"] == state
    assert words in bed.message("TargetResolved", name="ci")
    assert bed.state(name="ci")["Ready"] == ("True", "Analyzed")
    bed.client.lists.clear()
    bed.client.put(tasks, "demo", "compile", spec={"steps": [{"name": "run", "image": "x"}]})
    bed.run(seconds=INTERVAL)
    assert bed.message("TargetResolved", name="ci") == "Pipeline ci with 1 step"
    assert [c.name for c in bed.analyzer.requests[-1].definition.graph.steps[0].containers] == ["step-run"]


def test_old_recommendations_waits_while_the_past_is_read_again(bed: Bed) -> None:
    bed.run()
    second = Bed()
    second.client.objects = bed.client.objects  # a new process on the same cluster, its history empty so far
    second.history.runs_of["etl"] = [run("etl", 1)]
    second.sources.reports["default"] = report(more=True)
    assert second.run() is True
    assert second.status()["advice"] == ["3 runs"]
    second.history.runs_of["etl"] = [run("etl", i) for i in range(4)]
    second.sources.reports["default"] = report()
    assert second.run() is False
    assert second.status()["advice"] == ["4 runs"]


def test_old_recommendations_stand_where_the_past_that_is_read_again_cannot_be_kept(bed: Bed) -> None:
    """A backup of the history, say, was restored on a full disk."""
    bed.run()
    second = Bed()
    second.client.objects = bed.client.objects
    second.history.runs_of["etl"] = [run("etl", 1)]
    second.sources.reports["default"] = report(ok=False, unread={ETL: NOW})
    for _ in range(2):
        second.run(seconds=INTERVAL)
        assert second.status()["advice"] == ["3 runs"]
    assert second.state()["Ready"] == ("False", "Stale")


def test_a_first_recommendations_does_not_wait_for_the_whole_past(bed: Bed) -> None:
    bed.sources.reports["default"] = report(more=True)
    assert bed.run() is True
    assert bed.status()["advice"] == ["3 runs"]


def test_a_source_that_fails_while_the_past_is_read_brings_no_recommendations_on_a_part_of_it(bed: Bed) -> None:
    failing = report(ok=False, unread={ETL: NOW})
    bed.sources.reports["default"] = failing
    bed.run()
    assert bed.state()["Ready"] == ("False", "SourceUnreachable")
    assert "advice" not in bed.status()
    bed.sources.reports["default"] = report()
    bed.run(seconds=INTERVAL)
    assert bed.status()["advice"] == ["3 runs"]


def test_a_history_that_is_not_kept_is_reported_in_every_cycle_and_stops_no_recommendation(
    bed: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    bed.history.problem = "history x cannot be written"
    for _ in range(2):
        caplog.clear()
        bed.run(seconds=INTERVAL)
        (line,) = [r for r in caplog.records if r.getMessage() == "cycle"]
        assert line.fields["problems"] == ["history x cannot be written"]  # type: ignore[attr-defined]
    assert bed.state()["Ready"] == ("True", "Analyzed")


def test_half_a_picture_decides_nothing(bed: Bed) -> None:
    bed.run()
    bed.profile("unseen", "other")
    bed.patient = False
    bed.writes()
    bed.run(seconds=INTERVAL, watching=False)
    assert bed.writes() == []
    bed.patient = True
    bed.run(seconds=INTERVAL)
    assert bed.state(name="unseen")["TargetResolved"] == ("False", "NotFound")


def test_a_deletion_the_watch_missed_is_noticed(bed: Bed) -> None:
    bed.run()
    del bed.client.objects[PROFILES.path("demo", "etl")]
    bed.writes()
    bed.run(seconds=INTERVAL, watching=False)
    assert bed.cache.snapshot().profiles == ()
    assert bed.writes() == []


def test_an_api_server_that_is_away_is_survived(bed: Bed) -> None:
    bed.run()
    bed.client.lists = {k.path(): errors.Unreachable("down") for k in (PROFILES, POLICIES, CLUSTER_POLICIES)}
    bed.writes()
    bed.run(seconds=INTERVAL)
    assert bed.writes() == []
    bed.client.lists = {}
    bed.sources.changed.add(ETL)
    bed.history.runs_of["etl"].append(run("etl", 9))
    bed.run(seconds=INTERVAL)
    assert bed.status()["advice"] == ["4 runs"]


def test_kinds_that_stay_away_end_the_process(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.run()
    monkeypatch.setattr(watchdog, "_LOST_AFTER", 0.0)
    bed.client.lists[PROFILES.path()] = errors.NotFound("no such kind", status=404)
    with pytest.raises(KindsLost, match="kubectl apply"):
        bed.run(seconds=INTERVAL)


def test_a_target_that_cannot_be_listed_keeps_its_profile_and_recommendations(bed: Bed) -> None:
    bed.run()
    bed.client.lists[CRONJOB.path()] = errors.Forbidden("no", status=403)
    bed.run(seconds=INTERVAL)
    assert bed.state()["TargetResolved"] == ("False", "Forbidden")
    assert "grant" in bed.message("TargetResolved")
    assert bed.status()["advice"] == ["3 runs"]


def test_a_passing_fault_of_the_list_is_not_even_noticed_by_the_profile(bed: Bed) -> None:
    bed.run()
    bed.writes()
    bed.client.lists[CRONJOB.path()] = errors.Unreachable("reset")
    bed.run(seconds=INTERVAL)
    assert bed.writes() == []


def test_namespaces_that_cannot_be_read_just_now_take_no_policy_out_of_force() -> None:
    """A policy that selects by their labels would select nothing, and what it discovered would be withdrawn."""
    bed = _selected_by_label()
    bed.run()
    assert bed.status(name="cronjob-etl")["advice"] == ["1 runs"]
    bed.writes()
    bed.client.lists[NAMESPACES.path()] = errors.Busy("overloaded", status=503)
    bed.run(seconds=INTERVAL)
    assert bed.writes() == []
    after = Bed(client=bed.client)
    after.history.runs_of = bed.history.runs_of
    after.run(seconds=INTERVAL)
    assert after.writes() == [], "nothing is decided before they were read once"
    del bed.client.lists[NAMESPACES.path()]
    after.run(seconds=INTERVAL)
    assert after.state(name="cronjob-etl")["Ready"] == ("True", "Analyzed")


def test_a_policy_that_cannot_be_parsed_withdraws_no_profile() -> None:
    bed = _selected_by_label()
    bed.run()
    spec = bed.client.objects[CLUSTER_POLICIES.path(None, "gold")]["spec"]
    bed.cluster_policy("gold", **{**spec, "priority": "high"})
    bed.run(seconds=INTERVAL)
    assert bed.status(name="cronjob-etl")["advice"] == ["1 runs"]
    bed.cluster_policy("gold", **{**spec, "discover": []})
    bed.run(seconds=INTERVAL)
    assert PROFILES.path("demo", "cronjob-etl") not in bed.client.objects


def _selected_by_label() -> Bed:
    """A CronJob that a cluster policy discovers by a label of its namespace."""
    bed = Bed()
    bed.client.put(NAMESPACES, None, "demo", metadata={"labels": {"tier": "gold"}})
    bed.cronjob()
    selector = {"matchLabels": {"tier": "gold"}}
    bed.cluster_policy("gold", discover=DISCOVER, namespaceSelector=selector)
    bed.history.runs_of["etl"] = [run("etl", 1)]
    return bed


def test_a_change_between_two_intervals_asks_only_for_what_is_new(bed: Bed) -> None:
    bed.run()
    bed.run(seconds=10.0)
    bed.run(seconds=INTERVAL)
    assert [d.due for d in bed.sources.asked] == [True, False, True]


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_clock_that_jumps_stops_no_reading(bed: Bed, jump: float) -> None:
    bed.run()
    bed.run(seconds=jump)
    bed.run(seconds=-jump)
    bed.run(seconds=INTERVAL)
    assert [d.due for d in bed.sources.asked] == [True, True, True, True]
    assert bed.state()["Ready"] == ("True", "Analyzed")


def test_write_failures_are_tried_again(bed: Bed) -> None:
    path = f"{PROFILES.path('demo', 'etl')}/status"
    bed.client.faults["PATCH", path] = [errors.Busy("later", status=500)]
    bed.run()
    assert bed.status() == {}
    bed.run(seconds=INTERVAL)
    assert bed.status()["advice"] == ["3 runs"]


def test_a_status_somebody_emptied_is_restored(bed: Bed) -> None:
    bed.run()
    bed.client.objects[PROFILES.path("demo", "etl")]["status"] = {"conditions": []}
    bed.run(seconds=INTERVAL)
    assert bed.status()["advice"] == ["3 runs"]
    bed.writes()
    bed.run(seconds=INTERVAL)
    assert bed.writes() == []


def test_priority_and_losers(bed: Bed) -> None:
    bed.policy("low", priority=1)
    bed.policy("high", priority=2)
    bed.client.put(CLUSTER_POLICIES, None, "all", spec={"priority": 100})
    bed.run()
    assert str(bed.analyzer.requests[0].policy.source) == "OptimizationPolicy/high"
    assert bed.status(POLICIES, "high")["matchedProfiles"] == 1
    assert bed.state(POLICIES, "low")["Ready"] == ("False", "NoMatches")
    assert "win" in bed.message("Ready", POLICIES, "low")
    assert bed.state(CLUSTER_POLICIES, "all", None)["Ready"] == ("False", "NoMatches")


def test_a_selector_without_matches_says_how_to_look(bed: Bed) -> None:
    bed.policy(selector={"matchLabels": {"team": "nobody"}})
    bed.run()
    assert bed.state(POLICIES, "team")["Ready"] == ("False", "NoMatches")
    assert "--show-labels" in bed.message("Ready", POLICIES, "team")


def test_auto_without_rights_is_reported_with_the_value_to_set(bed: Bed) -> None:
    bed.policy(apply={"mode": "Auto"})

    def allows(attributes: Any) -> bool:
        return bool(attributes["resource"] != "cronjobs")

    bed.client.allows = allows  # type: ignore[method-assign]
    bed.run()
    assert bed.state(POLICIES, "team")["WriteAccess"] == ("False", "Denied")
    assert "Set apply.enabled to true and add demo to apply.namespaces" in bed.message("WriteAccess", POLICIES, "team")


def test_a_pipeline_that_runs_tasks_needs_the_right_to_change_those() -> None:
    bed = Bed()
    tasks, pipelines = known_resource("tekton.dev/v1", "Task"), known_resource("tekton.dev/v1", "Pipeline")
    bed.client.put(tasks, "demo", "compile", spec={"steps": [{"name": "run", "image": "x"}]})
    embedded = [{"name": "build", "taskSpec": {"steps": [{"name": "run", "image": "x"}]}}]
    bed.client.put(pipelines, "demo", "ci", spec={"tasks": embedded})
    bed.profile("ci", spec={"workflowRef": {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "name": "ci"}})
    bed.policy(apply={"mode": "Auto"})
    bed.client.allows = lambda attributes: attributes["resource"] != "tasks"  # type: ignore[method-assign]
    bed.run()
    assert bed.state(POLICIES, "team")["WriteAccess"] == ("True", "Granted")
    bed.client.put(pipelines, "demo", "ci", spec={"tasks": [{"name": "build", "taskRef": {"name": "compile"}}]})
    bed.run(seconds=INTERVAL)
    assert bed.state(POLICIES, "team")["WriteAccess"] == ("False", "Denied")
    assert "patch tasks.tekton.dev in namespace demo" in bed.message("WriteAccess", POLICIES, "team")


def test_what_was_done_to_a_task_is_seen_with_who_did_it(bed: Bed) -> None:
    tasks, pipelines = known_resource("tekton.dev/v1", "Task"), known_resource("tekton.dev/v1", "Pipeline")
    wrote = {"manager": "kubectl-edit", "time": "2026-03-05T10:00:00Z", "fieldsV1": {"f:spec": {}}}
    spec = {"steps": [{"name": "run", "image": "x"}]}
    bed.client.put(tasks, "demo", "compile", spec=spec, metadata={"managedFields": [wrote]})
    bed.client.put(tasks, "demo", "elsewhere", spec=spec)
    made = {**wrote, "manager": "helm", "time": "2026-03-01T10:00:00Z"}
    row = {"name": "build", "taskRef": {"name": "compile"}}
    bed.client.put(pipelines, "demo", "ci", spec={"tasks": [row]}, metadata={"managedFields": [made]})
    bed.profile("ci", spec={"workflowRef": {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "name": "ci"}})
    bed.history.runs_of["ci"] = [run("ci", 1)]
    bed.run()
    past = next(c.past for c in bed.analyzer.requests if c.definition.key.name == "ci")
    assert past.target is not None
    assert (past.written_by, past.target["kind"], list(past.target["Task"])) == (
        "kubectl-edit",
        "Pipeline",
        ["compile"],
    )
    assert past.target["Task"]["compile"]["spec"] == spec


def test_a_suspended_policy_says_so(bed: Bed) -> None:
    bed.policy(suspend=True)
    bed.run()
    assert bed.state(POLICIES, "team")["Ready"] == ("False", "Suspended")
    assert bed.state()["Ready"] == ("True", "Analyzed")


def test_a_policy_whose_windows_can_never_open_says_which_and_why(bed: Bed) -> None:
    windows = [
        {"schedule": "0 22 * * *", "duration": "2h", "timeZone": "Europe/Berlin"},
        {"schedule": "0 0 31 2 *", "duration": "2h"},
        {"schedule": "0 0 * * *", "duration": "2h", "timeZone": "Mars/Base"},
    ]
    bed.policy(apply={"mode": "Auto", "windows": windows})
    bed.run()
    assert bed.state(POLICIES, "team")["Ready"] == ("False", "InvalidSpec")
    reported = bed.message("Ready", POLICIES, "team")
    assert "apply.windows[1] never opens: schedule '0 0 31 2 *'" in reported
    assert (
        "apply.windows[2] never opens: time zone Mars/Base is not known; use a name such as Europe/Berlin" in reported
    )
    assert "windows[0]" not in reported
    bed.policy(apply={"mode": "Auto", "windows": windows[:1]})
    bed.run()
    assert bed.state(POLICIES, "team")["Ready"][0] == "True"


def test_a_denied_creation_is_reported_once_and_tried_no_further_in_that_namespace() -> None:
    bed = Bed()
    for i in range(5):
        bed.cronjob(f"job-{i}")
    bed.policy(discover=DISCOVER)
    path = PROFILES.path("demo")
    bed.client.faults["POST", path] = [errors.Forbidden("no", status=403)] * 5
    bed.run()
    assert sum(call[:2] == ("POST", path) for call in bed.client.calls) == 1
    assert "grant" in bed.message("Ready", POLICIES, "team")
    assert bed.status(POLICIES, "team")["discoveredProfiles"] == 0


@pytest.mark.parametrize("why", ["exceeded quota: most, used: 3, limited: 3", "because it is being terminated"])
def test_a_namespace_that_takes_no_more_profiles_lacks_no_right(why: str) -> None:
    bed = Bed()
    for i in range(5):
        bed.cronjob(f"job-{i}")
    bed.policy(discover=DISCOVER)
    path = PROFILES.path("demo")
    bed.client.faults["POST", path] = [errors.NotAdmitted(why, status=403)] * 5
    bed.run()
    assert sum(call[:2] == ("POST", path) for call in bed.client.calls) == 1
    assert why in bed.message("Ready", POLICIES, "team")
    assert "grant" not in bed.message("Ready", POLICIES, "team")


def test_a_profile_that_admission_denies_does_not_keep_others_of_its_namespace_from_being_created() -> None:
    bed = Bed()
    for i in range(3):
        bed.cronjob(f"job-{i}")
    bed.policy(discover=DISCOVER)
    denial = errors.Denied('admission webhook "names" denied the request: not this one', status=403)
    bed.client.faults["POST", PROFILES.path("demo")] = [denial]
    bed.run()
    assert len(bed.objects(PROFILES)) == 2
    assert "not this one" in bed.message("Ready", POLICIES, "team")
    assert "grant" not in bed.message("Ready", POLICIES, "team")


def test_where_admission_cannot_be_asked_one_profile_a_namespace_and_cycle_is_tried() -> None:
    """Each of thousands waited for four time limits of a webhook that hangs, and so did everything else in the cycle."""
    bed = Bed()
    for i in range(5):
        bed.cronjob(f"job-{i}")
    bed.policy(discover=DISCOVER)
    asked = []

    def hang(method: str, path: str) -> None:
        if method in ("POST", "PATCH") and "/workflowprofiles" in path and not path.endswith("/status"):
            asked.append(method)
            raise errors.Undecided('failed calling webhook "names": context deadline exceeded', status=500)

    bed.client.on_request = hang
    bed.run()
    assert asked == ["POST"]
    assert "context deadline exceeded" in bed.message("Ready", POLICIES, "team")
    bed.client.on_request = lambda *_: None
    bed.run(seconds=INTERVAL)
    assert len(bed.objects(PROFILES)) == 5
    for i in range(5):
        bed.cronjob(f"job-{i}", team="data")
    bed.client.on_request = hang
    bed.run(seconds=INTERVAL)
    assert asked == ["POST", "PATCH"]


def test_a_policy_whose_pod_labels_are_not_looked_for_says_so() -> None:
    class Looking:
        def __init__(self) -> None:
            self.left_out: dict[PolicyRef, str] = {}

        def refresh(self, *_: object) -> Labelled:
            return Labelled(left_out=self.left_out)

    bed, looking = Bed(), Looking()
    bed.policy(discover=DISCOVER)
    bed.run()
    builder = SnapshotBuilder(bed.client, bed.cache, (), {}, labelled=looking)  # type: ignore[arg-type]
    assert builder.build(lambda: None).obstacles == {}
    looking.left_out = {PolicyRef("OptimizationPolicy", "demo", "team"): "not looked for"}
    found = builder.build(lambda: None)
    assert list(found.obstacles.values()) == [("not looked for",)]


def test_a_denied_deletion_or_relabelling_is_tried_no_further_in_that_namespace() -> None:
    bed = Bed()
    for i in range(5):
        bed.cronjob(f"job-{i}")
    bed.policy(discover=DISCOVER)
    bed.run()
    profiles = [PROFILES.path("demo", f"cronjob-job-{i}") for i in range(5)]

    def deny(method: str, path: str) -> None:
        if method in ("PATCH", "DELETE") and path in profiles:
            raise errors.Forbidden("no", status=403)

    bed.client.on_request = deny
    for i in range(5):
        bed.cronjob(f"job-{i}", team="data")
    bed.client.calls.clear()
    bed.run(seconds=INTERVAL)
    assert sum(method == "PATCH" and path in profiles for method, path, _ in bed.client.calls) == 1
    bed.policy(discover=[])
    bed.client.calls.clear()
    bed.run(seconds=INTERVAL)
    assert sum(method == "DELETE" and path in profiles for method, path, _ in bed.client.calls) == 1
    bed.client.on_request = lambda *_: None
    bed.run(seconds=INTERVAL)
    assert bed.objects(PROFILES) == []


def test_events_are_reported_on_transitions_only(bed: Bed) -> None:
    def reported() -> list[str]:
        return sorted(o["reason"] for o in bed.objects(EVENTS))

    bed.run()
    assert reported() == []
    bed.sources.reports["default"] = report(ok=False)
    bed.run(seconds=INTERVAL)
    assert reported() == ["SourceUnreachable"]
    bed.run(seconds=INTERVAL)
    assert reported() == ["SourceUnreachable"]


def test_an_outage_is_one_event_however_many_profiles_and_policies_there_are(bed: Bed) -> None:
    for number in range(20):
        bed.profile(f"more-{number}", f"more-{number}")
    bed.policy("team")
    bed.run()
    before = len(bed.objects(EVENTS))
    bed.sources.reports["default"] = report(ok=False)
    bed.run(seconds=INTERVAL)
    new = [o["reason"] for o in bed.objects(EVENTS)][before:]
    assert new == ["SourceUnreachable"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.Forbidden("no", status=403), "Forbidden"),
        (errors.NotFound("no such kind", status=404), "KindMissing"),
    ],
)
def test_a_kind_that_cannot_be_listed_is_one_event_however_many_profiles_refer_to_it(
    bed: Bed, error: errors.KubeError, reason: str
) -> None:
    """It was two about each of them, which used up what Events about changes need."""
    for number in range(20):
        bed.profile(f"more-{number}", f"more-{number}")
        bed.cronjob(f"more-{number}")
        bed.history.runs_of[f"more-{number}"] = [run(f"more-{number}", i) for i in range(3)]
    bed.run()
    before = len(bed.objects(EVENTS))
    bed.client.lists = {CRONJOB.path(): error}
    bed.run(seconds=INTERVAL)
    bed.run(seconds=INTERVAL)
    assert {bed.state(name=f"more-{number}")["Ready"][0] for number in range(20)} == {"False"}
    assert [o["reason"] for o in bed.objects(EVENTS)][before:] == [reason]
    bed.client.lists = {}
    bed.run(seconds=INTERVAL)
    assert {bed.state(name=f"more-{number}")["Ready"][0] for number in range(20)} == {"True"}
    (back,) = bed.objects(EVENTS)[before + 1 :]
    assert back["note"] == "TargetResolved is True: objects of its kind can be listed again"


def test_history_of_workflows_without_profile_is_dropped_once_an_hour(bed: Bed) -> None:
    bed.profile("lost", "gone")
    bed.run()
    assert set(bed.history.tidied[0]) == {ETL, WorkflowKey("demo", "CronJob", "gone")}
    bed.run(seconds=INTERVAL)
    assert len(bed.history.tidied) == 1
    bed.run(seconds=3600.0)
    assert len(bed.history.tidied) == 2


@pytest.mark.parametrize("earlier", [0, 1])
def test_runs_are_not_dropped_while_the_past_is_being_read(bed: Bed, earlier: int) -> None:
    """At start, or since a policy was made almost an hour after an ``earlier`` time that some were dropped. For an hour at
    most: the disk must not fill while weeks of a large fleet are read."""
    for _ in range(earlier):
        bed.run()
    bed.sources.reports["default"] = report(more=True)
    bed.run(seconds=3590.0 * earlier)
    bed.run(seconds=INTERVAL)
    assert len(bed.history.tidied) == earlier
    bed.run(seconds=3600.0)
    assert len(bed.history.tidied) == earlier + 1


def test_runs_are_dropped_when_the_past_has_been_read(bed: Bed) -> None:
    bed.sources.reports["default"] = report(more=True)
    bed.run()
    bed.sources.reports["default"] = report()
    bed.run(seconds=INTERVAL)
    bed.run(seconds=INTERVAL)
    assert len(bed.history.tidied) == 1


@pytest.mark.parametrize(
    ("phase", "age", "restored", "more"),
    [
        ("Verifying", 0.0, False, True),
        ("Completed", 13 * 86400.0, False, True),
        ("Completed", 15 * 86400.0, False, False),
        ("Completed", 0.0, True, False),
        ("Proposed", 0.0, False, False),
    ],
)
def test_runs_before_a_change_are_kept_as_long_as_those_after_it_are_compared_with_them(
    bed: Bed, phase: str, age: float, restored: bool, more: bool
) -> None:
    """Those after took the place of those before: a workflow that runs every other day had none left when enough had come,
    and no harm was found."""
    at = format_time(NOW - age)
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": at} for kind in ("Applied", "Verified")]
    conditions += [{"type": "Restored", "status": "True", "lastTransitionTime": at}] if restored else []
    status: dict[str, Any] = {"phase": phase, "conditions": conditions, "restored": restored}
    status |= {"verdict": "Same"} if phase == "Completed" else {}
    spec = {"profileRef": {"name": "etl"}, "recommendation": "right-size.etl", "planDigest": "3f9a"}
    bed.client.put(CHANGES, "demo", "c", spec=spec, status=status)
    bed.run()
    assert bed.history.tidied[0][ETL] == ((200 + 200, 28 * 86400.0) if more else (200, 14 * 86400.0))


def test_nothing_is_worked_out_for_the_runs_of_workflows_without_changes(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the runs of ten thousand workflows are due takes a second of each hour."""

    def unexpected(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("concertmaster.controller.discovery.resolved_profile.scheduled", unexpected)
    bed.run()
    assert bed.history.tidied[0][ETL] == (200, 14 * 86400.0)


def test_a_lasting_outage_asks_and_writes_no_more_than_needed(bed: Bed) -> None:
    bed.run()
    bed.sources.reports["default"] = replace(report(ok=False), data_until=None)
    bed.run(seconds=INTERVAL)
    bed.writes()
    for _ in range(3):
        bed.run(seconds=INTERVAL)
    assert bed.writes() == []
    assert len(bed.analyzer.requests) == 1


def test_an_outage_whose_wording_moves_is_written_once(bed: Bed) -> None:
    """Another query fails each time, and now and then in another way: each sentence would be a write for every profile."""
    bed.run()
    down = replace(report(ok=False), data_until=None)
    bed.sources.reports["default"] = down
    bed.run(seconds=INTERVAL)
    bed.writes()
    said = bed.status()["conditions"]
    for number in range(6):
        kind = Reason.SOURCE_TIMED_OUT if number % 2 else Reason.SOURCE_UNREACHABLE
        bed.sources.reports["default"] = replace(down, reason=kind, message=f"query {number} failed after {number}.3s")
        bed.run(seconds=INTERVAL)
    assert bed.writes() == []
    assert bed.status()["conditions"] == said
    bed.sources.reports["default"] = report()
    bed.run(seconds=INTERVAL)
    assert bed.state()["MetricsAvailable"] == ("True", "Complete")


def test_another_kind_of_fault_that_lasts_is_said(bed: Bed) -> None:
    bed.run()
    bed.sources.reports["default"] = replace(report(ok=False), reason=Reason.SOURCE_TIMED_OUT, message="too slow")
    bed.run(seconds=INTERVAL)
    bed.sources.reports["default"] = report(ok=False)
    for expected in ("SourceTimedOut", "SourceTimedOut", "SourceUnreachable"):
        bed.run(seconds=INTERVAL)
        assert bed.state()["MetricsAvailable"] == ("False", expected)


def test_a_source_that_is_down_is_not_up_because_it_was_not_asked(bed: Bed) -> None:
    """A cycle that a change wakes asks a source nothing that was read a moment ago."""
    bed.run()
    bed.sources.reports["default"] = report(ok=False)
    bed.run(seconds=INTERVAL)
    bed.sources.reports["default"] = report()
    bed.run(seconds=1.0)
    assert bed.sources.asked[-1].due is False
    assert bed.state()["MetricsAvailable"] == ("False", "SourceUnreachable")
    bed.run(seconds=INTERVAL)
    assert bed.state()["MetricsAvailable"] == ("True", "Complete")


def test_the_end_of_the_first_reading_is_no_event_for_each_profile(bed: Bed) -> None:
    for number in range(20):
        bed.profile(f"more-{number}", f"more-{number}")
        bed.cronjob(f"more-{number}")
        bed.history.runs_of[f"more-{number}"] = [run(f"more-{number}", n) for n in range(3)]
    keys = [ETL, *(WorkflowKey("demo", "CronJob", f"more-{n}") for n in range(20))]
    bed.sources.reports["default"] = report(more=True, unread=dict.fromkeys(keys, NOW))
    bed.run()
    assert bed.state()["Ready"] == ("False", "Backfilling")
    bed.sources.reports["default"] = report()
    bed.run(seconds=INTERVAL)
    assert bed.status()["advice"] == ["3 runs"]
    assert [o["reason"] for o in bed.objects(EVENTS)] == []


def test_reading_does_not_wait_for_a_thousand_statuses_that_say_that_it_goes_on(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty writes a second: ten thousand of these took longer than the reading itself."""
    monkeypatch.setattr(reconciler, "MAX_BACKFILLING", 4)
    names = [f"more-{number}" for number in range(9)]
    for name in names:
        bed.profile(name, name)
        bed.cronjob(name)
        bed.history.runs_of[name] = [run(name, n) for n in range(3)]
    keys = [ETL, *(WorkflowKey("demo", "CronJob", name) for name in names)]
    bed.sources.reports["default"] = report(more=True, unread=dict.fromkeys(keys, NOW))
    said = []
    for _ in range(4):
        bed.run(seconds=INTERVAL)
        said.append(sum("Ready" in bed.state(name=name) for name in ("etl", *names)))
    assert said == [4, 8, 10, 10]
    bed.profile("gone", "gone")
    bed.run(seconds=INTERVAL)
    assert bed.state(name="gone")["Ready"] == ("False", "NotFound")  # a fault is written at once
    bed.sources.reports["default"] = report()
    bed.run(seconds=INTERVAL)
    assert [bed.status(name=name)["advice"] for name in ("etl", *names)] == [["3 runs"]] * 10


@pytest.mark.parametrize("awaited", [False, True])
def test_a_cycle_ends_after_a_while_where_there_is_more_of_the_past_and_the_next_goes_on(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, *, awaited: bool
) -> None:
    """Ever more workflows have enough runs by then: policies would wait for the last of ten thousand. Less of a while where
    somebody has changed one meanwhile."""
    monkeypatch.setattr(cycle, "_BATCH", 2)
    monkeypatch.setattr(cycle, "_MIN_PAST_SECONDS" if awaited else "_ANALYSES", 0.0)
    bed.cycle.awaited = lambda: awaited
    names = ["etl", *(f"more-{number}" for number in range(4))]
    for name in names[1:]:
        bed.profile(name, name)
        bed.cronjob(name)
        bed.history.runs_of[name] = [run(name, n) for n in range(3)]
    bed.sources.reports["default"] = report(more=True)
    groups: list[ref[ControlGroup]] = []

    def noted(*given: Any) -> ControlGroup:
        group = ControlGroup(*given)
        groups.append(ref(group))
        return group

    monkeypatch.setattr(reconciler, "ControlGroup", noted)
    advised = []
    for _ in range(3):
        assert bed.run()
        advised.append(sum("advice" in (entry.get("status") or {}) for entry in bed.objects(PROFILES)))
        bed.analyzer.requests.clear()
        assert groups[-1]() is None, "with the runs of others that it read"
    assert advised == [2, 4, 5]


def test_runs_read_live_are_analysed_in_the_same_cycle(bed: Bed) -> None:
    bed.run()
    bed.history.runs_of["etl"].append(run("etl", 9))
    bed.run(seconds=INTERVAL)
    assert bed.status()["advice"] == ["3 runs"]  # nobody said that there is a new one
    bed.live.seen.append(LiveRunsReport(frozenset({ETL})))
    bed.run(seconds=INTERVAL)
    assert bed.status()["advice"] == ["4 runs"]
    assert bed.live.looked == [["etl"]] * 3


def test_what_live_objects_do_not_tell_is_in_the_cycles_line_and_no_failure(
    bed: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="concertmaster.cycle")
    bed.live.seen.append(LiveRunsReport(notes=("runs of Argo are known from the metrics only",)))
    bed.run()
    (line,) = [r for r in caplog.records if r.getMessage() == "cycle"]
    assert line.levelname == "INFO"
    assert line.__dict__["fields"]["problems"] == ["runs of Argo are known from the metrics only"]


def test_a_fault_in_reading_live_runs_leaves_the_recommendation(bed: Bed, caplog: pytest.LogCaptureFixture) -> None:
    bed.live.broken = True
    bed.run()
    assert bed.status()["advice"] == ["3 runs"]
    assert any("reading live runs failed (RuntimeError)" in str(r.__dict__.get("fields")) for r in caplog.records)


def test_archived_runs_are_analysed_in_the_same_cycle_and_the_rest_is_read_at_once(bed: Bed) -> None:
    bed.run()
    bed.history.runs_of["etl"].append(run("etl", 9))
    bed.archive.seen.append(ArchiveReport(frozenset({ETL}), more=True))
    assert bed.run(seconds=INTERVAL), "more of the past is read in a further cycle"
    assert bed.status()["advice"] == ["4 runs"]
    assert not bed.run(seconds=INTERVAL)
    assert [name for asked in bed.archive.asked for name in asked] == ["etl"] * 3


@pytest.mark.parametrize("broken", [False, True])
def test_an_archive_that_cannot_be_read_is_in_the_cycles_line_and_no_failure(
    bed: Bed, caplog: pytest.LogCaptureFixture, broken: bool
) -> None:
    caplog.set_level("INFO", logger="concertmaster.cycle")
    bed.archive.seen.append(ArchiveReport(notes=("the workflow archive cannot be reached",)))
    bed.archive.broken = broken
    bed.run()
    assert bed.status()["advice"] == ["3 runs"]
    (line,) = [r for r in caplog.records if r.getMessage() == "cycle"]
    assert line.levelname == "INFO"
    ours = "reading archived runs failed (RuntimeError); the operator's log has the details"
    assert line.__dict__["fields"]["problems"] == [ours if broken else "the workflow archive cannot be reached"]


def test_what_the_server_refused_is_forgotten_with_the_profile(bed: Bed) -> None:
    path = PROFILES.path("demo", "etl")
    bed.client.faults["PATCH", f"{path}/status"] = [errors.Rejected("score: must be at most 100", status=422)]
    bed.run()
    assert bed.writer.refused == 1
    del bed.client.objects[path]
    bed.run(seconds=INTERVAL)
    assert bed.writer.refused == 0


def test_changes_in_flight_come_before_users_queries_and_the_analysis(bed: Bed) -> None:
    order = bed.sources.order

    class Changes:
        def advance(self, *_: Any, **__: Any) -> list[str]:
            order.append("advance")
            return ["a change could not be rolled back"]

        def __call__(self, *_: Any, **__: Any) -> ChangesOutcome:
            order.append("changes")
            return ChangesOutcome()

    bed.assemble(changes=Changes())
    analyze = bed.analyzer
    bed.analyze = lambda request: (order.append("analyze"), analyze(request))[1]
    bed.run()
    assert order == ["collect", "advance", "queries", "analyze", "changes"]


def test_a_cycle_ends_where_the_operator_stops(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopping(*_: Any) -> NoReturn:
        raise errors.Stopped("the operator is stopping")

    monkeypatch.setattr(bed.sources, "collect", stopping)
    with pytest.raises(errors.Stopped):
        bed.run()
    assert bed.analyzer.requests == []


def test_a_cycle_that_reads_no_source_counts_no_queries(bed: Bed, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="concertmaster.cycle")
    bed.run()
    bed.patient = False
    bed.profile("new", "new")
    bed.run(seconds=INTERVAL, watching=False)
    first, second = (r.__dict__["fields"]["queries"] for r in caplog.records if r.getMessage() == "cycle")
    assert (first, second) == (5, 0)


def test_users_queries_begin_once_a_cycle_whatever_the_clock_says(bed: Bed) -> None:
    """Sources share the number of queries of a cycle, of which the next one has all again."""
    bed.sources.reports["other"] = report("other")
    bed.policy(name="theirs", metricsSource="other", selector={"matchLabels": {"team": "b"}})
    bed.cronjob("theirs")
    bed.profile("theirs", "theirs", metadata={"labels": {"team": "b"}})
    bed.run()
    bed.run(seconds=0.0)
    assert bed.sources.order.count("queries") == 4
    assert bed.sources.begun == 2


def test_discovery_withdraws_no_profile_whose_change_is_being_verified() -> None:
    """Somebody describes the workflow now: its change stood unverified for good, whatever it did to the runs."""
    bed = Bed()
    bed.cronjob()
    bed.policy(discover=DISCOVER)
    bed.run()
    found = PROFILES.path("demo", "cronjob-etl")
    spec = {"profileRef": {"name": "cronjob-etl"}, "recommendation": "right-size.etl", "planDigest": "3f9a"}
    change = bed.client.put(CHANGES, "demo", "c", spec=spec, status={"phase": "Verifying"})
    bed.profile("mine", metadata={"creationTimestamp": "2035-01-01T00:00:00Z"})
    bed.run(seconds=INTERVAL)
    assert found in bed.client.objects
    assert "cronjob-etl, which discovery made, is used for changes until" in bed.message("TargetResolved", name="mine")
    change["status"] = {"phase": "Completed"}
    bed.run(seconds=INTERVAL)
    assert found not in bed.client.objects
    bed.run(seconds=INTERVAL)
    assert "profiles describe it" not in bed.message("TargetResolved", name="mine")


def test_each_profile_that_discovery_writes_is_a_sign_of_life() -> None:
    """Thousands of them take minutes, and a process without one for minutes is restarted."""
    bed = Bed()
    for number in range(20):
        bed.cronjob(f"etl-{number}")
    bed.policy(discover=DISCOVER)

    def beats() -> int:
        seen = [0]

        def beat() -> None:
            seen[0] += 1

        bed.sync()
        bed.snapshots.build(beat)
        return seen[0]

    made, usual = beats(), beats()
    assert len(bed.objects(PROFILES)) == 20
    bed.policy(discover=[])
    assert min(made, beats()) >= usual + 20
    assert bed.objects(PROFILES) == []


def test_thousands_of_profiles_are_written_over_several_cycles_each_of_which_verifies_changes_first() -> None:
    """They took minutes, in which no change was rolled back."""
    bed = Bed()
    advanced: list[float] = []

    class Advancing:
        def advance(self, *_: object, **__: object) -> list[str]:
            advanced.append(bed.now)
            return []

        def __call__(self, *_: object, **__: object) -> ChangesOutcome:
            return ChangesOutcome()

    bed.assemble(changes=Advancing())

    def slow(method: str, path: str) -> None:
        if method in ("POST", "PATCH", "DELETE") and "/workflowprofiles" in path and not path.endswith("/status"):
            bed.now += 3.0

    def cycles() -> int:
        """How many follow one another at once."""
        made, again = 0, True
        while again:
            again, made = bed.run(seconds=0.0), made + 1
        return made

    bed.client.on_request = slow
    bed.policy(discover=DISCOVER)
    for number in range(40):
        bed.cronjob(f"etl-{number}")
    begun = bed.now
    assert 3 <= cycles() <= 5
    assert bed.status(POLICIES, "team")["discoveredProfiles"] == len(bed.objects(PROFILES)) == 40
    for number in range(40):
        bed.cronjob(f"etl-{number}", team="data")
    bed.now += INTERVAL
    assert 3 <= cycles() <= 5
    assert {o["metadata"]["labels"].get("team") for o in bed.objects(PROFILES)} == {"data"}
    bed.policy(discover=[])
    bed.now += INTERVAL
    assert 3 <= cycles() <= 5
    assert bed.objects(PROFILES) == []
    pauses = [b - a for a, b in zip([begun, *advanced], advanced, strict=False)]
    assert max(p for p in pauses if p < INTERVAL) <= 45.0


def test_a_policy_whose_profiles_are_not_created_yet_says_so() -> None:
    """It said that discovery found no target, in an Event as well."""
    bed = Bed()
    for team, number in (("first", 14), ("second", 2)):
        select = {"matchLabels": {"team": team}}
        bed.policy(team, selector=select, discover=[{**DISCOVER[0], "selector": select}])
        for n in range(number):
            bed.cronjob(f"{team}-{n:02}", team=team)

    def slow(method: str, path: str) -> None:
        if method == "POST" and path.endswith("/workflowprofiles"):
            bed.now += 3.0

    bed.client.on_request = slow
    assert bed.run(seconds=0.0)
    assert bed.state(POLICIES, "first")["Ready"] == ("True", "Active")
    assert bed.message("Ready", POLICIES, "first") == "in force for 10 profiles; the next cycles create 4 more"
    assert bed.state(POLICIES, "second")["Ready"] == ("Unknown", "Pending")
    assert bed.message("Ready", POLICIES, "second") == "the next cycles create 2 profiles for the targets found"
    assert not bed.run(seconds=0.0)
    said = [bed.message("Ready", POLICIES, name) for name in ("first", "second")]
    assert said == ["in force for 14 profiles", "in force for 2 profiles"]
    assert "NoMatches" not in [event["reason"] for event in bed.objects(EVENTS)]


def test_writes_of_profiles_that_all_take_long_and_fail_do_not_make_cycles_follow_at_once() -> None:
    bed = Bed()
    bed.policy(discover=DISCOVER)
    for number in range(9):
        bed.cronjob(f"etl-{number}")

    def fail(method: str, path: str) -> None:
        if method == "POST" and path.endswith("/workflowprofiles"):
            bed.now += 20.0
            raise errors.Conflict("taken", status=409)

    bed.client.on_request = fail
    assert not bed.run()


def test_a_policy_whose_discovery_found_nothing_says_which_kinds_could_not_be_listed() -> None:
    """It named the selectors, which were right."""
    workflows = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate"}
    bed = Bed()
    bed.client.put(NAMESPACES, None, "other")
    bed.cronjob()
    bed.policy(discover=[*DISCOVER, workflows])
    template = known_resource("argoproj.io/v1alpha1", "WorkflowTemplate")
    bed.client.lists = {
        CRONJOB.path(): errors.Forbidden("no", status=403),
        template.path(): errors.NotFound("no such kind", status=404),
    }
    bed.run()
    assert bed.state(POLICIES, "team")["Ready"] == ("False", "NoMatches")
    said = bed.message("Ready", POLICIES, "team")
    assert "the operator may not list cronjobs.batch in the cluster; grant its service account" in said
    assert "the cluster does not serve WorkflowTemplate" in said
    bed.client.lists.pop(CRONJOB.path())
    bed.run(seconds=INTERVAL)
    bed.run(seconds=INTERVAL)
    assert bed.state(POLICIES, "team")["Ready"] == ("True", "Active")
    assert bed.message("Ready", POLICIES, "team") == "in force for 1 profile"
    bed.client.lists[CRONJOB.path()] = errors.Forbidden("no", status=403)
    bed.run(seconds=INTERVAL)
    assert bed.message("Ready", POLICIES, "team").startswith(
        "in force for 1 profile; the operator may not list cronjobs"
    )


def test_a_policy_that_other_policies_outdo_says_that_first() -> None:
    bed = Bed()
    bed.cronjob()
    bed.profile()
    bed.policy(discover=[{"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate"}])
    bed.policy("first", priority=5)
    bed.client.lists = {
        known_resource("argoproj.io/v1alpha1", "WorkflowTemplate").path(): errors.Forbidden("no", status=403)
    }
    bed.run()
    assert bed.message("Ready", POLICIES, "team") == (
        "OptimizationPolicy/team selects 1 profile, but OptimizationPolicy/first wins there; "
        "raise spec.priority to change that"
    )
