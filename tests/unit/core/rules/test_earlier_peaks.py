"""Sizes and limits where only the newest runs are analysed: what runs of earlier days needed counts as well."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from concertmaster.core.analysis.daily.peaks import daily_peaks
from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import DailyPeaks, Recommendation, VolumeUse
from concertmaster.core.model.amounts import quantity
from concertmaster.core.model.policy import AnalysisSettings, Policy, RuleSettings
from concertmaster.core.rules import RULES, Evidence, recommend
from tests.support.builders import MI, NOW
from tests.support.core.scenario_builder import Pod, Scenario, Work, cron_job, noise, scenario
from tests.support.core.scenarios import STEPS, etl, measured, resources

GI = 1024 * MI
EARLY = (4, 10)  # of 42 runs, on different days


def recommended(of: Scenario, rule: str, *, peaks: bool = True, newest: int = 20) -> list[Recommendation]:
    """Of the ``newest`` runs, with the largest amounts of all days."""
    rules = {r.name: RuleSettings(enabled=r.name == rule) for r in RULES}
    policy = Policy(analysis=AnalysisSettings(max_runs=newest), rules=rules)
    known = daily_peaks(of.definition, of.runs) if peaks else DailyPeaks()
    return recommend(Evidence(analyze(of.definition, of.runs, now=NOW, policy=policy), "wfp", peaks=known))


def loads(usual: Pod, large: Pod, at: Mapping[int, Pod] | None = None, **templates: dict[str, object]) -> Scenario:
    """Runs whose ``transform`` is ``large`` in two early runs, and like ``at`` by number."""
    value = noise()

    def work(i: int) -> Work:
        pods = {n: Pod(value(s), containers=measured(memory_sampled_peak=980 * MI)) for n, s in STEPS.items()}
        own = (at or {}).get(i, large if i in EARLY else usual)
        return pods | {"transform": replace(own, seconds=value(own.seconds))}

    return scenario(etl(**templates), 42, work)


def test_ephemeral_storage_is_not_lowered_below_what_earlier_days_needed() -> None:
    pods = [
        Pod(300, containers=measured(memory_sampled_peak=980 * MI, storage_request=20 * GI, storage_peak=peak * GI))
        for peak in (1, 8)
    ]
    sizes = resources(requests={"cpu": "2", "memory": "8Gi", "ephemeral-storage": "20Gi"})
    of = loads(*pods, transform=sizes)
    lowered = [i.field for i in recommended(of, "right-size", peaks=False)[0].items]
    assert "requests.ephemeral-storage" in lowered
    kept = [i.field for i in recommended(of, "right-size")[0].items]
    assert kept == [field for field in lowered if field != "requests.ephemeral-storage"]


def test_a_volume_is_not_replaced_by_one_that_earlier_days_fill() -> None:
    pods = [Pod(300, volumes=(VolumeUse("scratch", peak * GI, 200 * GI),)) for peak in (5, 150)]
    of = loads(*pods)
    assert [r.action.split(":")[0] for r in recommended(of, "volume-size", peaks=False)] == [
        "Replace PersistentVolumeClaim scratch with a smaller one"
    ]
    assert recommended(of, "volume-size") == []
    less = replace(pods[1], volumes=(VolumeUse("scratch", 30 * GI, 200 * GI),))
    (item,) = recommended(loads(pods[0], less), "volume-size")
    assert "30Gi of 200Gi (15%) in the largest run of 2 of 15 days (5Gi in the newest runs)" in item.because


@pytest.mark.parametrize(("peaks", "proposed"), [(False, "4 -> 1"), (True, "4 -> 3")])
def test_gpus_of_earlier_days_are_kept(peaks: bool, proposed: str) -> None:
    had = {"gpu_resource": "nvidia.com/gpu", "gpu_request": 4.0}
    pods = [Pod(300, containers=measured(gpu_used=0.9, gpus_active=active, **had)) for active in (1.0, 3.0)]
    of = loads(*pods, transform=resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"nvidia.com/gpu": "4"}))
    (item,) = recommended(of, "gpu-request", peaks=peaks)
    assert item.action == f"Lower GPU request of transform: {proposed}"


@pytest.mark.parametrize("peaks", [False, True])
def test_the_limit_against_a_hang_lets_the_longest_runs_of_earlier_days_end(peaks: bool) -> None:
    of = loads(Pod(300), Pod(3000), {35: Pod(24 * 3600, fails="Error")})
    item = next(r for r in recommended(of, "timeout", peaks=peaks) if r.id == "timeout.transform")
    limit = float(item.edits[0].proposed or 0)
    assert (limit > 1.4 * 3000) is peaks
    assert "1 of 20 executions hung" in item.because


def test_a_limit_that_the_longest_runs_of_earlier_days_exceeded_is_raised_for_them() -> None:
    of = loads(Pod(300), Pod(3000), transform={"activeDeadlineSeconds": 2400})
    assert "timeout.transform" not in [r.id for r in recommended(of, "timeout", peaks=False)]
    item = next(r for r in recommended(of, "timeout") if r.id == "timeout.transform")
    assert item.action == "Raise time limit of transform: 40m00s -> 1h30m"
    assert item.because.startswith("the longest execution took 51m19s in the largest run of 2 of 15 days, and 5m")


def test_the_limit_of_a_job_lets_all_pods_of_the_largest_run_end() -> None:
    """Three of them one after the other: the deadline is that of the Job, not of a pod."""
    job = cron_job(completions=3, parallelism=1)
    of = scenario(job, 42, lambda i: {"job": tuple(Pod(3000 if i in EARLY else 300) for _ in range(3))})
    (item,) = recommended(of, "timeout")
    assert float(item.edits[0].proposed or 0) > 1.4 * 9000
    assert "longest seen 2h30m" in item.evidence[0]
    assert item.expected == "a hang ends after at most 4h00m; the longest run so far took 2h30m"


def test_a_killed_run_counts_with_the_limit_it_was_killed_at() -> None:
    had = {"memory_request": 4 * GI, "memory_limit": 4 * GI}
    usual, killed = (Pod(300, containers=measured(memory_sampled_peak=peak * GI, **had)) for peak in (0.5, 3.5))
    of = loads(usual, replace(killed, fails="OOMKilled"))
    found = daily_peaks(of.definition, of.runs).of(["transform"], "memory/main")
    assert sorted(found.values())[-2:] == [4 * GI, 4 * GI]
    assert {amount for amount in found.values() if amount < 4 * GI} == {0.5 * GI}


def grows(by: float, wave: float = 0.0, runs: int = 168) -> Scenario:
    """So many ``runs``, one every two hours (two weeks), of which 24 are analysed; ``transform`` needs 1Gi at first, and
    more ``by`` a day as a share, with a ``wave`` of the day, whose rise ends the history."""
    value = noise()

    def work(i: int) -> Work:
        peak = value(GI * (1 + by) ** (i / 12) * (1 + wave * math.sin(math.pi * (i - 8) / 6)))
        pods = {n: Pod(value(s), containers=measured(memory_sampled_peak=980 * MI)) for n, s in STEPS.items()}
        own = measured(memory_request=8 * GI, memory_sampled_peak=int(peak))
        return pods | {"transform": Pod(value(300), containers=own)}

    manifest = etl(transform=resources(requests={"cpu": "1", "memory": "8Gi"}))
    return scenario(manifest, runs, work, every=7200)


def memory_of(items: list[Recommendation]) -> tuple[float, list[str]]:
    """The request proposed for ``transform`` in GiB, and what is said of its growth."""
    (item,) = items
    (row,) = [i for i in item.items if (i.step, i.field) == ("transform", "requests.memory")]
    return (quantity(row.new) or 0.0) / GI, [line for line in item.evidence if "peaks of" in line]


def test_memory_that_grows_from_day_to_day_gets_room_for_weeks_not_for_the_hours_of_the_newest_runs() -> None:
    of = grows(0.05)
    alone, _ = memory_of(recommended(of, "right-size", peaks=False, newest=24))
    size, (said,) = memory_of(recommended(of, "right-size", newest=24))
    in_two_weeks = 1.05**28
    assert alone < in_two_weeks < size < 1.05**40
    assert said.startswith("peaks of transform grow from day to day: at this rate")
    (item,) = recommended(of, "right-size", newest=24)
    assert item.expected.endswith("at most 1% of later attempts run out of memory while growing peaks stay below it")
    assert item.confidence == 0.5  # that of runs in any order says nothing of it


def test_the_hours_of_today_hide_no_growth() -> None:
    """Days need most in the evening; the analysis is of the morning."""
    of = grows(0.04, 0.3, runs=90)
    today = dict(daily_peaks(of.definition, of.runs).of(["transform"], "memory/main"))
    assert today.pop(max(today)) < max(today.values())
    _, said = memory_of(recommended(of, "right-size", newest=24))
    assert said[0].startswith("peaks of transform grow from day to day: at this rate")


def test_few_days_end_no_promise_of_peaks_that_grow_from_run_to_run() -> None:
    """Four days cannot show growth, nor that there is none: what the newest runs show counts."""
    (item,) = recommended(grows(0.1, runs=36), "right-size", newest=24)
    assert item.confidence == 0.5
    assert item.expected.endswith("at most 1% of later attempts run out of memory while growing peaks stay below it")


@pytest.mark.parametrize("wave", [0.0, 0.3])
def test_memory_that_does_not_grow_from_day_to_day_is_sized_as_before(wave: float) -> None:
    of = grows(0.0, wave)
    alone, _ = memory_of(recommended(of, "right-size", peaks=False, newest=24))
    assert memory_of(recommended(of, "right-size", newest=24)) == (pytest.approx(alone, rel=0.1), [])


def test_what_later_runs_are_assumed_to_need_is_said_of_all_that_the_size_rests_on() -> None:
    of = grows(0.0)
    for peaks, rests in ((False, "2d"), (True, "2d and the largest of each day of the last 14d")):
        (item,) = recommended(of, "right-size", peaks=peaks, newest=24)
        (line,) = [line for line in item.evidence if "headroom" in line]
        assert line.endswith(f"; assumes that later runs need what those of the last {rests} needed")


def test_the_rising_half_of_a_day_is_not_said_to_grow() -> None:
    """The newest runs are of an afternoon that needs ever more, as each afternoon does."""
    of = grows(0.0, 0.3)
    assert memory_of(recommended(of, "right-size", peaks=False, newest=8))[1]
    assert memory_of(recommended(of, "right-size", newest=8))[1] == [
        "peaks of transform rise within the newest 8 runs, but not from day to day: later days will show whether growth has"
        " begun"
    ]
    assert recommended(of, "right-size", newest=8)[0].confidence == 0.5
