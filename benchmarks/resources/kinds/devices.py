"""GPUs, ephemeral storage and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.graphs.draws import Rng
from benchmarks.resources.law import DISK, GI, GPU, Container, Flow, Gpus, Step, Volume
from benchmarks.resources.plant import FAILURES, MONEY, Kind, Plant, changed, daily, flow, healthy, killed_twice, since
from benchmarks.resources.simulation import Run


def _gpus(rng: Rng, name: str, gpus: Gpus, least: int = 12) -> Flow:
    own = Container(gpus=gpus).limited(**{GPU: 4.0})
    return flow(rng, name, (Step("load"), Step("train", (own,), seconds=2400.0)), least)


def _held(now: Flow, count: int, gpus: Gpus | None = None) -> Step:
    own = now.step("train")
    main = own.container("main")
    limits = {GPU: float(count)} if count else {}
    return own.having("main", replace(main, limits=limits, gpus=gpus or main.gpus))


def gpus_freed_by_a_model(rng: Rng, name: str) -> Plant:
    """A model of the last days needs one GPU where the one before needed four."""
    now = _gpus(rng, name, Gpus(1, 0.8), 28)
    now = changed(rng, now, now.steps[0], _held(now, 4, Gpus(4, 0.8, 4)))
    fixed = now.having(_held(now, 1))
    return Plant(now, fixed, ("gpu-request",), "train", "main", MONEY, shown=since(now.changed))


def gpus_needed_at_times(rng: Rng, name: str) -> Plant:
    """One run in five to fifteen uses all four GPUs, the others two."""
    return healthy(_gpus(rng, name, Gpus(2, 0.8, 4, float(rng.uniform(0.07, 0.2))), 40))


def gpus_raised(rng: Rng, name: str) -> Plant:
    """GPUs were raised from one to four within the window, and all are used."""
    now = _gpus(rng, name, Gpus(4, 0.7, 4))
    return healthy(changed(rng, now, now.steps[0], _held(now, 1)))


def gpus_removed(rng: Rng, name: str) -> Plant:
    """A step that had four idle GPUs has none any more."""
    now = _gpus(rng, name, Gpus(0, 0.0, 0))
    return healthy(changed(rng, now.having(_held(now, 0)), *now.steps))


def _disk(rng: Rng, name: str, used: float, request: float, limit: float | None) -> Flow:
    own = Container(disk=used).asking(**{DISK: request})
    own = own if limit is None else own.limited(**{DISK: limit})
    made = flow(rng, name, (Step("load"), Step("sort", (own,), seconds=1200.0)), 20, 90)
    return replace(made, live=True)


def _enough_disk(now: Flow, request: float, limit: float | None) -> Flow:
    own = now.step("sort")
    main = own.container("main")
    main = replace(main, requests={**main.requests, DISK: request}, limits={} if limit is None else {DISK: limit})
    return now.having(own.having("main", main))


def disk_evictions(rng: Rng, name: str) -> Plant:
    """The limit of ephemeral storage evicts one run in six."""
    used = float(rng.integers(2, 12)) * GI
    now = _disk(rng, name, used, used, 1.1 * used)
    fixed = _enough_disk(now, 1.6 * used, 1.6 * used)
    return Plant(
        now, fixed, ("right-size",), "sort", "main", FAILURES,
        also=("failing-step", "retry-policy", "objective-at-risk"), shown=killed_twice("sort"),
    )  # fmt: skip


def disk_fits(rng: Rng, name: str) -> Plant:
    """A request and a limit of ephemeral storage with room for every run."""
    used = float(rng.integers(2, 12)) * GI
    return healthy(_disk(rng, name, used, 1.6 * used, 2 * used))


def _volume(rng: Rng, name: str, volume: Volume) -> Flow:
    return daily(rng, name, (Step("load"), Step("store", volume=volume)), 4)


def _sized(now: Flow, capacity: float, **law: object) -> Flow:
    own = now.step("store")
    assert own.volume is not None
    return now.having(replace(own, volume=replace(own.volume, capacity=capacity, **law)))  # type: ignore[arg-type]


def _alive(runs: Sequence[Run]) -> bool:
    return not any(run.failed for run in runs)


def volume_fills(rng: Rng, name: str) -> Plant:
    """A volume is full within two weeks at its steady growth, and then every run fails."""
    capacity, days = float(rng.choice([50, 200])) * GI, float(rng.uniform(3, 11))
    growth = capacity * float(rng.uniform(0.01, 0.03))
    noise = 0.3 * growth
    now = _volume(rng, name, Volume("data", capacity, capacity - growth * days, growth, noise))
    plant = Plant(now, _sized(now, 3 * capacity), ("volume-size",), "store", None, FAILURES, shown=_alive)
    return replace(plant, note=f"full in {days:.0f} days")


def volume_replaced(rng: Rng, name: str) -> Plant:
    """A nearly full volume was replaced with one of three times the size within the window."""
    capacity = float(rng.choice([50, 200])) * GI
    used = 0.93 * capacity
    now = _volume(rng, name, Volume("data-2", 3 * capacity, used, noise=0.002 * capacity))
    old = replace(now.step("store"), volume=Volume("data", capacity, used, noise=0.002 * capacity))
    return healthy(changed(rng, now, now.steps[0], old))


def volume_replaced_by_a_small_one(rng: Rng, name: str) -> Plant:
    """A large volume was replaced with one that is full within two weeks."""
    capacity = float(rng.choice([50, 200])) * GI
    growth = 0.02 * capacity
    now = _volume(
        rng, name, Volume("data-2", capacity, capacity - growth * float(rng.uniform(3, 8)), growth, 0.1 * growth)
    )
    old = replace(now.step("store"), volume=Volume("data", 8 * capacity, capacity))
    plant = Plant(now, _sized(now, 3 * capacity), ("volume-size",), "store", None, FAILURES, shown=_alive)
    return replace(plant, flow=replace(now, before=(now.steps[0], old), changed=float(rng.uniform(6, 10))))


def volume_far_too_large(rng: Rng, name: str) -> Plant:
    """A volume of which 2 to 10% are used."""
    capacity = float(rng.choice([200, 1000])) * GI
    used = capacity * float(rng.uniform(0.02, 0.1))
    now = _volume(rng, name, Volume("data", capacity, used, noise=0.05 * used))
    return Plant(now, _sized(now, used * 1.5), ("volume-size",), "store", None, MONEY)


def volume_emptied_twice_a_month(rng: Rng, name: str) -> Plant:
    """A volume that fills to 80% in ten days and is emptied then."""
    capacity = 100 * GI
    now = _volume(rng, name, Volume("data", capacity, 0.8 * capacity, 0.06 * capacity, 0.005 * capacity, emptied=10.0))
    return healthy(now)


KINDS: tuple[Kind, ...] = (
    gpus_freed_by_a_model, gpus_needed_at_times, gpus_raised, gpus_removed, disk_evictions, disk_fits, volume_fills,
    volume_replaced, volume_replaced_by_a_small_one, volume_far_too_large, volume_emptied_twice_a_month,
)  # fmt: skip
