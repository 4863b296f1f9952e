"""Memory that follows the limit: the heap of a JVM, workers that are sized by it, page cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.changes.admission.capacity import UNBOUND, Capacity
from concertmaster.core.changes.admission.model import ResourceQuota
from concertmaster.core.model import Level, Recommendation
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.daily import DailyPeaks
from concertmaster.core.model.policy import RuleSettings
from concertmaster.core.rules import Evidence, recommend
from concertmaster.engines.labels.definition import TRAITS
from tests.support.builders import DAY, MI, NOW, container, definition, run, step
from tests.support.core.scenario_builder import Pod, Work, argo, noise, scenario, task
from tests.support.core.scenarios import measured, resources

GI = 1024 * MI
COUNT, CHANGED = 42, 22  # runs, three a day, and the first one under the present limit


def found(
    peak: Callable[[int, float], float],
    limits: tuple[float, float],
    request: float | None = None,
    rule: str = "right-size",
    *,
    kills: bool = True,
    earlier: Mapping[int, float] | None = None,
    unknown: int | None = None,
    capacity: Capacity = UNBOUND,
    **settings: str,
) -> list[Recommendation]:
    """What the rule says of a step whose limit (GiB) went from the one to the other. ``peak``: what it would need in a run
    under such a limit (GiB), for which it is killed above the limit unless ``kills`` is false. ``request``: GiB, None: as
    the limit. ``earlier``: the largest peaks (GiB) of days so long ago; ``unknown``: the run of which no limit is known."""
    now = f"{request or limits[1]:g}Gi"
    declared = resources(requests={"cpu": "1", "memory": now}, limits={"memory": f"{limits[1]:g}Gi"})
    value = noise()

    def work(i: int) -> Work:
        limit = limits[i >= CHANGED]
        needed = value(peak(i, limit))
        had = {"memory_request": (request or limit) * GI, "memory_limit": None if i == unknown else limit * GI}
        facts = measured(**had, memory_sampled_peak=min(needed, limit) * GI)
        return {"a": Pod(900.0, containers=facts, fails="OOMKilled" if kills and needed > limit else None)}

    runs = scenario(argo(task("a"), templates={"a": declared}), COUNT, work, every=8 * 3600.0)
    by_day = {int(NOW // DAY) - ago: amount * GI for ago, amount in (earlier or {}).items()}
    analysis = runs.analysis({rule: RuleSettings(settings=settings)})
    evidence = Evidence(
        analysis, "wfp", peaks=DailyPeaks({("a", "memory/main"): by_day}, every_day=False), capacity=capacity
    )
    return [r for r in recommend(evidence) if r.rule == rule]


def memory(items: list[Recommendation], field: str = "requests.memory") -> list[float | None]:
    """The values (GiB) of a field that the recommendations set."""
    return [(quantity(i.new) or 0.0) / GI for item in items for i in item.items if i.field == field]


def heap(_: int, limit: float) -> float:
    """A heap of eight tenths of the limit."""
    return 0.8 * limit


def test_what_a_heap_used_under_a_larger_limit_does_not_raise_the_request_again() -> None:
    """Runs from before the limit was halved led back to it, with 8Gi."""
    assert not found(heap, (8, 4))


def test_a_request_below_a_lowered_limit_is_raised_to_what_is_used_under_it() -> None:
    """2Gi became 7936Mi, and the limit of 4Gi as well."""
    items = found(heap, (8, 4), request=2)
    assert memory(items) == [pytest.approx(3.8, abs=0.25)]
    assert memory(items, "limits.memory") == []
    line = (
        "memory of a/main: sized from the 20 runs under the present limit, because its use followed the limit from 8Gi"
    )
    assert any(line in text for text in items[0].evidence)


def test_what_was_used_before_the_window_under_another_limit_is_no_need_either() -> None:
    """The heap under 8Gi, of three weeks ago, counted as an exceptional run: 7680Mi, and the limit as well."""
    items = found(heap, (8, 4), request=2, earlier={20: 6.5})
    assert memory(items) == memory(found(heap, (8, 4), request=2))
    assert memory(items, "limits.memory") == []


def test_a_run_of_which_no_limit_is_known_is_no_change_of_the_limit() -> None:
    assert not found(heap, (8, 4), unknown=COUNT - 1)
    assert not found(heap, (8, 4), unknown=CHANGED)


def test_a_heap_that_a_larger_limit_lets_grow_does_not_grow_from_run_to_run() -> None:
    """Growth led from 3584Mi to 14848Mi, of which the heap would have used 12Gi."""
    assert memory(found(heap, (4, 8), request=3.5)) == [pytest.approx(7.6, abs=0.4)]


def test_a_limit_that_is_followed_is_not_raised_for_headroom() -> None:
    """11Gi, of which the heap would use 8.8Gi: the next size would be 14Gi, and so on."""
    items = found(heap, (4, 8), request=3.5, memoryHeadroomPercent="60")
    assert memory(items) == [8.0]
    assert memory(items, "limits.memory") == []
    assert any("8Gi is limited by its limit: what it uses follows the limit" in line for line in items[0].evidence)
    assert not found(heap, (4, 8), memoryHeadroomPercent="60")


def test_what_is_needed_whatever_the_limit_is_still_raised() -> None:
    """One run in four needs 6Gi; since the limit was lowered, none has so far."""

    def modes(i: int, _: float) -> float:
        return 6.0 if i % 4 == 1 and i < CHANGED else 2.0

    (request,) = memory(found(modes, (8, 4)))
    assert request is not None
    assert request > 6.0


def test_a_lower_level_under_a_lower_limit_is_no_reason_to_lower_it_further() -> None:
    assert not found(lambda _, limit: 0.4 * limit, (8, 4))


def test_what_ends_at_the_limit_by_itself_raises_no_limit() -> None:
    """Page cache fills any limit: 2Gi of 8Gi became 9728Mi of 9728Mi, which it would have filled, too."""
    items = found(lambda _, limit: limit, (8, 8), request=2, kills=False)
    assert memory(items) == [8.0]
    assert memory(items, "limits.memory") == []
    assert any("8Gi is limited by its limit, which most runs fill without an OOM kill" in t for t in items[0].evidence)


def test_a_limit_that_did_not_end_kills_is_not_raised_before_its_share_is_lowered() -> None:
    """6 of 20 runs are killed under 8Gi, as often as under 4Gi: 8Gi became 24Gi."""

    def nearly(i: int, limit: float) -> float:
        return (1.2 if i % 3 == 0 else 0.9) * limit

    quota = ResourceQuota("team", {"limits.memory": 10 * GI})
    (item,) = found(nearly, (4, 8), rule="memory-request", capacity=Capacity((quota,)))
    assert item.proposed == "12Gi"
    assert item.risk is Level.MEDIUM
    assert item.edits == ()
    assert item.upper_bound
    assert item.failures_avoided is not None
    assert item.failures_avoided.low == 0.0
    said = "peaks rose with it, and 6 of 20 runs were still OOM-killed (8 of 22 before)"
    assert item.expected.endswith(
        f"after the limit went from 4Gi to 8Gi, {said}; raise ResourceQuota team from 10Gi to at least 12Gi first"
    )


def test_a_limit_that_ended_most_kills_is_raised_as_before() -> None:
    def seldom(i: int, _: float) -> float:
        return 9.0 if i % 10 == 5 and i >= CHANGED else 5.0 if i % 3 == 0 else 3.5

    (item,) = found(seldom, (4, 8), rule="memory-request")
    assert item.edits
    assert not item.upper_bound


@pytest.mark.parametrize(("engine", "one"), [("spark", True), ("nextflow", True), ("airflow", False)])
def test_one_size_for_request_and_limit_keeps_the_room_of_a_limit(engine: str, *, one: bool) -> None:
    """Memory of an executor was lowered as a request, although its limit and its heap are lowered with it: 15% of headroom,
    and a promise for all later attempts."""
    of = definition(step("work", containers=()), engine=TRAITS[engine])
    fact = container(memory_request=8 * GI, memory_limit=8 * GI, memory_sampled_peak=3 * GI, memory_kernel_peak=3 * GI)
    runs = [
        run(of.graph, {"work": 3600.0}, number=i, start=NOW - (COUNT - i) * DAY / 3, containers=lambda _: (fact,))
        for i in range(COUNT)
    ]
    (item,) = [r for r in recommend(Evidence(analyze(of, runs, now=NOW), "wfp")) if r.rule == "right-size"]
    assert memory([item])[0] == (3.75 if one else 3.5)
    assert memory([item], "limits.memory") == (memory([item]) if one else [])
    assert ("unless their use follows the lower limit" in item.expected) is one
    assert any("such as the heap of a JVM" in line for line in item.evidence) is one
    assert item.snippet is not None
