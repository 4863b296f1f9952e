"""What the API server would answer to changed pods (the server itself is asked in tests/cluster/test_admission.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.changes.admission.limits import defaulted, refusals
from concertmaster.core.changes.admission.model import Container, LimitRange, Pod, PodChange, ResourceQuota
from concertmaster.core.changes.admission.pods import pod_changes, pod_trials
from concertmaster.core.model import Edit
from concertmaster.engines.define import define
from tests.support.core.change_samples import cpu, cron_job, faster, planned, recommended, template

AMOUNTS = st.sampled_from([0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0])
SOME = st.dictionaries(st.sampled_from(["cpu", "memory"]), AMOUNTS)
CONTAINERS = st.builds(Container, st.sampled_from(["a", "b"]), SOME, SOME, st.booleans())
PODS = st.builds(Pod, st.lists(CONTAINERS, min_size=1, max_size=3).map(tuple))
RANGES = st.lists(
    st.builds(
        LimitRange, st.sampled_from(["r", "s"]), st.sampled_from(["Container", "Pod"]), SOME, SOME, SOME, SOME, SOME
    ),
    max_size=3,
)


def one(old: float, new: float, limit: float | None = None, **more: Any) -> PodChange:
    limits = {"cpu": limit} if limit is not None else {}
    before, after = (Pod((Container("main", {"cpu": v}, limits),)) for v in (old, new))
    return PodChange(before, after, **more)


def said(change: PodChange, *facts: LimitRange | ResourceQuota) -> str:
    ranges = [f for f in facts if isinstance(f, LimitRange)]
    return "; ".join(r.message for r in refusals([change], ranges, [f for f in facts if isinstance(f, ResourceQuota)]))


@pytest.mark.parametrize(
    ("change", "fact", "words"),
    [
        (
            one(0.5, 1.5),
            LimitRange("r", "Container", default={"cpu": 1.0}),
            "cpu 1500m is above the limit 1 that LimitRange r sets where none is written",
        ),
        (one(0.5, 1.5, 1.0), LimitRange("r", "Container"), "cpu 1500m is above the limit 1"),
        (
            one(1.0, 0.4, 2.0),
            LimitRange("r", "Container", ratio={"cpu": 4.0}),
            "the cpu limit 2 is 5 times the request 400m; LimitRange r allows 4 times (maxLimitRequestRatio)",
        ),
        (
            one(1.0, 0.4),
            LimitRange("r", "Container", default={"cpu": 2.0}, ratio={"cpu": 4.0}),
            "LimitRange r allows 4 times",
        ),
        (one(1.0, 0.4), LimitRange("r", "Container", {"cpu": 0.5}), "cpu 400m is below 500m, the least LimitRange r"),
        (one(1.0, 0.4), LimitRange("r", "Pod", {"cpu": 0.5}), "cpu of the pod 400m is below 500m"),
        (
            one(1.0, 1.5),
            ResourceQuota("q", {"cpu": 10.0}, {"cpu": 9.0}),
            "cpu: 1 x 1500m beside 9 in use is more than the 10 of ResourceQuota q",
        ),
        (
            one(1.0, 1.5, count_before=4, count_after=4),
            ResourceQuota("q", {"cpu": 5.0}),
            "cpu: 4 x 1500m is more than the 5 of ResourceQuota q",
        ),
        (
            one(1.0, 1.0, count_before=2, count_after=3),
            ResourceQuota("q", {"cpu": 10.0}, {"cpu": 7.5}),
            "cpu: 3 x 1 beside 7500m in use is more than the 10",
        ),
        (
            one(1.0, 1.0, 2.0, count_before=2, count_after=3),
            ResourceQuota("q", {"limits.cpu": 5.0}),
            "limits.cpu: 3 x 2 is more than the 5",
        ),
        (
            one(1.0, 1.0, count_before=2, count_after=3),
            ResourceQuota("q", {"pods": 10.0}, {"pods": 8.0}),
            "pods: 3 pods beside 8 in use is more than the 10",
        ),
        (
            one(1.0, 1.5, count_before=None, count_after=None),
            ResourceQuota("q", {"cpu": 10.0}),
            "how many pods run at a time is not known, and ResourceQuota q limits cpu: set a parallelism",
        ),
        (
            one(1.0, 1.5, count_before=4, count_after=4),
            ResourceQuota("q", {"cpu": 5.0}, kind="ClusterQueue"),
            "cpu: 4 x 1500m is more than the 5 of ClusterQueue q",
        ),
    ],
)
def test_what_the_server_would_refuse(change: PodChange, fact: LimitRange | ResourceQuota, words: str) -> None:
    assert words in said(change, fact)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (one(0.5, 1.5, 2.0), LimitRange("r", "Container", default={"cpu": 1.0})),
        (one(1.0, 0.5, 2.0), LimitRange("r", "Container", ratio={"cpu": 4.0})),
        (one(2.0, 1.5), ResourceQuota("q", {"cpu": 10.0}, {"cpu": 10.0})),  # lowering is never held back by a quota
        (one(1.0, 1.5), ResourceQuota("q", {"cpu": 10.0}, {"cpu": 8.5})),
        (
            one(1.0, 1.5, count_before=4, count_after=4),
            ResourceQuota("q", {"cpu": 1.5}, kind="ClusterQueue", each=True),
        ),
        (one(1.0, 0.5), LimitRange("r", "Container", most={"cpu": 4.0})),  # no limit before either: it holds elsewhere
    ],
)
def test_what_it_would_take(change: PodChange, fact: LimitRange | ResourceQuota) -> None:
    assert said(change, fact) == ""


def test_where_two_limit_ranges_have_defaults_the_harder_one_counts() -> None:
    ranges = [LimitRange("a", "Container", default={"cpu": 4.0}), LimitRange("b", "Container", default={"cpu": 1.0})]
    assert refusals([one(0.5, 1.5)], ranges, [])


def test_a_limit_range_counts_beside_two_that_have_defaults() -> None:
    ranges = [LimitRange(name, "Container", default={"cpu": 4.0}) for name in "ab"]
    assert said(one(1.0, 2.0), *ranges) == ""
    assert "LimitRange c allows" in said(one(1.0, 2.0), *ranges, LimitRange("c", "Container", most={"cpu": 1.5}))


def test_a_pod_is_the_sum_of_what_runs_together() -> None:
    init, side = Container("init", {"cpu": 3.0}, init=True), Container("side", {"cpu": 1.0})
    assert Pod((init, side, Container("main", {"cpu": 1.5}))).total("requests") == {"cpu": 3.0}
    assert Pod((init, side, Container("main", {"cpu": 2.5}))).total("requests") == {"cpu": 3.5}


@given(PODS, RANGES)
def test_what_is_filled_in_stays(pod: Pod, ranges: list[LimitRange]) -> None:
    once = defaulted(pod, ranges)
    assert [c.limits for c in defaulted(once, ranges).containers] == [c.limits for c in once.containers]
    for before, after in zip(pod.containers, once.containers, strict=True):
        assert dict(before.limits).items() <= dict(after.limits).items()
        assert dict(before.requests).items() <= dict(after.requests).items()


@given(PODS, RANGES, st.dictionaries(st.sampled_from(["cpu", "memory", "limits.cpu", "pods"]), AMOUNTS))
def test_what_stays_as_it_is_was_refused_before_or_is_taken(
    pod: Pod, ranges: list[LimitRange], hard: dict[str, float]
) -> None:
    """A quota holds back what a change raises only, and an omission nobody made now is not held against it."""
    refused = refusals([PodChange(pod, pod)], ranges, [ResourceQuota("q", hard, hard)])
    assert not [r for r in refused if r.missing or r.reason == "ResourceQuota"]


@given(AMOUNTS, AMOUNTS, AMOUNTS, st.floats(1.01, 4.0))
def test_more_is_never_taken_where_less_is_refused_as_too_much(
    old: float, new: float, edge: float, times: float
) -> None:
    ranges = [LimitRange("r", "Container", most={"cpu": edge}, default={"cpu": edge})]
    quotas = [ResourceQuota("q", {"cpu": edge})]
    if refusals([one(old, new)], ranges, quotas):
        assert refusals([one(old, new * times)], ranges, quotas)


def test_a_plan_changes_the_pod_of_its_step_with_all_its_containers() -> None:
    raw = template()
    raw["spec"]["templates"][1]["sidecars"] = [
        {"name": "log", "image": "x", "resources": {"requests": {"cpu": "500m"}}}
    ]
    definition = define(raw, None, namespace="demo")
    (change,) = pod_changes(planned(recommended(cpu()), raw).settings, None, definition)
    assert (change.before.total("requests")["cpu"], change.after.total("requests")["cpu"]) == (2.5, 2.0)
    assert {"init", "wait"} <= {c.name for c in change.after.containers}  # what Argo adds gets the defaults too
    sum_ = LimitRange("r", "Pod", {"cpu": 2.2})
    assert refusals([change], [sum_], [])[0].message == "cpu of the pod 2 is below 2200m, the least LimitRange r allows"


def test_a_higher_parallelism_means_more_of_every_pod() -> None:
    raw = template()
    raw["spec"]["templates"][0]["dag"]["tasks"][0]["withParam"] = "[]"
    definition = define(raw, None, namespace="demo")
    (change,) = pod_changes(planned(faster(), raw).settings, None, definition)
    assert (change.count_before, change.count_after) == (2, 3)
    assert refusals([change], [], [ResourceQuota("q", {"cpu": 5.0})])
    assert not refusals([change], [], [ResourceQuota("q", {"cpu": 6.0})])


def test_a_parallelism_of_a_template_means_more_pods_of_its_steps_only() -> None:
    raw = template()
    fan = {
        "name": "fan",
        "parallelism": 2,
        "dag": {"tasks": [{"name": "each", "template": "train", "withParam": "[]"}]},
    }
    raw["spec"]["templates"].append(fan)
    raw["spec"]["templates"][0]["dag"]["tasks"].append({"name": "fan", "template": "fan"})
    definition = define(raw, None, namespace="demo")
    assert definition is not None and len(definition.graph.steps) > 1
    raised = planned(faster(Edit("/spec/templates/2/parallelism", "2", "3")), raw)
    (change,) = pod_changes(raised.settings, None, definition)
    assert (change.count_before, change.count_after) == (2, 3)


def test_pods_are_tried_as_the_object_has_them_and_else_with_all_that_is_known() -> None:
    raw = cron_job({"requests": {"cpu": "2"}})
    pointer = "/spec/jobTemplate/spec/template/spec/containers/0/resources/requests/cpu"
    plan = planned(recommended(Edit(pointer, "2", "1500m"), step="job"), raw)
    ((before, after),) = pod_trials(plan, raw, None)
    assert before["containers"][0]["resources"] == {"requests": {"cpu": "2"}}
    assert after == {**before, "containers": [{**before["containers"][0], "resources": {"requests": {"cpu": "1500m"}}}]}
    argo = template()
    ((_, made), (_, declared)) = pod_trials(
        planned(recommended(cpu()), argo), argo, define(argo, None, namespace="demo")
    )
    assert [c["name"] for c in declared["containers"]] == ["c0"], "without what Argo adds: its resources are not known"
    assert "initContainers" not in declared
    assert made["containers"][0]["resources"]["requests"] == {"cpu": "1500m", "memory": "2Gi"}
    assert pod_trials(planned(faster()), argo, None) == []
    assert replace(Pod(()), complete=False).total("limits") == {}


def test_a_sidecar_among_the_init_containers_is_tried_and_counted_as_one() -> None:
    """Before the work starts the pod holds 1 and 3 cores; without the sidecar, two such pods were taken to fit into 6."""
    argo = template()
    first = [
        {"name": "proxy", "image": "p", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
        {"name": "fetch", "image": "f", "resources": {"requests": {"cpu": "3"}}},
    ]
    work = next(t for t in argo["spec"]["templates"] if "container" in t)
    work["initContainers"] = first
    read = define(argo, None, namespace="demo")
    assert read is not None
    plan = planned(recommended(cpu()), argo)
    (change,) = pod_changes(plan.settings, None, read)
    assert change.after.total("requests")["cpu"] == 4.0
    quota = ResourceQuota("q", {"cpu": 6.0})
    wider = replace(change, before=Pod(()), count_before=1, count_after=2)
    assert "2 x 4 is more than the 6 of ResourceQuota q" in said(wider, quota)
    _, declared = pod_trials(plan, argo, read)[-1]
    assert [c.get("restartPolicy") for c in declared["initContainers"]] == ["Always", None]


def test_gpus_count_against_a_quota_and_are_tried_as_declared() -> None:
    argo = template()
    work = next(t for t in argo["spec"]["templates"] if "container" in t)
    work["container"]["resources"]["limits"] = {"nvidia.com/gpu": 2}
    read = define(argo, None, namespace="demo")
    assert read is not None
    plan = planned(recommended(cpu()), argo)
    (change,) = pod_changes(plan.settings, None, read)
    wider = replace(change, before=Pod(()), count_before=1, count_after=3)
    quota = ResourceQuota("q", {"nvidia.com/gpu": 4.0})
    assert said(wider, quota) == "nvidia.com/gpu: 3 x 2 is more than the 4 of ResourceQuota q"
    assert said(replace(wider, count_after=2), quota) == ""
    _, declared = pod_trials(plan, argo, read)[-1]
    sizes = declared["containers"][0]["resources"]
    assert sizes["requests"]["nvidia.com/gpu"] == sizes["limits"]["nvidia.com/gpu"] == "2"
