"""``memory-request``: failed runs avoided are those that the proposed size is enough for."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist, fmean

import numpy as np
import pytest

from concertmaster.core.changes.admission.capacity import Capacity
from concertmaster.core.changes.admission.model import ResourceQuota
from concertmaster.core.changes.admission.service_pods import InQuotas
from concertmaster.core.model import Level, Outcome, Recommendation, RunRecord
from tests.support.builders import DAY, MI
from tests.support.core.scenario_builder import Pod, Scenario, Work, argo, noise, scenario, task
from tests.support.core.scenarios import STEPS, etl, measured, resources

LIMIT = 2048.0


def found(spread: float, allowed: float | None = None, taken: float | None = None) -> Recommendation:
    """``transform`` needs this log-normal ``spread`` around a median that 6 of 40 runs exceed the limit with. ``allowed``:
    GiB of a quota, of which services hold the ``taken`` at times, and twice that at others."""
    limited = resources(requests={"cpu": "1", "memory": "2Gi"}, limits={"memory": "2Gi"})
    value, normal = noise(), NormalDist(sigma=spread)

    def work(i: int) -> Work:
        needed = LIMIT * math.exp(normal.inv_cdf((i * 7 % 40 + 0.5) / 40) - normal.inv_cdf(0.85))
        fails = "OOMKilled" if needed > LIMIT else None
        peak = min(needed, LIMIT) * MI
        own = measured(memory_request=LIMIT * MI, memory_limit=LIMIT * MI, memory_sampled_peak=peak)
        pods = {n: Pod(value(s), containers=measured(memory_sampled_peak=960 * MI)) for n, s in STEPS.items()}
        return pods | {"transform": Pod(value(STEPS["transform"]), containers=own, fails=fails)}

    quotas = () if allowed is None else (ResourceQuota("small", {"memory": allowed * 2**30}),)
    held = InQuotas(np.arange(2.0), {"memory": np.array([1.0, 2.0]) * taken * 2**30}) if taken is not None else None
    capacity = Capacity(quotas, in_quotas=held)
    return replace(scenario(etl(transform=limited), 40, work), capacity=capacity).one("memory-request")


@pytest.mark.parametrize(
    ("taken", "proposed", "patched"), [(1.0, "6Gi", True), (4.0, "4Gi", True), (6.0, "3Gi", False)]
)
def test_no_pod_becomes_larger_than_what_services_leave_of_the_quota(
    taken: float, proposed: str, patched: bool
) -> None:
    raised = found(1.0, 8.0, taken)
    assert raised.action.endswith(f"2Gi -> {proposed}")
    assert bool(raised.edits) is patched
    room = "raise what pods outside workflows leave of ResourceQuota small from 2Gi to at least 3Gi first"
    assert (room in raised.expected) is not patched


def test_kills_that_the_size_would_not_have_ended_are_no_failures_avoided() -> None:
    """Needs that spread by 0.5 go beyond one and a half times the limit, all that a quota allows, in a fifth of the killed
    runs."""
    item = found(0.5, allowed=3.0)
    assert item.action == "Raise memory request and limit of transform: 2Gi -> 3Gi"
    failed, a_month = item.impact.failed_runs, 90.0  # three runs a day
    assert failed is not None
    still = NormalDist().cdf(-NormalDist().inv_cdf(0.85) - math.log(1.5) / 0.5) / 0.15
    assert failed.likely / a_month == pytest.approx(6 / 40 * (1 - still), rel=0.07)
    assert failed.low < 6 / 40 * 0.5 * a_month
    assert "above 2Gi, 21% of them probably more than 3Gi" in item.expected


def test_how_many_runs_are_covered_by_peaks_that_grow_is_not_known_and_the_raise_is_right_all_the_same() -> None:
    limited = resources(requests={"cpu": "1", "memory": "2Gi"}, limits={"memory": "2Gi"})
    value = noise()

    def work(i: int) -> Work:
        needed = 1000.0 * 1.022**i
        fails = "OOMKilled" if needed > LIMIT else None
        own = measured(memory_request=LIMIT * MI, memory_limit=LIMIT * MI, memory_sampled_peak=min(needed, LIMIT) * MI)
        return {n: Pod(value(s)) for n, s in STEPS.items()} | {
            "transform": Pod(value(STEPS["transform"]), containers=own, fails=fails)
        }

    item = scenario(etl(transform=limited), 40, work).one("memory-request")
    assert item.confidence == 0.5
    assert "how many later runs these peaks cover is not known: their level is changing" in item.evidence


@pytest.mark.parametrize(("spread", "proposed"), [(0.05, "3Gi"), (0.3, "4Gi"), (0.5, "6Gi")])
def test_the_wider_needs_spread_the_further_a_limit_is_raised(spread: float, proposed: str) -> None:
    """Of 40 runs, 6 were killed: after one and a half times the limit 0, 3 and 6 in 100 may still be."""
    item = found(spread)
    assert item.proposed == proposed
    why = [line for line in item.evidence if "of the runs need more than 3Gi" in line]
    assert len(why) == (proposed != "3Gi")


@pytest.mark.parametrize(("allowed", "proposed", "waits"), [(8.0, "6Gi", 0), (5.2, "5324Mi", 0), (2.5, "3Gi", 1)])
def test_a_quota_leaves_what_it_has_room_for(allowed: float, proposed: str, waits: int) -> None:
    """Where not even one and a half times the limit is left, the text says what to raise first."""
    item = found(0.5, allowed)
    assert item.proposed == proposed
    assert (len(item.edits) == 0) == waits
    assert ("raise ResourceQuota small" in item.expected) == waits


def test_a_size_above_all_that_runs_need_ends_every_kill() -> None:
    item = found(0.05)
    assert item.impact.failed_runs is not None
    assert item.impact.failed_runs.likely / 90.0 == pytest.approx(6 / 40, rel=0.05)
    assert item.expected.endswith("the killed runs needed an unknown amount above 2Gi")


def test_a_step_that_is_killed_in_every_run_is_published() -> None:
    """Nothing tells what it needs, but that is more than its limit; three times that is enough for two runs in three."""
    limited = resources(requests={"cpu": "1", "memory": "48Mi"}, limits={"memory": "64Mi"})
    full = measured(memory_limit=64 * MI, memory_sampled_peak=63 * MI)
    kill = Pod(20.0, containers=full, fails="OOMKilled")
    item = scenario(argo(task("a"), templates={"a": limited}), 12, lambda _: {"a": kill}).one("memory-request")
    assert not item.minor
    assert item.proposed == "192Mi"
    assert item.expected.endswith("the killed runs needed an unknown amount above 64Mi")
    avoided = item.failures_avoided
    assert avoided is not None
    assert 0.0 < avoided.low < avoided.likely < avoided.high
    assert avoided.likely == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("kills", "raised", "says"),
    [
        ({0, 4, 8, 12}, None, 0),  # none in 27 runs: the cause is gone, whatever it was
        ({5, 15, 25, 35}, None, 1),
        ({35, 38}, None, 1),  # the last ones
        ({3, 11}, None, 1),  # 28 runs without one may be chance
        ({3, 11}, 12, 0),  # but not with a higher limit since
        ({11, 35}, 36, 1),  # too few runs have it
    ],
)
def test_kills_that_have_ended_are_no_reason(kills: set[int], raised: int | None, says: int) -> None:
    def work(i: int) -> Work:
        limit = 1.25 * LIMIT * MI if raised is not None and i >= raised else LIMIT * MI
        own = measured(memory_request=limit, memory_limit=limit, memory_sampled_peak=0.9 * LIMIT * MI)
        fails = "OOMKilled" if i in kills else None
        return {n: Pod(s, containers=own, fails=fails) if n == "transform" else s for n, s in STEPS.items()}

    now = "2Gi" if raised is None else "2560Mi"
    limited = resources(requests={"cpu": "1", "memory": now}, limits={"memory": now})
    assert len(scenario(etl(transform=limited), 40, work).recommended("memory-request")) == says


def said(
    kill: Callable[[int], bool],
    limit: Callable[[int], float],
    image: Callable[[int], int],
    peak: float,
    a_day: int = 3,
) -> int:
    """How often ``memory-request`` is recommended for the runs of 14 days with these limits (MiB) and images; those that
    are not killed have this peak (share of ``LIMIT``)."""
    runs = 14 * a_day

    def work(i: int) -> Work:
        used = {
            "memory_request": limit(i) * MI,
            "memory_limit": limit(i) * MI,
            "memory_sampled_peak": peak * LIMIT * MI,
        }
        own = measured(image=f"lab/transform:{image(i)}", **used)
        fails = "OOMKilled" if kill(i) else None
        return {n: Pod(s, containers=own, fails=fails) if n == "transform" else s for n, s in STEPS.items()}

    now = f"{limit(runs - 1):.0f}Mi"
    limited = resources(requests={"cpu": "1", "memory": now}, limits={"memory": now})
    return len(scenario(etl(transform=limited), runs, work, every=DAY / a_day).recommended("memory-request"))


@pytest.mark.parametrize(("quiet", "says"), [(3, 1), (6, 1), (12, 0)])
def test_kills_of_a_few_days_have_ended_some_days_later(quiet: int, says: int) -> None:
    """Nine of twelve runs in four days; nothing tells what ended them."""
    begin = 42 - quiet - 12
    assert said(lambda i: begin <= i < begin + 12 and i % 4 != 2, lambda _: LIMIT, lambda _: 1, 0.9) == says


@pytest.mark.parametrize(("quiet", "says"), [(3, 1), (6, 0)])
def test_another_image_right_after_them_is_why(quiet: int, says: int) -> None:
    begin = 42 - quiet - 12
    kill: Callable[[int], bool] = lambda i: begin <= i < begin + 12 and i % 4 != 2  # noqa: E731
    assert said(kill, lambda _: LIMIT, lambda i: 1 + (i >= 42 - quiet), 0.9) == says


def test_kills_on_one_weekday_have_not_ended() -> None:
    """Two weeks with kills on Sundays, and the days until the next one."""
    for later in (3, 6, 9, 12):
        assert said(lambda i, d=later: (i + 18 - d) // 3 % 7 == 2, lambda _: LIMIT, lambda _: 1, 0.9) == 1  # type: ignore[misc]


@pytest.mark.parametrize("releases", [0, 12])
def test_nor_have_they_where_many_runs_a_day_say_so(releases: int) -> None:
    """Two weeks with kills on Sundays, and the days until the next one; an image for all runs, or one of every day."""
    for later in (12, 36, 60):
        sunday: Callable[[int], bool] = lambda i, d=later: (i + 72 - d) // 12 % 7 == 2  # type: ignore[misc]  # noqa: E731
        assert said(sunday, lambda _: LIMIT, lambda i: releases and i // releases, 0.9, a_day=12) == 1


def test_a_week_without_kills_is_none_of_one_weekday() -> None:
    for quiet, says in ((5, 1), (8, 0)):
        last = 168 - 12 * quiet
        assert said(lambda i, at=last: at - 12 <= i < at, lambda _: LIMIT, lambda _: 1, 0.9, a_day=12) == says  # type: ignore[misc]


@pytest.mark.parametrize(("raised", "says"), [(1.45, 0), (1.2, 1)])
def test_a_limit_that_was_raised_by_about_as_much_as_recommended_is_enough(raised: float, says: int) -> None:
    """Two runs have it so far: chance, but for the limit. One and a half times the old one were recommended."""
    assert said(lambda i: i in (5, 17, 30), lambda i: LIMIT * (raised if i >= 40 else 1.0), lambda _: 1, 0.9) == says


def test_a_leaner_image_ends_kills_of_a_heavier_one() -> None:
    """Two of its runs were killed; the new one needs a third of the memory."""

    def work(i: int) -> Work:
        peak = (0.8 + 0.01 * (i % 7)) * (1.0 if i < 32 else 0.33)
        used = {"memory_request": LIMIT * MI, "memory_limit": LIMIT * MI, "memory_sampled_peak": peak * LIMIT * MI}
        own = measured(image=f"lab/transform:{1 + (i >= 32)}", **used)
        fails = "OOMKilled" if i < 32 and i % 16 == 3 else None
        return {n: Pod(s, containers=own, fails=fails) if n == "transform" else s for n, s in STEPS.items()}

    limited = resources(requests={"cpu": "1", "memory": "2Gi"}, limits={"memory": "2Gi"})
    assert not scenario(etl(transform=limited), 42, work).recommended("memory-request")


@pytest.mark.parametrize(("lowered", "above"), [(30, "717Mi"), (39, "717Mi"), (99, "2Gi")])
def test_kills_of_a_leaner_image_are_its_own(lowered: int, above: str) -> None:
    """It needs a third of the memory, and two of its runs are killed, as were most before: at a limit that was lowered with
    it, or later, or not at all."""

    def work(i: int) -> Work:
        limit = LIMIT * MI * (0.35 if i >= lowered else 1.0)
        own = measured(
            image=f"lab/transform:{1 + (i >= 30)}",
            memory_request=limit,
            memory_limit=limit,
            memory_sampled_peak=(0.3 if i >= 30 else 0.9) * LIMIT * MI,
        )
        fails = "OOMKilled" if (i % 4 if i < 30 else i in (39, 41)) else None
        return {n: Pod(s, containers=own, fails=fails) if n == "transform" else s for n, s in STEPS.items()}

    now = "717Mi" if lowered < 42 else "2Gi"
    limited = resources(requests={"cpu": "1", "memory": now}, limits={"memory": now})
    item = scenario(etl(transform=limited), 42, work).one("memory-request")
    assert item.because.startswith("2 of 12 runs since image lab/transform:2")
    assert f"needed an unknown amount above {above}" in item.expected
    assert item.otherwise.startswith("about 17% of the runs")


def test_a_limit_of_zero_is_none() -> None:
    """Kubernetes takes it for no limit; the node's memory is what such a container is killed for."""
    unlimited = resources(requests={"cpu": "1", "memory": "500Mi"}, limits={"memory": "0"})
    own = measured(memory_request=500 * MI, memory_limit=0.0, memory_sampled_peak=600 * MI)
    made = scenario(
        argo(task("a"), templates={"a": unlimited}),
        12,
        lambda i: {"a": Pod(20.0, containers=own, fails="OOMKilled" if i == 3 else None)},
    )
    assert made.recommended("memory-request") or made.recommended("right-size")


@pytest.mark.parametrize("limit", [0.0, None])
def test_kills_without_a_limit_needed_more_than_is_known(limit: float | None) -> None:
    free = resources(requests={"cpu": "1", "memory": "500Mi"})
    own = measured(memory_request=500 * MI, memory_limit=limit, memory_sampled_peak=600 * MI)

    def work(i: int) -> Work:
        return {"a": Pod(20.0, containers=own, fails="OOMKilled" if i in (3, 8) else None)}

    item = scenario(argo(task("a"), templates={"a": free}), 12, work).one("memory-request")
    assert "the killed runs needed an unknown amount, 62% of them probably more than 960Mi" in item.expected


@pytest.mark.parametrize("kernel", [None, 5 * MI])
def test_samples_of_nothing_say_nothing_of_the_peak(kernel: float | None) -> None:
    """All that was seen of a container before it was killed is that it had used nothing yet."""
    limited = resources(requests={"cpu": "1", "memory": "2Gi"}, limits={"memory": "2Gi"})

    def work(i: int) -> Work:
        seen = {"memory_sampled_peak": 0.0, "memory_kernel_peak": kernel}
        own = measured(memory_limit=LIMIT * MI, **(seen if i % 7 == 3 else {"memory_sampled_peak": None, "samples": 0}))
        return {"a": Pod(20.0, containers=own, fails="OOMKilled" if i % 7 == 3 else None)}

    item = scenario(argo(task("a"), templates={"a": limited}), 42, work).one("memory-request")
    assert item.proposed == "3Gi"
    assert {i.peak for i in item.items} == {"unknown"}


def unsampled(seen: int, limit: float | None = LIMIT) -> list[Recommendation]:
    """Every seventh of 42 runs is OOM-killed at this limit (MiB); ``seen`` in seven runs have samples."""
    limited = resources(requests={"cpu": "1", "memory": "2Gi"}, limits={"memory": "2Gi"})
    value = noise()

    def work(i: int) -> Work:
        peak = {"memory_sampled_peak": 1600 * MI} if i % 7 < seen else {"memory_sampled_peak": None, "samples": 0}
        own = measured(memory_limit=limit and limit * MI, **peak)
        kill = "OOMKilled" if i % 7 == 3 else None
        return {n: Pod(value(s), containers=own, fails=kill if n == "transform" else None) for n, s in STEPS.items()}

    return scenario(etl(transform=limited), 42, work).recommended("memory-request")


def test_kills_call_for_more_than_the_limit_where_nothing_was_sampled() -> None:
    (item,) = unsampled(0)
    assert item.action == "Raise memory request and limit of transform: 2Gi -> 3Gi"
    assert "6 of 42 runs were OOM-killed (14d); only 0 of 42 executions have memory samples" in item.because
    assert [str(i).partition(" (")[2] for i in item.items] == ["peak unknown, headroom unknown)"] * 2
    assert (item.risk, item.confidence, item.automatic) == (Level.MEDIUM, 0.5, False)
    avoided = item.failures_avoided
    assert avoided is not None
    assert avoided.likely == pytest.approx(6 / 42 / 3)  # of needs that nothing is known of, a third is below 1.5 limits
    assert avoided.low < 0.7 * avoided.likely
    assert avoided.high > 6 / 42


def test_a_few_peaks_of_other_runs_tell_how_many_kills_the_size_ends() -> None:
    (item,) = unsampled(2)
    assert item.risk is Level.MEDIUM
    assert "only 12 of 42 executions have memory samples" in item.because
    assert item.failures_avoided is not None
    assert item.failures_avoided.likely > 0.9 * 6 / 42
    (measured_enough,) = unsampled(7)
    assert (measured_enough.risk, measured_enough.proposed) == (Level.LOW, item.proposed)


def test_kills_at_an_unknown_limit_without_samples_are_silent() -> None:
    assert unsampled(0, None) == []


def test_the_present_limit_tells_how_often_runs_are_killed() -> None:
    """Half of the runs were killed until the limit was raised, one in ten of those since; none of the last twelve, which is
    too few if it is only one in ten."""

    def work(i: int) -> Work:
        limit = 1.25 * LIMIT * MI if i >= 20 else LIMIT * MI
        own = measured(memory_request=limit, memory_limit=limit, memory_sampled_peak=0.9 * LIMIT * MI)
        fails = "OOMKilled" if (i % 2 if i < 20 else i in (23, 27)) else None
        return {n: Pod(s, containers=own, fails=fails) if n == "transform" else s for n, s in STEPS.items()}

    limited = resources(requests={"cpu": "1", "memory": "2560Mi"}, limits={"memory": "2560Mi"})
    item = scenario(etl(transform=limited), 40, work).one("memory-request")
    assert item.because.startswith("2 of 20 runs with the present limit were OOM-killed")
    assert item.failures_avoided is not None
    assert item.failures_avoided.high < 12 / 40
    assert item.failures_avoided.likely == pytest.approx(0.1, rel=0.1)


def test_without_a_limit_kills_have_ended() -> None:
    """Those of the runs that had one, that is: the node's memory may still be what kills."""

    def says(late: bool) -> int:
        def work(i: int) -> Work:
            limit = None if i >= 34 else LIMIT * MI
            own = measured(memory_request=LIMIT * MI, memory_limit=limit, memory_sampled_peak=0.9 * LIMIT * MI)
            fails = "OOMKilled" if i in (3, 11, 33) or (late and i == 38) else None
            return {n: Pod(s, containers=own, fails=fails) if n == "transform" else s for n, s in STEPS.items()}

        free = resources(requests={"cpu": "1", "memory": "2Gi"})
        return len(scenario(etl(transform=free), 40, work).recommended("memory-request"))

    assert (says(late=False), says(late=True)) == (0, 1)


def test_one_run_was_killed() -> None:
    limited = resources(requests={"cpu": "1", "memory": "256Mi"}, limits={"memory": "1Gi"})

    def work(i: int) -> Work:
        own = measured(memory_limit=1024 * MI, memory_sampled_peak=900 * MI)
        return {"a": Pod(60.0, containers=own, fails="OOMKilled" if i == 9 else None)}

    item = scenario(argo(task("a"), templates={"a": limited}), 12, work).one("memory-request")
    assert item.because.startswith("1 of 12 runs was OOM-killed")


def retried(share: float, *, reason: str = "OOMKilled", beside: float = 0.0, count: int = 60) -> Scenario:
    """A retry with the same limit rescues the ``share`` of the runs in which an attempt at ``transform`` is killed after
    200 s, and those in which one fails for ``reason``; ``beside``: seconds of a step that runs in parallel."""
    value, chance = noise(spread=0.03), random.Random(11)
    limited = resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"memory": "1Gi"})

    def work(i: int) -> Work:
        own = measured(memory_request=1024 * MI, memory_limit=1024 * MI, memory_sampled_peak=900 * MI)
        failures = tuple((value(200.0), why) for why in ("OOMKilled", reason) if chance.random() < share)
        return {"transform": Pod(value(300.0), containers=own, failures=failures), "aside": value(max(beside, 1.0))}

    flow = argo(task("transform"), task("aside"), templates={"transform": limited})
    return scenario(flow, count, work, every=4 * 3600.0)


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_kills_that_a_retry_makes_good_cost_run_time(share: float) -> None:
    """Nothing fails, and every killed attempt still costs its 200 s, the pause after it and the start of another pod."""
    made = retried(share)
    item = made.one("memory-request")
    assert item.failures_avoided is None
    lost = [sum(e.duration + 13.0 for e in run.steps if e.outcome is Outcome.FAILED) for run in made.runs]  # type: ignore[operator]
    assert item.gain_seconds is not None and item.gain_share is not None
    assert item.gain_seconds.low < fmean(lost) < item.gain_seconds.high
    assert item.gain_seconds.likely == pytest.approx(fmean(lost), rel=0.15)
    assert ", without the killed attempts; sufficient for" in item.expected and " shorter" in item.expected
    assert not item.minor


def test_kills_go_on_costing_run_time_where_the_newest_runs_failed() -> None:
    """Of the newest 15 runs a third was killed, and no retry succeeded."""
    made = retried(0.3)
    calm = [run for run in made.runs if all(e.outcome is Outcome.SUCCEEDED for e in run.steps)]
    failed = [
        replace(run, outcome=Outcome.FAILED, steps=tuple(e for e in run.steps if e.outcome is Outcome.FAILED))
        for run in made.runs
        if run not in calm
    ]
    later = [
        replace(failed[i // 3] if i % 3 == 0 else calm[i], run=run.run, start=run.start, end=run.end)
        for i, run in enumerate(made.runs[-15:])
    ]
    item = replace(made, runs=(*made.runs[:-15], *later)).one("memory-request")
    assert item.gain_seconds is not None


def test_of_failed_attempts_only_the_killed_ones_count() -> None:
    only, both = (retried(0.3, reason=why).one("memory-request").gain_seconds for why in ("OOMKilled", "Error"))
    assert only is not None and both is not None
    assert both.likely == pytest.approx(only.likely / 2, rel=0.25)


def test_kills_beside_a_longer_path_cost_no_run_time() -> None:
    item = retried(0.4, beside=1200.0).one("memory-request")
    assert item.gain_seconds is None
    assert item.expected.startswith("sufficient for")


def restarted(share: float, killed: bool = True, init: bool = False) -> Scenario:
    """The only container of ``transform`` is restarted in its pod 200 s after its start, with this probability; ``killed``:
    for lack of memory. It then takes the 300 s that it takes in other runs. Or its ``init`` container is, before the only
    one, which then takes 60 s."""
    limited = resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"memory": "1Gi"})
    value, chance = noise(), random.Random(5)

    def work(i: int) -> Work:
        first = 200.0 if chance.random() < share else 0.0
        own = measured(
            memory_request=1024 * MI, memory_limit=1024 * MI, memory_sampled_peak=900 * MI, restarted_after_oom=first
        )
        if init:
            fetch = replace(own[0], name="fetch", init=True, cpu_request=None)
            return {"transform": Pod(60.0, startup=first + value(300.0), containers=(*measured(), fetch))}
        return {"transform": Pod(first + value(300.0), containers=own)}

    if init:
        limited = {"initContainers": [{"name": "fetch", "image": "fetch:1", **limited["container"]}]}
    made = scenario(argo(task("transform"), templates={"transform": limited}), 60, work, every=4 * 3600.0)

    def timed(run: RunRecord) -> RunRecord:
        (execution,) = run.steps
        *main, fact = execution.containers
        first = execution.scheduled if init else fact.started
        last = (first or 0.0) + fact.restarted_after_oom if fact.restarted_after_oom and killed else None
        own = replace(fact, started=first, restarted_after_oom=last)
        return replace(run, steps=(replace(execution, containers=(*main, own)),))

    return replace(made, runs=tuple(map(timed, made.runs)))


@pytest.mark.parametrize("init", [False, True])
def test_kills_that_a_restart_in_the_pod_makes_good_cost_run_time(init: bool) -> None:
    """With ``restartPolicy: OnFailure`` nothing fails: the pod succeeds, and only its last start is seen to end. That of an
    init container takes longer before the work starts."""
    item = restarted(0.3, init=init).one("memory-request")
    killed = sum(c.oom_killed for run in restarted(0.3).runs for c in run.steps[0].containers)
    assert f"{killed} of 60 runs were OOM-killed" in item.because and killed > 10
    assert item.failures_avoided is None and item.gain_seconds is not None
    assert item.gain_seconds.likely == pytest.approx(200.0 * killed / 60, rel=0.1)
    assert "between the first and the last start of containers that were killed" in "; ".join(item.evidence)
    assert not item.minor and item.edits


def test_restarts_for_other_reasons_are_no_kills() -> None:
    assert restarted(0.3, killed=False).recommended("memory-request") == []


def killed_at(
    used: float,
    request: float,
    *,
    spike: float = 0.0,
    seconds: float = 900.0,
    at: float | None = None,
    kill: Callable[[int], bool] = lambda i: i % 7 == 5,
) -> Recommendation:
    """``transform`` uses that much of a limit of 4Gi (MiB) for so many ``seconds``, and is killed in some of 40 runs, ``at``
    a share of them or (None) at any; of one of the others a ``spike`` is known."""
    limited = resources(requests={"cpu": "1", "memory": f"{request:.0f}Mi"}, limits={"memory": "4Gi"})
    value = noise()

    def work(i: int) -> Work:
        sizes = {"memory_request": request * MI, "memory_limit": 4096 * MI}
        peak = used * value(1.0)
        mark = max(peak, spike if i == 3 else 0.0)
        own = measured(memory_sampled_peak=peak * MI, memory_kernel_peak=mark * MI, **sizes)
        pods = {n: Pod(value(s), containers=measured(memory_sampled_peak=960 * MI)) for n, s in STEPS.items()}
        if not kill(i):
            return pods | {"transform": Pod(value(seconds), containers=own)}
        until = (0.5 + i / 80 if at is None else at) * value(seconds)
        return pods | {"transform": Pod(until, containers=own, fails="OOMKilled")}

    return scenario(etl(transform=limited), 40, work).one("memory-request")


def test_where_nodes_run_out_of_memory_the_request_is_raised_to_what_runs_use() -> None:
    """All runs, killed ones too, use a third of the limit and thrice the request."""
    item = killed_at(1400.0, 512.0)
    request = next(row for row in item.items if row.field == "requests.memory")
    assert [row.field for row in item.items] == ["requests.memory"]
    assert (request.old, request.new, request.peak) == ("512Mi", "1664Mi", "1.5Gi")
    assert [edit.pointer.rpartition("/resources")[2] for edit in item.edits] == ["/requests/memory"]
    failed = item.impact.failed_runs
    assert item.upper_bound and failed is not None and failed.low == 0.0 < failed.likely
    assert "above 4Gi" not in item.expected
    assert "rather a node ran out of memory" in " ".join(item.evidence)


@pytest.mark.parametrize(
    "killed",
    [
        lambda: killed_at(1400.0, 2048.0),  # within its request, so that others are killed first
        lambda: killed_at(1400.0, 512.0, spike=3500.0),  # what it needs reaches further
        lambda: killed_at(3900.0, 512.0),  # near the limit
        lambda: killed_at(1400.0, 512.0, seconds=60.0),  # too short for the samples to show the way there
        lambda: killed_at(1400.0, 512.0, at=0.7),  # it needs more at one point of its work
        lambda: killed_at(1400.0, 512.0, kill=lambda i: i % 7 != 5),  # or in most runs
    ],
)
def test_other_kills_call_for_a_larger_limit(killed: Callable[[], Recommendation]) -> None:
    item = killed()
    assert [row.field for row in item.items] == ["requests.memory", "limits.memory"]
    assert "rather a node" not in " ".join(item.evidence)
    assert not item.upper_bound
