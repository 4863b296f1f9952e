"""What of a long reading is taken from single moments, and what has to be asked for once more."""

from __future__ import annotations

from dataclasses import replace

from concertmaster.core.model import JobFact
from concertmaster.prometheus.collect.shard import sparse
from concertmaster.prometheus.facts.drafts import ContainerDraft, PodDraft
from concertmaster.prometheus.queries.bulk import pods_at
from concertmaster.prometheus.queries.scope import SPARSE, QueryScope, TimeRange

END = 1_000_000.0
DAY = TimeRange(86_400 + 420, 86_400 + 120)


def draft(uid: str = "a", **fields: object) -> PodDraft:
    made = PodDraft("etl", f"pod-{uid}", uid, nodes={"n"}, owner=("Job", f"job-{uid}"), phases={"Succeeded"})
    made.times = {"kube_pod_created": END - 900, "kube_pod_completion_time": END - 600}
    made.containers = {"main": ContainerDraft()}
    return replace(made, **fields)  # type: ignore[arg-type]


def job(name: str, succeeded: bool | None, **fields: object) -> JobFact:
    known = JobFact("etl", name, "CronJob", "etl", succeeded, 1.0, END - 900, END - 600)
    return replace(known, **fields)  # type: ignore[arg-type]


def test_pods_are_asked_for_soon_after_their_end() -> None:
    ends = {f"{n}": END - n * 500.0 for n in range(100)}
    found = sparse.moments({uid: f"pod-{uid}" for uid in ends}, ends, END, DAY)
    for uid, over in ends.items():
        moment = END - found[f"pod-{uid}"]
        assert min(END, over + 100) <= moment <= over + SPARSE + 120


def test_a_pod_without_a_known_end_is_asked_for_at_the_end_of_the_reading() -> None:
    assert sparse.moments({"a": "pod-a"}, {}, END, DAY) == {"pod-a": 0}


def test_names_that_several_pods_bore_are_not_asked_for_at_moments() -> None:
    assert sparse.moments({"a": "pod", "b": "pod", "c": "other"}, {}, END, DAY) == {"other": 0}


def test_short_readings_know_no_moments() -> None:
    assert sparse.moments({"a": "pod-a"}, {"a": END - 60}, END, TimeRange(480, 180)) == {}


def test_a_draft_of_a_moment_is_used_only_when_nothing_can_be_missing() -> None:
    good = draft()
    for other in (
        draft("b", phases=set()),
        draft("b", phases={"Failed"}),
        draft("b", nodes=set()),
        draft("b", containers={}),
        draft("b", times={"kube_pod_created": END - 900}),
    ):
        assert sparse.whole({"a": good, "b": other}) == {"a": good}
    alone = draft(times={"kube_pod_completion_time": END - 600})  # an allow-list drops the other for all
    assert sparse.whole({"a": alone}) == {"a": alone}


def test_moments_are_joined_in_halves() -> None:
    """In a chain of ``or`` Prometheus takes what it has so far in hand at each part: four times the work at 100 moments."""
    text = pods_at(QueryScope(), DAY, (), {n * SPARSE: [f"pod-{n}"] for n in range(100)})
    depth, levels = 0, []
    for char in text:
        depth += (char == "(") - (char == ")")
        levels.append(depth)
    assert 9 <= max(levels) <= 12  # seven of them for the halves of 100
    assert all(text.count(f'pod="pod-{n}"') == 2 for n in range(100))
    assert text.count(f" offset {SPARSE}s") == 2


def test_jobs_are_asked_for_again_when_their_pods_ended_and_they_are_not_known_to_have() -> None:
    drafts = [draft("a"), draft("b"), draft("c"), draft("d", owner=("Workflow", "job-x")), draft("e", owner=None)]
    known = [job("job-a", True), job("job-b", None), job("idle", None), job("failed", False)]
    bare = job("brief", False, owner_kind=None, owner_name=None, parallelism=None, started=None)
    assert sparse.open_jobs([*known, bare], drafts) == {"job-b", "job-c", "brief"}
