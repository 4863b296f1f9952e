"""``parallelism``: raised where a limit holds pods back, lowered where pods only wait for nodes, else silent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from concertmaster.core.changes.admission.capacity import Capacity, capacity_by_namespace
from concertmaster.core.changes.admission.model import LimitRange, ResourceQuota
from concertmaster.core.changes.admission.nodes import Nodes
from concertmaster.core.changes.admission.service_pods import InQuotas, ServiceMoment, ServicePods
from concertmaster.core.model import Level, Recommendation, WorkflowKey
from concertmaster.core.model.config_maps import NamedConfigMaps
from concertmaster.core.model.policy import ApplySettings, Bounds, Policy, Range
from concertmaster.core.model.runs import Suspension
from concertmaster.core.pipeline import analyze_workflow
from concertmaster.core.rules import Fleet, FleetMember
from tests.support.builders import DAY, NOW
from tests.support.core import scenarios
from tests.support.core.scenario_builder import Pod, Scenario, argo, cron_job, noise, scenario, task
from tests.support.core.scenarios import measured

GI = 1024.0**3


def test_a_limit_that_holds_pods_back_is_raised_to_the_smallest_that_suffices() -> None:
    item = scenarios.parallelism().one("parallelism")
    # 8 pods of 100 s on 2 slots take 4 rounds; with 8 at a time the stage takes one.
    assert item.id == "parallelism.search"
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(3 * 103, rel=0.1)
    assert item.proposed == "8 pods at a time"
    assert item.risk is Level.MEDIUM  # four times as many pods as were ever seen at a time
    assert "its 8 pods run at most 2 at a time" in item.because
    assert [(e.pointer, e.current, e.proposed) for e in item.edits] == [("/spec/templates/0/parallelism", "2", "8")]
    assert item.automatic


@pytest.mark.parametrize(
    ("hard", "limit"),
    [({"cpu": 4.0}, 4), ({"memory": 5 * 1024**3}, 5), ({"pods": 3.0, "cpu": 100.0}, 3), ({"limits.cpu": 1.0}, 8)],
)
def test_a_quota_binds_and_the_gain_is_the_one_of_what_fits(hard: dict[str, float], limit: int) -> None:
    item = replace(scenarios.parallelism(), capacity=Capacity((ResourceQuota("compute", hard),))).one("parallelism")
    assert item.proposed == f"{limit} pods at a time"
    assert item.action.endswith("(limited by ResourceQuota compute)") is (limit < 8)
    assert item.gain_seconds is not None
    rounds = math.ceil(8 / limit)
    assert item.gain_seconds.likely == pytest.approx((4 - rounds) * 103, rel=0.1)


@pytest.mark.parametrize(
    ("usage", "risk"),
    [
        ({"cpu_seconds": 95.0}, Level.LOW),
        ({"cpu_seconds": 5.0}, Level.MEDIUM),
        ({"cpu_seconds": 5.0, "cpu_request": 0.1}, Level.MEDIUM),  # half of what they request
        ({"cpu_seconds": 5.0, "cpu_request": 0.1, "cpu_limit": 0.05, "throttled_share": 0.6}, Level.LOW),
        ({"cpu_sampled_seconds": None}, Level.LOW),
    ],
)
def test_pods_that_mostly_wait_may_wait_for_what_serves_no_more_of_them(usage: dict[str, Any], risk: Level) -> None:
    """The replay cannot know the rate limit of an API."""
    own = measured(**{"cpu_sampled_seconds": 100.0, **usage})
    of = argo(task("call", withItems=list("abcd")), templates={"main": {"parallelism": 2}})
    value = noise()
    item = scenario(of, 42, lambda _: {"call": [Pod(value(100), containers=own) for _ in range(4)]}).one("parallelism")
    assert (item.proposed, item.risk) == ("4 pods at a time", risk)
    said = "its pods use 5% of a core: what else they wait for, such as a database or an API with a rate limit, must serve 4"
    assert any(line.startswith(said) for line in item.evidence) is (risk is Level.MEDIUM)


def test_a_limit_of_one_pod_is_one_pod() -> None:
    value = noise()
    of = argo(task("call", withItems=list("abcd")), templates={"main": {"parallelism": 1}})
    item = scenario(of, 42, lambda _: {"call": [value(100) for _ in range(4)]}).one("parallelism")
    assert item.current == "1 pod at a time"


def writing() -> Scenario:
    """Eight searches, two at a time, each with 2Gi of ephemeral storage."""
    sizes = scenarios.resources(requests={"cpu": "1", "memory": "1Gi", "ephemeral-storage": "2Gi"})
    search = task("search", withItems=list("abcdefgh"))
    value = noise()
    of = argo(search, templates={"main": {"parallelism": 2}, "search": sizes})
    return scenario(of, 20, lambda _: {"search": [value(100) for _ in range(8)]})


@pytest.mark.parametrize(
    ("hard", "limit"),
    [({"ephemeral-storage": 9 * GI}, 4), ({"ephemeral-storage": 100 * GI}, 8), ({"limits.ephemeral-storage": GI}, 8)],
)
def test_a_quota_of_ephemeral_storage_binds(hard: dict[str, float], limit: int) -> None:
    item = replace(writing(), capacity=Capacity((ResourceQuota("disk", hard),))).one("parallelism")
    assert item.proposed == f"{limit} pods at a time"
    assert item.action.endswith("(limited by ResourceQuota disk)") is (limit < 8)


def on_gpus(count: int) -> Scenario:
    """Eight searches, two at a time, each with so many GPUs."""
    sizes = scenarios.resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"nvidia.com/gpu": str(count)})
    value = noise()
    of = argo(task("search", withItems=list("abcdefgh")), templates={"main": {"parallelism": 2}, "search": sizes})
    return scenario(of, 20, lambda _: {"search": [value(100) for _ in range(8)]})


@pytest.mark.parametrize(
    ("hard", "limit"),
    [({"requests.nvidia.com/gpu": "9"}, 4), ({"requests.nvidia.com/gpu": "64"}, 8), ({"requests.amd.com/gpu": "2"}, 8)],
)
def test_a_quota_of_gpus_binds(hard: dict[str, str], limit: int) -> None:
    quota = {"kind": "ResourceQuota", "metadata": {"namespace": "demo", "name": "gpus"}, "spec": {"hard": hard}}
    item = replace(on_gpus(2), capacity=capacity_by_namespace([quota])["demo"]).one("parallelism")
    assert item.proposed == f"{limit} pods at a time"
    assert item.action.endswith("(limited by ResourceQuota gpus)") is (limit < 8)


@pytest.mark.parametrize(
    ("hard", "fills", "limit"),
    [
        ({"limits.ephemeral-storage": 9 * GI}, LimitRange("d", "Container", default={"ephemeral-storage": 3 * GI}), 3),
        ({"limits.cpu": 10.0}, LimitRange("d", "Container", default={"cpu": 2.0}), 5),
        ({"limits.cpu": 10.0}, LimitRange("d", "Pod", default={"cpu": 2.0}), 8),  # only those of containers fill in
        ({"ephemeral-storage": 9 * GI}, LimitRange("d", "Container", default_request={"ephemeral-storage": GI}), 4),
    ],
)
def test_what_a_limit_range_fills_in_counts(hard: dict[str, float], fills: LimitRange, limit: int) -> None:
    bound = Capacity((ResourceQuota("q", hard),), (fills,))
    assert replace(writing(), capacity=bound).one("parallelism").proposed == f"{limit} pods at a time"


@pytest.mark.parametrize(("cores", "limit"), [(4.0, 4), (100.0, 8)])
def test_all_nodes_together_bind(cores: float, limit: int) -> None:
    item = replace(scenarios.parallelism(), capacity=Capacity(nodes=Nodes(all={"cpu": cores}))).one("parallelism")
    assert item.proposed == f"{limit} pods at a time"
    assert item.action.endswith("(limited by what all nodes have allocatable)") is (limit < 8)


def _in_quota(cores: float | None) -> Scenario:
    """A quota of nine cores, of which services take so many (None: not known)."""
    taken = InQuotas(np.array([NOW]), {"cpu": np.array([cores])}) if cores is not None else None
    return replace(scenarios.parallelism(), capacity=Capacity((ResourceQuota("team", {"cpu": 9.0}),), in_quotas=taken))


def test_services_of_the_namespace_take_their_part_of_its_quota() -> None:
    item = _in_quota(5.0).one("parallelism")
    assert item.action.endswith("2 -> 4 (limited by ResourceQuota team)")
    assert "pods outside workflows take 5 of 9 cores of ResourceQuota team" in item.evidence
    assert _in_quota(7.0).recommended("parallelism") == []  # the limit is what the quota holds
    unknown = _in_quota(None).one("parallelism")
    assert unknown.proposed == "8 pods at a time"
    assert "requests of pods outside workflows are not known" in unknown.evidence
    assert not any("outside workflows" in line for line in _in_quota(0.0).one("parallelism").evidence)


def _services(*left: float, at: float = NOW, whole: bool = True) -> ServiceMoment:
    """Cores that services leave of nodes with eight."""
    return ServiceMoment(at, {"cpu": np.array(left)}, {"cpu": 8.0 * len(left) - sum(left)}, whole)


def _with_services(*moments: ServiceMoment, **more: object) -> Scenario:
    nodes = Nodes(all={"cpu": 16.0}, services=ServicePods(moments) if moments else None)
    return replace(scenarios.parallelism(), capacity=Capacity(nodes=nodes), **more)  # type: ignore[arg-type]


def test_services_leave_room_for_some_of_the_pods() -> None:
    item = _with_services(_services(2.5, 2.5)).one("parallelism")
    assert item.proposed == "4 pods at a time"
    assert item.action.endswith("2 -> 4 (limited by the capacity left by pods outside workflows)")
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(2 * 103, rel=0.1)  # two rounds instead of four
    assert "pods outside workflows request 11 of 16 cores on all nodes" in item.evidence
    assert _with_services(_services(1.5, 1.5)).recommended("parallelism") == []


def test_services_that_are_seen_in_part_are_said_to_request_at_least_that() -> None:
    item = _with_services(_services(2.5, 2.5, whole=False)).one("parallelism")
    assert "pods outside workflows request at least 11 of 16 cores on all nodes" in item.evidence


def test_services_that_are_not_known_are_said_to_be_unknown() -> None:
    assert "requests of pods outside workflows are not known" in _with_services().one("parallelism").evidence


def test_services_at_the_hour_of_the_runs_count() -> None:
    """They fill the nodes at any time but that of the runs, or only then."""
    hours = [NOW - h * 3600.0 for h in range(0, 24, 3)]
    runs = [r.start % DAY for r in scenarios.parallelism().runs if r.start is not None]

    def found(there: float, elsewhere: float) -> Recommendation:
        near = [min(min(abs(h % DAY - r), DAY - abs(h % DAY - r)) for r in runs) <= 5400.0 for h in hours]
        assert 0 < sum(near) < len(hours)
        moments = [
            _services(*([there if n else elsewhere] * 2), at=h) for n, h in sorted(zip(near, hours, strict=True))
        ]
        return _with_services(*sorted(moments, key=lambda m: m.at)).one("parallelism")

    quiet = found(7.0, 0.0)
    assert quiet.proposed == "8 pods at a time"
    assert "pods outside workflows request 2 (at times 16) of 16 cores on all nodes" in quiet.evidence
    busy = found(2.0, 8.0)
    assert busy.proposed == "4 pods at a time"
    assert "pods outside workflows request 12 of 16 cores on all nodes" in busy.evidence


def test_other_workflows_share_what_services_leave() -> None:
    key = WorkflowKey("demo", "Job", "x")
    other = FleetMember(key, np.array([(NOW - 30 * DAY, NOW, 3.0 * 30 * DAY, 0.0)]))
    fleet = Fleet((other,))
    item = _with_services(_services(4.0, 4.0), fleet=fleet).one("parallelism")
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(2 * 103, rel=0.1)  # five pods at a time
    said = "other workflows reserve 3 cores on average meanwhile, which leaves nodes for 5 pods beside those outside"
    assert f"{said} workflows" in item.evidence


Span = tuple[float, float]
_EIGHT_CORES = Capacity(nodes=Nodes(all={"cpu": 8.0}))


def _beside(
    cores: float, capacity: Capacity = _EIGHT_CORES, namespace: str = "demo", spans: Sequence[Span] = ((30 * DAY, 0.0),)
) -> list[Recommendation]:
    """What is recommended where another workflow reserves so many cores in these spans, in seconds before now."""
    key = WorkflowKey(namespace, "Job", "x")
    rows = [(NOW - begin, NOW - end, cores * (begin - end), 0.0) for begin, end in spans]
    other = FleetMember(key, np.array(rows))
    return replace(scenarios.parallelism(), capacity=capacity, fleet=Fleet((other,))).recommended("parallelism")


def test_the_gain_leaves_other_workflows_their_nodes() -> None:
    (alone,), (beside,) = _beside(0.0), _beside(5.0)
    assert alone.gain_seconds is not None
    assert beside.gain_seconds is not None
    assert beside.proposed == alone.proposed == "8 pods at a time"
    assert alone.gain_seconds.likely == pytest.approx(3 * 103, rel=0.1)
    assert beside.gain_seconds.likely == pytest.approx(103, rel=0.1)  # three rounds instead of four
    assert 0 < beside.gain_seconds.low < 0.6 * 103
    assert beside.gain_seconds.high == alone.gain_seconds.high
    assert "other workflows reserve 5 cores on average meanwhile, which leaves nodes for 3 pods" in beside.evidence
    assert _beside(6.5) == []


def test_the_gain_leaves_other_workflows_of_the_namespace_their_part_of_a_quota() -> None:
    quota = Capacity((ResourceQuota("compute", {"cpu": 8.0}),))
    (alone,), (beside,), (elsewhere,) = _beside(0.0, quota), _beside(5.0, quota), _beside(5.0, quota, "other")
    assert alone.gain_seconds is not None
    assert beside.gain_seconds is not None
    assert beside.gain_seconds.likely == pytest.approx(103, rel=0.1)
    assert elsewhere.gain_seconds == alone.gain_seconds
    said = "other workflows reserve 5 cores on average meanwhile, which leaves room in ResourceQuota compute for 3 pods"
    assert said in beside.evidence


@pytest.mark.parametrize(
    "capacity", [Capacity((ResourceQuota("m", {"memory": 8 * GI}),)), Capacity(nodes=Nodes(all={"memory": 8 * GI}))]
)
def test_memory_that_others_reserve_leaves_no_room_either(capacity: Capacity) -> None:
    rows = np.array([(NOW - 30 * DAY, NOW, 0.0, 5.0 * 30 * DAY)])
    fleet = Fleet((FleetMember(WorkflowKey("demo", "Job", "x"), rows),))
    (item,) = replace(scenarios.parallelism(), capacity=capacity, fleet=fleet).recommended("parallelism")
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(103, rel=0.1)
    assert any("reserve 5Gi on average meanwhile, which leaves" in line for line in item.evidence)


def test_each_run_has_the_room_that_others_left_it() -> None:
    (late,) = _beside(5.0, spans=((30 * DAY, 29 * DAY), (7 * DAY, 0.0)))
    assert late.gain_seconds is not None
    assert late.gain_seconds.likely == pytest.approx((309 + 103) / 2, rel=0.15)  # half of the runs met nobody
    (some,) = _beside(5.0, spans=((30 * DAY, 29 * DAY), (4 * DAY, 0.0)))
    assert "other workflows leave room for fewer than 8 pods in 12 of 42 runs" in some.evidence


def test_runs_from_before_others_are_known_have_the_usual_room() -> None:
    (late,) = _beside(5.0, spans=((7 * DAY, 0.0),))
    assert late.gain_seconds is not None
    assert late.gain_seconds.likely == pytest.approx(103, rel=0.1)


def test_others_count_while_pods_wait_for_a_slot() -> None:
    """The first five minutes of each run, and the rest of it."""
    runs = [(NOW - (r.start or 0.0), NOW - (r.end or 0.0)) for r in scenarios.parallelism().runs]
    (first,) = _beside(6.0, spans=[(begin, begin - 280.0) for begin, _ in runs])
    assert first.gain_seconds is not None
    (after,) = _beside(6.0, spans=[(end + 100.0, end) for _, end in runs])
    assert after.gain_seconds is not None
    assert first.gain_seconds.likely < 0.8 * after.gain_seconds.likely == pytest.approx(0.8 * 309, rel=0.1)


def test_nothing_is_recommended_that_a_quota_leaves_no_room_for() -> None:
    full = Capacity((ResourceQuota("compute", {"pods": 2.0}),))
    assert replace(scenarios.parallelism(), capacity=full).recommended("parallelism") == []


def test_the_policy_bounds_the_parallelism() -> None:
    bounds = ApplySettings(bounds=Bounds(parallelism=Range(1, 6)))
    item = replace(scenarios.parallelism(), apply=bounds).one("parallelism")
    assert item.action == "Raise parallelism of main: 2 -> 6 (limited by apply.bounds.parallelism of the policy)"


def _holding(size: int | None, *, of_each_pod: bool = True, whole: bool = False) -> list[Recommendation]:
    """What is recommended for eight searches of 100 s, two at a time, that hold the semaphore ``limits/db`` of that size,
    each by itself or together; the limit is that of the whole run or of the template."""
    lock = {"synchronization": {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "db"}}]}}
    limit = {"parallelism": 2}
    templates = {
        "main": ({} if whole else limit) | ({} if of_each_pod else lock),
        "search": lock if of_each_pod else {},
    }
    tasks = task("plan"), task("search", "plan", withItems=list("abcdefgh"))
    value = noise()
    made = scenario(
        argo(*tasks, templates=templates, **(limit if whole else {})),
        20,
        lambda _: {"plan": value(10), "search": [value(100) for _ in range(8)]},
    )
    definition = made.definition
    known = NamedConfigMaps({"semaphore/limits/db": size} if size else {})
    result = analyze_workflow(
        replace(definition, config_maps=known), made.runs, Policy(), profile="wfp", now=NOW
    ).recommendations
    return [r for r in result if r.rule == "parallelism"]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("size", "limit"), [(3, 3), (4, 4), (20, 8), (None, 8)])
def test_a_semaphore_that_pods_hold_binds_and_the_gain_is_the_one_it_allows(
    size: int | None, limit: int, whole: bool
) -> None:
    (item,) = _holding(size, whole=whole)
    assert item.proposed == f"{limit} pods at a time"
    assert item.action.endswith("(limited by semaphore db)") is (limit < 8)
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx((4 - math.ceil(8 / limit)) * 103, rel=0.1)


def test_nothing_is_recommended_that_a_semaphore_leaves_no_room_for() -> None:
    assert _holding(2) == []


def test_a_semaphore_that_pods_hold_together_does_not_bind() -> None:
    (item,) = _holding(2, of_each_pod=False)
    assert item.proposed == "8 pods at a time"


def test_the_limit_of_the_whole_run() -> None:
    of = argo(task("a"), task("b"), task("c"), task("d"), parallelism=2)
    value = noise()
    item = scenario(of, 12, lambda _: {n: value(100) for n in "abcd"}).one("parallelism")
    assert item.id == "parallelism"
    assert item.proposed == "4 pods at a time"
    assert item.edits[0].pointer == "/spec/parallelism"


def test_a_job_is_limited_by_one_field() -> None:
    of = cron_job(parallelism=2, completions=6, completionMode="Indexed")
    value = noise()
    item = scenario(of, 12, lambda _: {"job": [value(100) for _ in range(6)]}).one("parallelism")
    assert item.edits[0].pointer == "/spec/jobTemplate/spec/parallelism"
    assert item.proposed == "6 pods at a time"
    assert item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(2 * 103, rel=0.1)


def test_the_smallest_limit_is_not_the_largest() -> None:
    """One long pod holds the stage up: three slots finish the others beside it."""
    of = argo(task("search", withItems=list("abcdefg")), templates={"main": {"parallelism": 2}})
    value = noise()
    item = scenario(of, 12, lambda _: {"search": [value(600), *(value(200) for _ in range(6))]}).one("parallelism")
    assert item.proposed == "3 pods at a time"


def test_pods_that_only_wait_for_nodes_get_a_lower_limit() -> None:
    of = argo(task("search", withItems=list("abcdefgh")), parallelism=8)
    value = noise()

    def work(_: int) -> dict[str, list[Pod]]:
        # Two nodes' worth of room: four waves, each pod waits for those before it.
        return {"search": [Pod(value(100), wait=1.0 + 115.0 * (i // 2)) for i in range(8)]}

    item = scenario(of, 12, work).one("parallelism")
    assert item.action == "Lower parallelism of nightly-etl: 8 -> 2"
    assert item.gain_seconds is None
    assert "no impact on run duration" in item.expected
    assert "never more than 2 ran at a time" in item.because
    of["spec"]["podMetadata"] = {"labels": {"kueue.x-k8s.io/queue-name": "team"}}  # then it may be Kueue's quota
    assert replace(scenario(of, 12, work), manifest=of).recommended("parallelism") == []


def test_pods_that_wait_for_nodes_of_others_keep_their_limit() -> None:
    """Every 100 s another workflow leaves a node to a pod of 40 s: one at a time would wait for each of them in turn."""
    of = argo(task("search", withItems=list("abcdefgh")), parallelism=8)
    value = noise()
    waiting = scenario(of, 12, lambda _: {"search": [Pod(value(40), wait=1.0 + 100.0 * i) for i in range(8)]})
    assert waiting.recommended("parallelism") == []


def test_silence_where_the_limit_does_not_bind_or_room_is_left() -> None:
    value = noise()
    wide = argo(task("search", withItems=list("abcd")), templates={"main": {"parallelism": 8}})
    assert scenario(wide, 12, lambda _: {"search": [value(100) for _ in range(4)]}).recommended("parallelism") == []
    free = argo(task("search", withItems=list("abcd")))
    assert scenario(free, 12, lambda _: {"search": [value(100) for _ in range(4)]}).recommended("parallelism") == []
    lone = argo(task("a"), task("b", "a"), parallelism=1)
    assert scenario(lone, 12, lambda _: {"a": value(100), "b": value(100)}).recommended("parallelism") == []


def test_a_small_gain_is_silent_and_the_threshold_a_setting() -> None:
    base = scenarios.parallelism()
    assert base.recommended("parallelism", minGainPercent="90") == []
    few = replace(base, runs=base.runs[:3])
    assert few.recommended("parallelism") == []


def test_a_run_that_waits_for_slots_most_of_its_time_has_no_good_score() -> None:
    """Blocked for three quarters of the run it scored 97: no points for waiting, and what a remedy would save deducted."""
    blocked = scenarios.parallelism()
    assert blocked.analysis().score.total == 85
    score = analyze_workflow(blocked.definition, blocked.runs, Policy(), profile="p", now=NOW).analysis.score
    points = {p.name: round(p.weight * (p.value or 0.0)) for p in score.parts if p.shown}
    assert points == {"success": 40, "stability": 20, "efficiency": 25, "waiting": 0, "speed": 0}
    assert [(p.name, p.weight) for p in score.parts if p.shown and p.deducted] == [("speed", 20)]
    assert score.total == 65
    assert "a free slot" in next(p.why for p in score.parts if p.name == "waiting")


def test_a_job_that_kueue_admits_is_not_changed_by_itself() -> None:
    """More pods than its quota holds are never admitted, and no later run would show it."""
    of = cron_job(parallelism=4, completions=8, completionMode="Indexed")
    value = noise()
    base = scenario(of, 20, lambda _: {"job": [value(100) for _ in range(8)]})
    assert base.one("parallelism").automatic
    of["spec"]["jobTemplate"]["metadata"] = {"labels": {"kueue.x-k8s.io/queue-name": "batch"}}
    item = replace(base, manifest=of).one("parallelism")
    assert (item.automatic, item.risk) == (False, Level.MEDIUM)
    assert "Kueue must have quota for 8 pods at a time in LocalQueue batch, else runs stay suspended" in item.evidence
    of["spec"]["jobTemplate"]["metadata"]["annotations"] = {"kueue.x-k8s.io/job-min-parallelism": "2"}
    item = replace(base, manifest=of).one("parallelism")
    assert (
        "Kueue must have quota for 8 pods at a time in LocalQueue batch, else the others wait for it" in item.evidence
    )
    queued = [replace(r, suspension=Suspension(60.0, "ClusterQueue team")) for r in base.runs]
    item = replace(base, runs=queued).one("parallelism")
    assert (item.automatic, "in ClusterQueue team" in " ".join(item.evidence)) == (False, True)
