"""Workflows of one namespace that take long make those of no other namespace wait."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from concertmaster.controller.discovery import definitions
from concertmaster.controller.discovery.time_shares import SHARE
from concertmaster.controller.profiles.fleet_index import FleetIndex
from concertmaster.core.model import WorkflowKey
from concertmaster.kube.errors import Rejected
from concertmaster.kube.objects import NAMESPACES, POLICIES, PROFILES
from tests.support.controller.harness import INTERVAL, Bed, report, run
from tests.support.resources import CRONJOB

MANY = [f"large-{n}" for n in range(6)]


@pytest.fixture
def bed() -> Bed:
    """Six workflows in namespace demo, one in another."""
    return _made()


def _made(seconds_per_write: float = 0.0) -> Bed:
    made = Bed(seconds_per_write=seconds_per_write)
    made.client.put(NAMESPACES, None, "other")
    for name in MANY:
        made.cronjob(name)
        made.profile(name, name)
        made.history.runs_of[name] = [run(name, 1)]
    made.cronjob("etl", "other")
    made.profile("etl", "etl", "other")
    made.history.runs_of["etl"] = [run("etl", 1)]
    return made


def analyzed(bed: Bed) -> list[str]:
    """Analysed since the last call."""
    found = [request.definition.key.name for request in bed.analyzer.requests]
    bed.analyzer.requests.clear()
    return found


def test_analyses_beyond_the_share_of_their_namespace_wait_for_the_next_cycle(
    bed: Bed, caplog: pytest.LogCaptureFixture
) -> None:
    bed.analyzer.takes = 0.4 * SHARE
    with caplog.at_level(logging.INFO, "concertmaster.cycle"):
        again = bed.run()
    assert again, "the next cycle begins at once"
    first = analyzed(bed)
    assert len([name for name in first if name in MANY]) == 3, "what began within the share is finished"
    assert "etl" in first
    line = next(r.fields for r in caplog.records if r.name == "concertmaster.cycle")  # type: ignore[attr-defined]
    assert line["problems"] == [
        "3 workflows of namespace demo wait for the next cycle: its others took 36 s of this one (each namespace has 30 s)"
    ]
    waiting = next(name for name in MANY if name not in first)
    assert bed.state(name=waiting)["Ready"] == ("False", "Pending")
    assert not bed.run(seconds=2.0), "none waits any more"
    assert sorted(first + analyzed(bed)) == sorted([*MANY, "etl"]), "each was analyzed once"


def test_a_status_stands_while_its_analysis_waits(bed: Bed) -> None:
    bed.run()
    before = {name: bed.status(name=name) for name in MANY}
    bed.analyzer.takes = 2 * SHARE
    for name in MANY:
        bed.history.runs_of[name].append(run(name, 2))
        bed.sources.changed.add(WorkflowKey("demo", "CronJob", name))
    analyzed(bed)
    bed.run(seconds=INTERVAL)
    (only,) = analyzed(bed)
    assert {name: bed.status(name=name) for name in MANY if name != only} == {
        name: status for name, status in before.items() if name != only
    }
    bed.run(seconds=2.0)
    assert only not in analyzed(bed), "those that waited come first"


def test_definitions_beyond_the_share_wait_and_their_namespace_is_read_when_all_are_known(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = definitions.define

    def slow(raw: Any, *rest: Any, **more: Any) -> Any:
        bed.analyzer.clock += 0.4 * SHARE if raw["metadata"]["namespace"] == "demo" else 0.0
        return real(raw, *rest, **more)

    monkeypatch.setattr(definitions, "define", slow)
    assert bed.run()
    assert analyzed(bed) == ["etl"]
    assert [w.key.namespace for r in bed.sources.asked for w in r.workflows] == ["other"]
    states = [bed.state(name=name)["TargetResolved"] for name in MANY]
    assert states.count(("Unknown", "Pending")) == 3
    bed.sources.asked.clear()
    bed.run(seconds=2.0)
    assert {w.key.namespace for r in bed.sources.asked for w in r.workflows} == {"demo", "other"}
    bed.run(seconds=2.0)
    assert sorted(analyzed(bed)) == MANY


def test_a_cycle_is_no_longer_in_a_cluster_of_one_namespace(bed: Bed) -> None:
    bed.client.objects = {path: o for path, o in bed.client.objects.items() if "/other/" not in path}
    bed.analyzer.takes = SHARE
    each = []
    while len(each) < len(MANY):
        assert bed.run(seconds=2.0) is (len(each) < len(MANY) - 1)
        (only,) = analyzed(bed)
        each.append(only)
    assert sorted(each) == MANY


def test_a_changed_workflow_keeps_its_last_definition_while_the_new_one_waits(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    bed.run()
    analyzed(bed)

    def slow(raw: Any, *rest: Any, **more: Any) -> Any:
        bed.analyzer.clock += 2 * SHARE
        return real(raw, *rest, **more)

    real = definitions.define
    monkeypatch.setattr(definitions, "define", slow)
    for name in MANY:
        changed = bed.client.objects[CRONJOB.path("demo", name)]
        bed.client.put(CRONJOB, "demo", name, spec=changed["spec"] | {"schedule": "5 * * * *"})
    bed.sources.asked.clear()
    bed.run(seconds=INTERVAL)
    schedules = [w.schedule for r in bed.sources.asked for w in r.workflows if w.key.namespace == "demo"]
    assert sorted(s or "" for s in schedules) == [*["0 * * * *"] * 5, "5 * * * *"]


def test_what_waited_is_read_in_the_next_cycle_although_nothing_has_changed(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = definitions.define

    def slow(raw: Any, *rest: Any, **more: Any) -> Any:
        bed.analyzer.clock += 0.6 * SHARE
        return real(raw, *rest, **more)

    monkeypatch.setattr(definitions, "define", slow)
    bed.sync()
    snapshot = bed.snapshots.build(lambda: None)
    waiting = [sum(s.resolved.waits for s in bed.profile_reconciler.profiles(snapshot)) for _ in range(4)]
    assert waiting == [4, 2, 0, 0]
    assert bed.profile_reconciler.profiles(snapshot) is bed.profile_reconciler.profiles(snapshot)


def test_statuses_beyond_the_share_of_their_namespace_are_written_in_the_next_cycles() -> None:
    """A policy that somebody edits says something new of each profile: thousands of writes at a limited rate."""
    bed = _made(seconds_per_write=SHARE / 2)
    while bed.run(seconds=2.0):
        pass
    assert {bed.state(name=name)["Ready"] for name in MANY} == {("True", "Analyzed")}
    analyzed(bed)
    bed.sources.reports["default"] = report(ok=False)

    def stale() -> list[str]:
        return [name for name in MANY if bed.state(name=name)["Ready"][1] == "Stale"]

    said = []
    for again in (True, True, True, False):  # whether more are left than the third writes, only the fourth finds out
        assert bed.run(seconds=2.0) is again
        said.append(len(stale()))
        assert bed.state(namespace="other")["Ready"][1] == "Stale", "in the first cycle, whoever comes first"
    assert said == [2, 4, 6, 6]


def test_statuses_of_policies_beyond_the_share_of_their_namespace_are_written_in_the_next_cycles() -> None:
    """Policies that others win over say for how many profiles: each new profile changes the statuses of thousands."""
    bed = Bed(seconds_per_write=SHARE / 2)
    bed.client.put(NAMESPACES, None, "other")
    for n in range(5):
        bed.policy(f"many-{n}")
    bed.policy("one", "other")

    def written() -> list[str]:
        return [name for name in (f"many-{n}" for n in range(5)) if bed.status(POLICIES, name=name)]

    counts = []
    for _ in range(3):
        bed.run(seconds=2.0)
        counts.append(len(written()))
        assert bed.status(POLICIES, "one", "other")
    assert counts == [2, 4, 5]


def test_an_analysis_is_not_lost_where_its_status_waits() -> None:
    bed = _made(seconds_per_write=SHARE)
    cycles = 1
    while bed.run(seconds=2.0):
        cycles += 1
    assert cycles >= len(MANY)
    assert sorted(analyzed(bed)) == sorted([*MANY, "etl"]), "each was analyzed once"
    assert {bed.state(name=name)["Ready"] for name in MANY} == {("True", "Analyzed")}


def _refuse(bed: Bed, names: list[str]) -> None:
    """Let the API server refuse the statuses of these profiles, as an outdated schema of their kind does."""
    paths = {f"{PROFILES.path('demo', name)}/status" for name in names}

    def refused(method: str, path: str) -> None:
        if method == "PATCH" and path in paths:
            raise Rejected("unknown field", status=422, reason="Invalid")

    bed.client.on_request = refused


def test_statuses_that_the_server_refuses_begin_no_cycle_after_the_other() -> None:
    """The next one at once would make the same analyses for the same refusals, for as long as the schema is outdated."""
    bed = _made(seconds_per_write=SHARE / 2)
    _refuse(bed, MANY)
    cycles = 1
    while bed.run(seconds=2.0):
        cycles += 1
        assert cycles < 10
    assert bed.state(namespace="other")["Ready"] == ("True", "Analyzed")


def test_statuses_that_the_server_refuses_take_no_turn_of_others() -> None:
    bed = _made(seconds_per_write=SHARE / 2)
    _refuse(bed, MANY[:4])
    for _ in range(4):
        bed.run(seconds=INTERVAL)
    assert {bed.state(name=name).get("Ready") for name in MANY[4:]} == {("True", "Analyzed")}


def test_workflows_are_compared_as_soon_as_all_were_analysed_although_statuses_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[float] = []
    monkeypatch.setattr(FleetIndex, "settle", lambda _, now: compared.append(now) or False)
    bed = _made(seconds_per_write=SHARE / 2)
    _refuse(bed, MANY)
    for cycle in range(6):
        bed.run(seconds=INTERVAL)
        assert bool(compared) is (len(bed.analyzer.requests) >= len(MANY) + 1), cycle
    assert len(compared) == 4, "in each cycle, although some waits in each"
