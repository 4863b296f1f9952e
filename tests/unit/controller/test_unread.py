"""What cannot be read in a cycle decides nothing: the last known state holds, also for a new process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from concertmaster.controller.changes.reconciler import ChangesOutcome
from concertmaster.controller.changes.writing.tally import Tally
from concertmaster.controller.collection.gaps import MAX_OUTAGES
from concertmaster.controller.discovery.capacities import Capacities
from concertmaster.controller.discovery.config_maps import ConfigMaps
from concertmaster.controller.discovery.transient_faults import DENIED_FOR
from concertmaster.controller.live.live_runs import LiveRunsReport
from concertmaster.core.model.config_maps import NONE_READ, NamedConfigMaps
from concertmaster.core.model.policy import PolicyRef
from concertmaster.kube import errors
from concertmaster.kube.access import AccessChecker, Right
from concertmaster.kube.objects import (
    ACCESS_REVIEWS,
    CLUSTER_POLICIES,
    CONFIG_MAPS,
    LIMIT_RANGES,
    NAMESPACES,
    POLICIES,
    PROFILES,
    RESOURCE_QUOTAS,
    Resource,
)
from tests.support.controller.change_steps import HOUR, applied, later
from tests.support.controller.changes_bed import Bed as ChangesBed
from tests.support.controller.fakes import MemoryClient
from tests.support.controller.harness import INTERVAL, NOW, Bed, report, run
from tests.support.core.scenario_builder import argo, define, task
from tests.support.resources import CRONJOB, known_resource

DISCOVER = [{"apiVersion": "batch/v1", "kind": "CronJob"}]
BUSY = errors.Busy("overloaded", status=503)
TASKS, PIPELINES = known_resource("tekton.dev/v1", "Task"), known_resource("tekton.dev/v1", "Pipeline")


def _next_process(bed: Bed) -> Bed:
    """Another process on the same cluster and history."""
    after = Bed(client=bed.client)
    after.now, after.history.runs_of, after.history.kept = bed.now, bed.history.runs_of, bed.history.kept
    after.history.marks = bed.history.marks
    return after


@pytest.mark.parametrize("kind", [RESOURCE_QUOTAS, LIMIT_RANGES])
def test_quotas_that_cannot_be_read_just_now_still_bound_recommendations(kind: Resource) -> None:
    bed = Bed()
    bed.cronjob()
    bed.profile()
    bed.history.runs_of["etl"] = [run("etl", 1)]
    bed.client.put(RESOURCE_QUOTAS, "demo", "small", spec={"hard": {"requests.cpu": "4"}})
    limits = [{"type": "Container", "max": {"cpu": "2"}}]
    bed.client.put(LIMIT_RANGES, "demo", "small", spec={"limits": limits})
    bed.run()
    known = bed.analyzer.requests[-1].environment.capacity
    bed.writes()
    bed.client.lists[kind.path()] = BUSY
    bed.run(seconds=INTERVAL)
    assert (len(bed.analyzer.requests), bed.writes()) == (1, [])
    bed.history.runs_of["etl"].append(run("etl", 2))
    bed.sources.changed.add(bed.analyzer.requests[0].definition.key)
    bed.run(seconds=INTERVAL)
    assert bed.analyzer.requests[-1].environment.capacity == known
    after = _next_process(bed)
    after.run(seconds=INTERVAL)
    assert (after.analyzer.requests, after.status()["advice"]) == ([], ["2 runs"]), "nothing is known to bind yet"
    del bed.client.lists[kind.path()]
    after.history.runs_of["etl"].append(run("etl", 3))
    after.sources.changed.add(bed.analyzer.requests[0].definition.key)
    after.run(seconds=INTERVAL)
    assert after.analyzer.requests[-1].environment.capacity == known


def test_a_pipeline_whose_tasks_are_not_read_yet_keeps_its_recommendations() -> None:
    bed = Bed()
    bed.client.put(PIPELINES, "demo", "ci", spec={"tasks": [{"name": "build", "taskRef": {"name": "compile"}}]})
    bed.client.put(TASKS, "demo", "compile", spec={"steps": [{"name": "run", "image": "x"}]})
    bed.profile("ci", spec={"workflowRef": {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "name": "ci"}})
    bed.history.runs_of["ci"] = [run("ci", 1)]
    bed.run()
    after = _next_process(bed)
    bed.client.lists[TASKS.path()] = BUSY
    after.run(seconds=INTERVAL)
    assert after.analyzer.requests == []
    assert after.state(name="ci")["TargetResolved"] == ("Unknown", "TargetUnavailable")
    assert after.status(name="ci")["advice"] == ["1 runs"]
    del bed.client.lists[TASKS.path()]
    after.run(seconds=INTERVAL)
    assert after.state(name="ci")["Ready"] == ("True", "Analyzed")


DENIED = errors.Forbidden("no", status=403)


def test_a_pipeline_whose_tasks_are_denied_for_a_moment_is_analysed_as_the_whole_it_was() -> None:
    bed = Bed()
    bed.client.put(PIPELINES, "demo", "ci", spec={"tasks": [{"name": "build", "taskRef": {"name": "compile"}}]})
    bed.client.put(TASKS, "demo", "compile", spec={"steps": [{"name": "run", "image": "x"}]})
    bed.profile("ci", spec={"workflowRef": {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "name": "ci"}})

    def containers(seconds: float) -> int:
        """Of the definition that is analysed after one more run."""
        bed.history.runs_of.setdefault("ci", []).append(run("ci", len(bed.history.runs_of.get("ci", ()))))
        bed.sources.changed |= {c.definition.key for c in bed.analyzer.requests}
        bed.run(seconds=seconds)
        return len(bed.analyzer.requests[-1].definition.graph.steps[0].containers)

    assert containers(0.0) == 1
    bed.client.lists[TASKS.path()] = DENIED
    assert containers(INTERVAL) == 1
    said = "Pipeline ci with 1 step; Task compile cannot be read: the operator may not list tasks.tekton.dev"
    assert said in bed.message("TargetResolved", name="ci")
    assert containers(DENIED_FOR) == 0
    assert said in bed.message("TargetResolved", name="ci")
    del bed.client.lists[TASKS.path()]
    assert containers(INTERVAL) == 1
    assert bed.message("TargetResolved", name="ci") == "Pipeline ci with 1 step"


def test_a_denial_right_after_good_answers_keeps_policies_in_force_for_a_time_and_is_said_at_once() -> None:
    bed = Bed()
    bed.client.put(NAMESPACES, None, "demo", metadata={"labels": {"tier": "gold"}})
    bed.cronjob()
    bed.cluster_policy("gold", discover=DISCOVER, namespaceSelector={"matchLabels": {"tier": "gold"}})
    bed.run()

    def ready() -> tuple[int, str]:
        status = bed.status(CLUSTER_POLICIES, "gold", None)
        return status["matchedProfiles"], next(c["message"] for c in status["conditions"] if c["type"] == "Ready")

    bed.client.lists[NAMESPACES.path()] = DENIED
    bed.run(seconds=INTERVAL)
    matched, message = ready()
    assert matched == 1
    assert "labels of namespaces are those of an earlier cycle: the operator may not list namespaces" in message
    bed.run(seconds=DENIED_FOR)
    matched, message = ready()
    assert (matched, PROFILES.path("demo", "cronjob-etl") in bed.client.objects) == (0, True)
    assert "labels of namespaces are unknown: the operator may not list namespaces" in message
    del bed.client.lists[NAMESPACES.path()]
    bed.run(seconds=INTERVAL)
    assert ready() == (1, "in force for 1 profile")


@pytest.mark.parametrize("fault", [DENIED, BUSY])
def test_nothing_new_is_written_on_labels_of_an_earlier_cycle(fault: Exception) -> None:
    bed = ChangesBed()
    items, bed.items = bed.items, None
    bed.run()
    bed.items = items
    bed.client.lists[NAMESPACES.path()] = fault
    bed.run()
    assert (bed.all(), bed.cpu()) == ([], "2")
    del bed.client.lists[NAMESPACES.path()]
    bed.run()
    assert bed.cpu() == "1500m"


def test_a_change_is_judged_and_rolled_back_on_labels_of_an_earlier_cycle() -> None:
    bed = applied()
    bed.client.lists[NAMESPACES.path()] = BUSY
    later(bed, 2, 1500.0)
    assert bed.cpu() == "2"


def test_a_quota_that_is_denied_for_a_moment_still_bounds_and_one_that_stays_denied_does_not() -> None:
    client, now = MemoryClient(), [0.0]
    client.put(RESOURCE_QUOTAS, "demo", "small", spec={"hard": {"requests.cpu": "4"}})
    capacities = Capacities(client, (), lambda: now[0])
    known, _ = capacities.refresh()
    assert known is not None
    assert known["demo"].quotas
    client.lists[RESOURCE_QUOTAS.path()] = DENIED
    now[0] += DENIED_FOR - 1.0
    kept, notes = capacities.refresh()
    assert kept == known
    assert ["may not list resourcequotas" in note for note in notes] == [True]
    now[0] += 1.0
    assert capacities.refresh() == ({}, ())
    assert Capacities(client, (), lambda: now[0]).refresh() == ({}, ()), "it was never read"


def test_namespaces_that_may_not_be_read_any_more_withdraw_nothing() -> None:
    bed = Bed()
    bed.client.put(NAMESPACES, None, "demo", metadata={"labels": {"tier": "gold"}})
    bed.cronjob()
    bed.cluster_policy("gold", discover=DISCOVER, namespaceSelector={"matchLabels": {"tier": "gold"}})
    bed.history.runs_of["etl"] = [run("etl", 1)]
    bed.run()
    bed.client.lists[NAMESPACES.path()] = errors.Forbidden("no", status=403)
    bed.writes()
    bed.run(seconds=INTERVAL)
    assert bed.status(name="cronjob-etl")["advice"] == ["1 runs"]
    after = _next_process(bed)
    after.run(seconds=INTERVAL)
    assert PROFILES.path("demo", "cronjob-etl") in bed.client.objects


def test_an_object_that_became_unreadable_keeps_its_profile() -> None:
    bed = Bed()
    bed.cronjob()
    bed.policy(discover=DISCOVER)
    bed.history.runs_of["etl"] = [run("etl", 1)]
    bed.run()
    deep: list[object] = []
    for _ in range(300):
        deep = [deep]
    obj = bed.client.objects[CRONJOB.path("demo", "etl")]
    obj["spec"]["deep"], obj["metadata"]["resourceVersion"] = deep, "999"
    bed.run(seconds=INTERVAL)
    assert bed.state(name="cronjob-etl")["TargetResolved"] == ("False", "Unsupported")
    assert bed.status(name="cronjob-etl")["advice"] == ["1 runs"]


LIMITS = ("GET", CONFIG_MAPS.path("demo", "limits"))


def test_a_semaphore_that_cannot_be_read_just_now_keeps_its_size() -> None:
    lock = {"synchronization": {"semaphore": {"configMapKeyRef": {"name": "limits", "key": "db"}}}}
    definition = define(argo(task("a"), templates={"a": lock}))
    client = MemoryClient()
    client.put(CONFIG_MAPS, "demo", "limits", data={"db": "3"})
    maps, size = ConfigMaps(client, AccessChecker(client)), NamedConfigMaps({"semaphore/limits/db": 3})
    client.faults[LIMITS] = [BUSY]
    assert maps.read([definition]) == {definition.key: None}
    assert maps.read([definition]) == {definition.key: size}
    client.faults[LIMITS] = [BUSY]
    assert maps.read([definition]) == {definition.key: size}
    del client.objects[CONFIG_MAPS.path("demo", "limits")]
    assert maps.read([definition]) == {}, "it is known to be gone"


def test_a_semaphore_that_is_denied_although_the_right_was_granted_keeps_its_size() -> None:
    lock = {"synchronization": {"semaphore": {"configMapKeyRef": {"name": "limits", "key": "db"}}}}
    definition = define(argo(task("a"), templates={"a": lock}))
    client, now = MemoryClient(), [0.0]
    client.put(CONFIG_MAPS, "demo", "limits", data={"db": "3"})
    maps, size = (
        ConfigMaps(client, AccessChecker(client, clock=lambda: now[0])),
        NamedConfigMaps({"semaphore/limits/db": 3}),
    )
    client.faults[LIMITS] = [DENIED]
    assert maps.read([definition]) == {}, "it was never read"
    assert maps.read([definition]) == {definition.key: size}
    client.faults[LIMITS] = [DENIED] * 2
    assert [maps.read([definition]) for _ in range(2)] == [{definition.key: size}] * 2
    client.allows = lambda attributes: False  # type: ignore[method-assign]
    now[0] += 3600.0
    assert maps.read([definition]) == {}


def test_nothing_is_analysed_before_its_config_maps_were_read() -> None:
    bed = Bed()
    bed.cronjob()
    bed.profile()
    bed.history.runs_of["etl"] = [run("etl", 1)]
    key = run("etl", 1).workflow
    bed.live.seen = [LiveRunsReport(config_maps={key: None}), LiveRunsReport(config_maps={key: NONE_READ})]
    bed.run()
    assert bed.analyzer.requests == []
    bed.run(seconds=INTERVAL)
    assert bed.state()["Ready"] == ("True", "Analyzed")


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ({"allowed": False, "evaluationError": "webhook does not answer"}, None),
        ({"allowed": False, "evaluationError": "webhook does not answer", "denied": True}, False),
        ({"allowed": False}, False),
        ({"allowed": True, "evaluationError": "webhook does not answer"}, True),
    ],
)
def test_an_authorizer_that_failed_has_denied_nothing(status: dict[str, object], answer: bool | None) -> None:
    client = MemoryClient()
    client._create = lambda path, body: {"status": status}  # type: ignore[method-assign]
    assert AccessChecker(client).allowed(Right("patch", CRONJOB)) is answer


@pytest.mark.parametrize("right_known", [True, False])
def test_a_change_waits_while_the_trial_of_its_pod_is_not_answered(right_known: bool) -> None:
    bed, busy = ChangesBed(), True

    def trial(method: str, path: str) -> None:
        if busy and right_known:
            raise BUSY

    def allows(attributes: Mapping[str, str]) -> bool:
        if busy and not right_known and attributes["resource"] == "pods":
            raise BUSY
        return True

    bed.client.trial, bed.client.allows = trial, allows  # type: ignore[method-assign]
    bed.run()
    assert (bed.cpu(), bed.counted("refused", check="namespace-limits")) == ("2", 1.0)
    busy = False
    bed.run()
    assert bed.cpu() == "1500m"


def outages(bed: Bed, *readings: bool, seconds: float = INTERVAL) -> list[tuple[tuple[float, float], ...]]:
    """What the metrics source is said to have not seen after each of these readings, which succeed or fail."""
    told = []
    for ok in readings:
        bed.sources.reports["default"] = report(ok=ok)
        bed.run(seconds=seconds)
        told.append(bed.collector.reports["default"].outages)
    return told


def seen_once() -> Bed:
    bed = Bed()
    bed.cronjob()
    bed.profile()
    return bed


def test_a_source_tells_when_it_could_not_see() -> None:
    spans = outages(seen_once(), True, False, False, True)
    began = NOW + INTERVAL
    assert spans[:2] == [(), ((began, began + INTERVAL),)]
    assert spans[2:] == [((began, began + 2 * INTERVAL),), ((began, began + 3 * INTERVAL),)]


def test_an_analysis_knows_when_nothing_was_seen() -> None:
    bed = seen_once()
    bed.history.runs_of["etl"] = [run("etl", 1)]
    known = outages(bed, True, False, True)[-1]
    assert known
    bed.history.runs_of["etl"].append(run("etl", 2))
    bed.sources.changed.add(bed.analyzer.requests[0].definition.key)
    bed.run(seconds=INTERVAL)
    assert bed.analyzer.requests[-1].environment.blind == known


@pytest.mark.parametrize("sees", [True, False])
def test_a_process_that_starts_in_an_outage_knows_since_when_nothing_was_seen(sees: bool) -> None:
    bed = seen_once()
    outages(bed, True, True, False, False)
    after = _next_process(bed)
    began = NOW + INTERVAL  # the last moment that the history keeps: it is written every ten minutes
    assert outages(after, sees, seconds=HOUR) == [((began, after.now),)]
    assert outages(after, True) == [((began, after.now - (INTERVAL if sees else 0.0)),)]


def test_outages_of_an_earlier_process_are_remembered_and_not_without_end() -> None:
    bed = seen_once()
    known = outages(bed, True, *[False, True] * (MAX_OUTAGES + 2))[-1]
    assert len(known) <= MAX_OUTAGES + 1
    assert known[-1] == (bed.now - 2 * INTERVAL, bed.now)
    after = _next_process(bed)
    later = outages(after, True, True)[-1]
    assert known[-3:] == later[-4:-1]
    assert len(bed.history.marks) <= MAX_OUTAGES + 2


def test_changes_that_cannot_be_listed_are_not_said_to_be_none() -> None:
    bed = Bed()
    bed.cronjob()
    bed.profile()
    bed.policy()
    team = PolicyRef(POLICIES.kind, "demo", "team")
    outcomes = [ChangesOutcome(Counter({team: 2}), Tally()), ChangesOutcome(), ChangesOutcome(tally=Tally())]

    class Changes:
        def advance(self, *_: Any, **__: Any) -> list[str]:
            return []

        def __call__(self, *_: Any, **__: Any) -> ChangesOutcome:
            return outcomes.pop(0)

    bed.assemble(changes=Changes())
    told = []
    for _ in range(3):
        bed.run(seconds=INTERVAL)
        told.append(bed.status(POLICIES, "team")["changesInFlight"])
    assert told == [2, 2, 0]


@pytest.mark.parametrize("granted", [True, False])
def test_what_the_api_server_last_said_of_a_right_holds_while_it_cannot_be_asked(granted: bool) -> None:
    client, now = MemoryClient(), [0.0]
    access, right = AccessChecker(client, clock=lambda: now[0]), Right("patch", CRONJOB)
    client.allows = lambda attributes: granted  # type: ignore[method-assign]
    assert access.allowed(right) is granted
    now[0] += 2 * 3600.0
    client.faults[("POST", ACCESS_REVIEWS.path())] = [BUSY]
    assert access.allowed(right) is granted
    client.allows = lambda attributes: not granted  # type: ignore[method-assign]
    assert access.allowed(right) is not granted
