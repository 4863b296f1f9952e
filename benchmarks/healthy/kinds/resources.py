"""Requests, limits and volumes that are as they should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.healthy.law import DAY, GI, HOUR, WINDOW, Flow, Kind, Rng, Run, Step, Volume, in_sequence
from benchmarks.healthy.starts import at_random, every, few


def _throttled(share: float) -> Flow:
    steps = in_sequence(Step("load", 300, 0.15), Step("solve", 600, 0.15))
    steps = tuple(replace(step, cpu_limit=1.2, throttled=share) for step in steps)
    return Flow("throttled", steps, at_random(10))


def throttled_a_little(rng: Rng) -> Flow:
    """Short bursts against a CPU limit: 13% of the periods, while 60% of the limit is used."""
    return _throttled(0.13)


def throttled_hardly(rng: Rng) -> Flow:
    """Short bursts against a CPU limit: 8% of the periods."""
    return _throttled(0.08)


def _calling(request: float, used: float, network: float) -> Flow:
    call = Step("call", 400, 0.2, cpu_request=request, cpu_used=used, network=network, disk_wait=0.03)
    return Flow("calling", in_sequence(Step("load", 300, 0.15), replace(call, memory_request=GI / 8)), at_random(10))


def calls_of_an_interface(rng: Rng) -> Flow:
    """A step that mostly waits for the answers of an interface, and has requests for that."""
    return _calling(0.2, 0.7, 3e6)


def download(rng: Rng) -> Flow:
    """A step that downloads 10 GB with a request of 0.3 cores."""
    made = _calling(0.3, 0.67, 2.5e7)
    return replace(made, true={"io-bound": "half of the run is spent downloading"})


def training_on_a_gpu(rng: Rng) -> Flow:
    """A step that trains on a GPU that is busy for four fifths of the time, and needs a twentieth of a core for that."""
    train = Step("train", 2400, 0.2, cpu_request=0.1, cpu_used=0.6, gpus=1, gpu_used=0.8)
    return Flow("learning", in_sequence(Step("load", 300, 0.15), train), at_random(10))


def _heap(used: float) -> Flow:
    load = Step("load", 300, 0.15, memory_request=2 * GI, memory_limit=2 * GI, memory_used=used, memory_spread=0.01)
    return Flow("heap", in_sequence(load, Step("store", 400, 0.15)), at_random(10))


def heap_of_92_percent(rng: Rng) -> Flow:
    """A Java heap with a fixed maximum: 92% of the limit, and never more."""
    return _heap(0.92)


def heap_of_96_percent(rng: Rng) -> Flow:
    """A Java heap with a fixed maximum: 96% of the limit, and never more."""
    return _heap(0.96)


def more_cpu_than_requested(rng: Rng) -> Flow:
    """Steps without CPU limits that use 40% more than they request, where nodes have it."""
    steps = in_sequence(Step("load", 300, 0.15), Step("store", 400, 0.15))
    return Flow("bursting", tuple(replace(step, cpu_request=0.5, cpu_used=1.4) for step in steps), at_random(10))


def _writing(used: Callable[[Run], float]) -> Flow:
    steps = in_sequence(Step("load", 300, 0.2), Step("write", 500, 0.2, volume=Volume("scratch", used)))
    return Flow("writing", steps, every(4 * HOUR), "cron", "0 */4 * * *")


def emptied_weekly(rng: Rng) -> Flow:
    """A volume that fills by 7% a day and is emptied every Monday."""

    def used(run: Run) -> float:
        days = (run.start / DAY + 3) % 7
        return 0.25 + 0.07 * days + float(run.rng.normal(0.0, 0.006))

    return _writing(used)


def emptied_monthly(rng: Rng) -> Flow:
    """A volume that fills by 1.7% a day and is emptied on the first of each month."""
    return _writing(lambda run: 0.2 + 0.017 * run.day_of_month + float(run.rng.normal(0.0, 0.006)))


def _cache(rng: Rng, memory: float, noise: float) -> Flow:
    """A cache whose use wanders between 30 and 84%: the deviation from 60% keeps the share ``memory`` from run to run."""
    deviations = [0.0]
    for shock in rng.normal(0.0, noise, int(WINDOW / (4 * HOUR)) + 1):
        deviations.append(deviations[-1] * memory + float(shock))
    return _writing(lambda run: min(0.84, max(0.3, 0.6 + deviations[run.number])))


def cache_that_wanders(rng: Rng) -> Flow:
    """A cache that is used more in some weeks than in others, within bounds."""
    return _cache(rng, 0.985, 0.012)


def cache_that_wanders_quickly(rng: Rng) -> Flow:
    """A cache that is used more on some days than on others, within bounds."""
    return _cache(rng, 0.95, 0.02)


def cache_with_a_bound(rng: Rng) -> Flow:
    """A cache that evicts its oldest entries at 88% of the volume, as it is set up to."""
    made = _writing(lambda run: 0.88 + float(run.rng.normal(0.0, 0.004)))
    return replace(made, hidden={"volume-size": "that the cache keeps to this level"})


def volume_seldom_used(rng: Rng) -> Flow:
    """A volume of which half is used, seen in seven runs."""
    made = _writing(lambda run: 0.5 + float(np.clip(run.rng.normal(0.0, 0.03), -0.1, 0.1)))
    return replace(made, engine="argo", schedule=None, starts=few(7, 7))


KINDS: tuple[Kind, ...] = (
    throttled_a_little, throttled_hardly, calls_of_an_interface, download, training_on_a_gpu, heap_of_92_percent,
    heap_of_96_percent, more_cpu_than_requested, emptied_weekly, emptied_monthly, cache_that_wanders,
    cache_that_wanders_quickly, cache_with_a_bound, volume_seldom_used,
)  # fmt: skip
