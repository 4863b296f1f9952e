"""``volume-size``: how full volumes are, whose they are, and until when they hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from concertmaster.core.analysis.insights import insights
from concertmaster.core.analysis.shared.volumes import volume_fills
from concertmaster.core.model import Category, PodFact, Severity, StepExecution, VolumeUse
from concertmaster.core.model.policy import Pricing
from concertmaster.core.times import iso
from concertmaster.engines.common.executions import execution, merge_facts
from concertmaster.history.encoding import decode_executions, encode_executions
from concertmaster.report.status.insights import sentences
from tests.support.builders import DAY, NOW
from tests.support.core.scenario_builder import Pod, Scenario, argo, noise, scenario, task
from tests.support.core.scenarios import GI, MI, SCENARIOS, STEPS, etl


def mounting(*uses: VolumeUse) -> Scenario:
    """Runs whose load mounts a claim, one use each."""
    value = noise()

    def work(i: int) -> dict[str, Pod]:
        return {n: Pod(value(s), volumes=(uses[i],) if n == "load" else ()) for n, s in STEPS.items()}

    return scenario(etl(), len(uses), work)


def test_a_volume_that_grows_says_until_when_it_holds_and_gets_a_size() -> None:
    of = SCENARIOS["volume-size"]()
    (fill,) = volume_fills(of.analysis())
    assert (fill.claim, fill.steps, fill.runs, fill.shared) == ("warehouse", ("load",), 42, True)
    assert fill.growth is not None
    assert fill.growth.likely == pytest.approx(180 * MI, rel=1e-4)  # three runs a day
    last = of.runs[-1].steps[-1].finished
    assert fill.full is not None
    assert last is not None
    assert fill.full.likely == pytest.approx(last + GI / (180 * MI) * DAY, abs=3600)
    item = of.one("volume-size")
    assert item.action == "Enlarge PersistentVolumeClaim warehouse: 10Gi -> 15Gi (90% used)"
    assert "95% CI" not in item.because  # its ends are the same minute
    assert item.failures_avoided is not None
    assert item.failures_avoided.likely == pytest.approx(
        1 - (last + GI / (180 * MI) * DAY - NOW) / (30 * DAY), abs=0.002
    )
    assert item.impact.failed_runs is not None
    low, likely, high = item.impact.failed_runs.low, item.impact.failed_runs.likely, item.impact.failed_runs.high
    assert low <= likely - 1 < likely + 1 <= high  # whole runs: where the next one falls is not known
    assert item.severity is Severity.HIGH  # about 73 runs of the next month begin with the volume full
    assert item.how.startswith("kubectl -n demo patch persistentvolumeclaim warehouse --type=merge -p ")
    line = next(s for s in sentences(insights(of.analysis()), 42) if s.startswith("Volume "))
    assert line.startswith(
        "Volume warehouse: 9Gi of 10Gi used (90%), mounted by load; grows by 180Mi a day, full around "
    )


def test_growth_that_was_next_to_nothing_at_first_has_an_end_that_can_be_written() -> None:
    """A few bytes a run for two days, then 0.8 GiB: at the low end it would be full in millions of years."""
    used = [2 * GI + 10.0 * i for i in range(6)] + [2 * GI + 0.8 * GI * i for i in range(1, 6)]
    made = mounting(*[VolumeUse("data", size, 10 * GI) for size in used])
    (fill,) = volume_fills(made.analysis())
    assert fill.full is not None
    assert iso(fill.full.high) == "9999-12-31T23:59:59Z"
    assert "is full around 20" in made.one("volume-size").because


@pytest.mark.parametrize("ago", [6, 12, 24])
def test_growth_is_that_since_it_changed(ago: int) -> None:
    """Three runs a day, until some days ago 0.1 GiB each: then nothing, as where old files are deleted, or thrice that."""
    noises = [0.004 * GI * ((7 * i) % 5 - 2) for i in range(42)]
    grown = [6 * GI + 0.1 * GI * min(0, i - 42 + ago) + noises[i] for i in range(42)]
    flat = mounting(*[VolumeUse("data", used, 8 * GI) for used in grown])
    assert [fill.full for fill in volume_fills(flat.analysis())] == [None]
    faster = [used + 0.3 * GI * max(0, i - 42 + ago) for i, used in enumerate(grown)]
    (fill,) = volume_fills(mounting(*[VolumeUse("data", used, 16 * GI) for used in faster]).analysis())
    assert fill.growth is not None
    assert fill.growth.likely == pytest.approx(0.9 * GI, rel=0.05)


def test_a_volume_that_grows_by_large_imports_grows_in_between() -> None:
    """3 GiB each on the third and the eighth day of two weeks."""
    sizes = [GI * (2 + 3 * (i >= 6) + 3 * (i >= 21) + 0.004 * ((7 * i) % 5 - 2)) for i in range(42)]
    made = mounting(*[VolumeUse("lake", used, 12 * GI) for used in sizes])
    (fill,) = volume_fills(made.analysis())
    assert fill.growth is not None and fill.growth.likely == pytest.approx(6 / 14 * GI, rel=0.1)


def test_a_cache_that_fills_more_and_more_slowly_is_not_full_soon() -> None:
    """To 70% of the volume, by a time constant of four days."""
    used = [7 * GI * (1 - math.exp(-i / 12)) for i in range(42)]
    made = mounting(*[VolumeUse("cache", size, 10 * GI) for size in used])
    (fill,) = volume_fills(made.analysis())
    assert fill.growth is not None and fill.growth.likely < 0.25 * GI
    assert made.recommended("volume-size") == []


def test_a_volume_that_is_only_nearly_full_promises_no_date() -> None:
    item = mounting(*[VolumeUse("data", 8.8 * GI, 10 * GI)] * 10).one("volume-size")
    assert "full around" not in item.because
    assert item.proposed == "13Gi"
    assert item.expected == "68% of it used"
    assert item.failures_avoided is None
    assert (item.severity, item.minor) == (Severity.LOW, False)


def test_a_claim_far_too_large_is_replaced_at_its_price() -> None:
    item = mounting(*[VolumeUse("data", (6 + i % 2) * GI, 200 * GI) for i in range(12)]).one("volume-size")
    assert item.action == "Replace PersistentVolumeClaim data with a smaller one: 200Gi -> 10Gi (4% used at most)"
    assert item.category is Category.COST
    assert item.saving_per_month is not None and item.saving_per_month.likely == pytest.approx(190 * 0.08)
    least, most = 200 - 10 / (7 / 0.85) * 10, 200 - 7 / 0.85  # 85% used by the fullest run, and larger by as much
    assert (item.saving_per_month.low, item.saving_per_month.high) == pytest.approx((least * 0.08, most * 0.08))
    assert item.expected == "190Gi less (15.2 USD a month); no impact on run duration"
    assert any("create one of 10Gi with the same StorageClass" in line for line in item.evidence)
    assert (item.severity, item.minor) == (Severity.LOW, False)


def test_a_smaller_claim_has_room_for_its_fullest_run_and_for_growth() -> None:
    once = [VolumeUse("data", (50 if i == 2 else 6) * GI, 200 * GI) for i in range(12)]
    assert mounting(*once).recommended("volume-size") == []  # 72Gi are needed
    grows = [VolumeUse("data", 6 * GI + i * 100 * MI, 200 * GI) for i in range(12)]
    item = mounting(*grows).one("volume-size")
    assert item.proposed == "34Gi"  # three runs a day for 90 days


def test_of_claims_that_runs_make_the_template_gets_the_size_and_costs_while_runs_last() -> None:
    of = mounting(*[VolumeUse(f"run-{i}-work", 5 * GI, 500 * GI) for i in range(12)])
    item = of.one("volume-size")
    assert item.proposed == "8Gi"
    assert any("volumeClaimTemplates to 8Gi" in line for line in item.evidence)
    assert item.saving_per_month is not None
    hours = 90 * sum(r.makespan or 0.0 for r in of.runs) / len(of.runs) / 3600  # three runs a day
    assert item.saving_per_month.likely == pytest.approx(492 * 0.08 * hours / 720, rel=0.1)


def test_without_a_price_of_volumes_the_gib_are_minor() -> None:
    of = mounting(*[VolumeUse("data", 6 * GI, 200 * GI)] * 12)
    item = replace(of, pricing=Pricing(volume_gib_month=0.0)).one("volume-size")
    assert item.expected == "191Gi less; no impact on run duration"
    assert (item.saving_per_month, item.minor) == (None, True)


def test_silence_for_a_volume_with_room_that_does_not_grow() -> None:
    assert mounting(*[VolumeUse("data", 5 * GI, 10 * GI)] * 10).recommended("volume-size") == []
    slow = [VolumeUse("data", 5 * GI + i * MI, 10 * GI) for i in range(20)]
    assert mounting(*slow).recommended("volume-size") == []


def _cleaned(every: float, first: float, peak: float) -> list[VolumeUse]:
    """42 runs of 14 days. The claim is emptied to 25Gi ``every`` so many days, ``first`` days before the first run."""
    days = [(i / 3 + first) % every for i in range(42)]
    return [VolumeUse("scratch", (25 + (peak - 25) * day / every) * GI, 100 * GI) for day in days]


@pytest.mark.parametrize(("every", "first"), [(7.0, 6.0), (10.0, 6.0), (13.5, 13.0)])
def test_a_claim_that_is_cleaned_up_does_not_fill(every: float, first: float) -> None:
    of = mounting(*_cleaned(every, first, 74))
    (fill,) = volume_fills(of.analysis())
    assert (fill.growth, fill.full) == (None, None)
    assert of.recommended("volume-size") == []


@pytest.mark.parametrize(
    "days", [(0, 1.5, 3, 5, 6.5, 0.5, 2, 3.5, 5, 6.9), (2, 4, 6, 0.5, 2.5, 4.5, 6.5, 1, 3, 5, 6.8)]
)
def test_few_runs_show_that_a_claim_is_cleaned_up(days: tuple[float, ...]) -> None:
    """Emptied weekly: more is used at the end than at the beginning, but it grows faster than that between runs."""
    uses = [VolumeUse("scratch", (20 + 8 * day) * GI, 100 * GI) for day in days]
    (fill,) = volume_fills(mounting(*uses).analysis())
    assert (fill.growth, fill.full) == (None, None)


@pytest.mark.parametrize("first", [0, 6])
def test_a_claim_of_which_the_oldest_files_are_deleted_over_two_days_does_not_fill(first: int) -> None:
    """Each week, a part after each run; two weeks may begin and end anywhere in one."""
    days = [(i / 3 + first) % 7 for i in range(42)]
    uses = [VolumeUse("data", (20 + 8 * (day if day < 5 else 2.5 * (7 - day))) * GI, 100 * GI) for day in days]
    (fill,) = volume_fills(mounting(*uses).analysis())
    assert (fill.growth, fill.full) == (None, None)


def test_a_claim_that_no_run_has_seen_since_is_not_full_before_now() -> None:
    uses = [VolumeUse("data", (50 + 4 * i) * GI, 100 * GI) for i in range(12)]
    old = mounting(*uses)
    runs = tuple(
        replace(r, start=r.start - 8 * DAY, end=r.end - 8 * DAY, steps=tuple(_earlier(e, 8 * DAY) for e in r.steps))
        for r in old.runs
    )
    (fill,) = volume_fills(replace(old, runs=runs).analysis())
    assert fill.full is not None
    assert fill.full.low == fill.full.likely == NOW


def _earlier(e: StepExecution, by: float) -> StepExecution:
    times = ("ready", "created", "scheduled", "started", "finished")
    return replace(e, **{name: None if getattr(e, name) is None else getattr(e, name) - by for name in times})


def test_a_claim_that_is_nearly_full_before_its_cleanup_is_enlarged_without_a_date() -> None:
    item = mounting(*_cleaned(7, 6, 100)).one("volume-size")
    assert "full around" not in item.because
    assert item.failures_avoided is None


@pytest.mark.parametrize(
    "besides",
    [
        pytest.param(lambda i: 20 * GI * (i == 20), id="temporary files of one run"),
        pytest.param(lambda i: 16 * GI * (i * 0.618 % 1), id="runs that differ"),
        pytest.param(lambda i: 15 * GI * (i % 3), id="each day's first run deletes much of the day before"),
    ],
)
def test_a_claim_that_grows_in_spite_of_what_is_deleted_fills(besides: Callable[[int], float]) -> None:
    uses = [VolumeUse("data", (52 + i * 2 / 3) * GI + besides(i), 100 * GI) for i in range(42)]
    (fill,) = volume_fills(mounting(*uses).analysis())
    assert fill.growth is not None
    assert fill.growth.likely == pytest.approx(2 * GI, rel=0.1)
    assert "full around" in mounting(*uses).one("volume-size").because


@pytest.mark.parametrize(("moved", "claims"), [(20, ["data-2"]), (37, ["data-2"]), (39, ["data", "data-2"])])
def test_a_claim_that_another_one_replaced_is_no_longer_full(moved: int, claims: list[str]) -> None:
    full, roomy = VolumeUse("data", 19 * GI, 20 * GI), VolumeUse("data-2", 19 * GI, 40 * GI)
    made = mounting(*(full if i < moved else roomy for i in range(40)))
    assert sorted(f.claim for f in volume_fills(made.analysis())) == claims
    assert [r.id for r in made.recommended("volume-size")] == [f"volume-size.{c}" for c in claims if c == "data"]


def test_a_claim_that_was_enlarged_is_measured_against_what_it_holds_now() -> None:
    rows = [*[VolumeUse("data", 9 * GI, 10 * GI)] * 10, *[VolumeUse("data", 9 * GI, 20 * GI)] * 2]
    assert mounting(*rows).recommended("volume-size") == []


def test_claims_that_runs_make_are_one_volume_and_have_no_command() -> None:
    rows = [VolumeUse(f"run-{i}-work", (9.5 if i == 3 else 5) * GI, 10 * GI) for i in range(12)]
    of = mounting(*rows)
    (fill,) = volume_fills(of.analysis())
    assert (fill.claim, fill.shared, fill.runs) == ("work", False, 12)
    assert fill.share == pytest.approx(0.95)
    item = of.one("volume-size")
    assert item.how.startswith("kubectl concertmaster explain ")
    assert any("volumeClaimTemplates" in line for line in item.evidence)


def test_what_a_pod_used_is_kept_in_the_history_and_joined_by_its_maximum() -> None:
    fact = PodFact("demo", "a-1", "uid", volumes=(VolumeUse("data", 1.0, 10.0), VolumeUse("tmp", 3.0, 4.0)))
    more = replace(fact, volumes=(VolumeUse("data", 2.0, 10.0),))
    (merged,) = merge_facts([fact, more])
    assert merged.volumes == (VolumeUse("data", 2.0, 10.0), VolumeUse("tmp", 3.0, 4.0))
    known = execution(merged, "load", None)
    assert known.volumes == merged.volumes
    assert decode_executions(encode_executions([known])) == [known]
    bare = replace(known, volumes=())
    assert decode_executions(encode_executions([bare])) == [bare]


def test_temporary_files_of_several_steps_of_each_run_are_no_cleanup() -> None:
    """Six steps mount a claim that grows by 30Gi, and two of them hold 35Gi more while the run lasts."""
    held = {"a": 0, "b": 0, "c": 35, "d": 35, "e": 0, "f": 0}

    def work(i: int) -> dict[str, Pod]:
        return {
            name: Pod(60.0, volumes=(VolumeUse("data", (20 + 30 * i / 42 + more) * GI, 200 * GI),))
            for name, more in held.items()
        }

    of = argo(task("a"), *(task(name, before) for before, name in pairwise("abcdef")))
    (fill,) = volume_fills(scenario(of, 42, work).analysis())
    assert fill.growth is not None
    assert fill.growth.likely / GI == pytest.approx(30 / 14, rel=0.2)
