"""Planted problems of run time."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.advice.law import DAY, HOUR, Sidecar
from benchmarks.advice.numbers import sized, slower, stated, within
from benchmarks.advice.plant import Flow, Kind, Plant, Rng, chain_seconds, wide
from benchmarks.advice.pods import gamma
from concertmaster.core.model.policy import Objectives, Policy, Quantiles

MINUTES = "run_minutes"


def throttled(rng: Rng, flow: Flow) -> Plant:
    """A CPU limit below what the step could use."""
    own = flow.step("transform")
    flow = flow.having("transform", seconds=max(300.0, own.seconds))  # shorter, less than 5% of the run is lost
    limit = round(own.cpu * float(rng.uniform(0.5, 0.75)), 2)
    bad = flow.having("transform", cpu_limit=limit, cpu_request=min(own.cpu_request, limit))
    number = sized("transform", "limits.cpu", limit * 1.2, own.cpu * 1.8)
    return Plant(
        "throttled", bad, flow, ("cpu-request",), "transform", MINUTES, also=("degradation",), number=number, bound=True
    )


def starved(rng: Rng, flow: Flow) -> Plant:
    """Full nodes and a far too small request: the step waits for CPU."""
    own = flow.step("transform")
    share = float(rng.uniform(0.3, 0.45))
    bad = flow.having("transform", waits_cpu=share, cpu_request=round(own.cpu * (1 - share) * 0.4, 2))
    number = sized("transform", "requests.cpu", own.cpu * 0.8, own.cpu * 1.8)
    return Plant(
        "starved", bad, flow, ("cpu-request",), "transform", MINUTES, also=("right-size",), number=number, bound=True
    )


def narrow(rng: Rng, flow: Flow) -> Plant:
    """Too low a parallelism."""
    items = int(rng.integers(10, 24))
    mended = wide(flow, items)
    bad = replace(mended, parallelism=int(rng.integers(2, 4)))
    number = stated(r"parallelism of \S+ \d+ -> (\d+)", items / 2, items)
    return Plant("parallelism-low", bad, mended, ("parallelism",), None, MINUTES, number=number)


def crowded(rng: Rng, flow: Flow) -> Plant:
    """Many parallel pods on nodes with room for few."""
    flow = wide(flow, int(rng.integers(16, 28)), seconds=120.0)
    bad = replace(flow, capacity=int(rng.integers(3, 5)))
    also = ("straggler", "split-long-step")
    return Plant("crowded", bad, flow, ("parallelism", "queue-time"), None, MINUTES, also=also, bound=True)


def degraded(rng: Rng, flow: Flow) -> Plant:
    """One step that is slower since a certain date."""
    days, factor = float(rng.uniform(3, 9)), float(rng.uniform(1.5, 2.2))
    flow = flow.having("transform", seconds=600.0)
    bad = flow.having("transform", since=days, factor=factor)
    also, number = ("split-long-step",), slower("transform", factor)
    return Plant("degraded", bad, flow, ("degradation",), "transform", MINUTES, also=also, number=number)


def straggler(rng: Rng, flow: Flow) -> Plant:
    """One item of a fan-out that takes a multiple of the others."""
    flow = wide(flow, int(rng.integers(6, 12)))
    bad = flow.having("transform", uneven=float(rng.uniform(2.5, 4)))
    mended = flow.having("transform", uneven=1.25)
    number = within(r"takes ([\d.]+) times as long", bad.step("transform").uneven, 0.2)
    return Plant("straggler", bad, mended, ("straggler",), "transform", MINUTES, number=number)


def slow_node(rng: Rng, flow: Flow) -> Plant:
    """One node that is much slower than the others."""
    flow = wide(flow, int(rng.integers(5, 9)))
    bad = replace(flow, slow_nodes=1, nodes=5, slow_factor=float(rng.uniform(1.6, 2.0)))
    number, also = within(r"take (\d+%) longer there", bad.slow_factor - 1.0, 0.2), ("straggler", "variance")
    return Plant(
        "slow-node", bad, replace(bad, slow_factor=1.0), ("node-skew",), None, MINUTES, also=also, number=number
    )


def locked(rng: Rng, flow: Flow) -> Plant:
    """Two branches that alternate on one mutex."""
    flow = replace(flow, engine="argo").having("validate", seconds=500.0).having("enrich", seconds=520.0)
    bad = flow.having("validate", lock="db").having("enrich", lock="db")
    return Plant("lock", bad, flow, ("queue-time", "bottleneck", "parallelism", "lock-wait"), None, MINUTES, bound=True)


def pending(rng: Rng, flow: Flow) -> Plant:
    """Pods that wait for nodes for minutes."""
    wait = float(rng.uniform(120, 260))
    bad = replace(flow, steps=tuple(replace(s, wait=wait) for s in flow.steps))
    number, also = within(r"(\w+) per run, is waiting", 4 * wait, 0.2), ("batch-small-steps",)
    return Plant("pending", bad, flow, ("queue-time",), None, MINUTES, also=also, number=number, bound=True)


def pulling(rng: Rng, flow: Flow) -> Plant:
    """Large images that are pulled repeatedly."""
    start = float(rng.uniform(90, 180))
    bad = replace(flow, steps=tuple(replace(s, start=start) for s in flow.steps))
    number, also = within(r"(\w+) per run, is pulling", 4 * start, 0.2), ("batch-small-steps",)
    return Plant("image-pull", bad, flow, ("queue-time",), None, MINUTES, also=also, number=number, bound=True)


def cacheable(rng: Rng, flow: Flow) -> Plant:
    """A step that repeats the same computation."""
    flow = replace(flow, engine="argo", noise=0.03).having("extract", seconds=900.0, keys=int(rng.integers(4, 9)))
    hit = 1 - flow.step("extract").keys / (14 * DAY / flow.every)
    mended = flow.having("extract", seconds=900.0 * (1 - hit))
    number, also = within(r"an earlier one[a-z ]*, (\d+%)", hit, 0.05), ("split-long-step",)
    return Plant("cacheable", flow, mended, ("cache-step",), "extract", MINUTES, also=also, number=number)


def false_edge(rng: Rng, flow: Flow) -> Plant:
    """Two steps in sequence without need."""
    flow = replace(flow, engine=str(rng.choice(["argo", "tekton"])))
    flow = flow.having("enrich", seconds=600.0).having("validate", seconds=550.0)
    bad = flow.having("enrich", after=("validate", "transform"), loose=("validate",))
    return Plant("false-edge", bad, flow, ("parallel-steps",), "enrich", MINUTES)


def tiny_items(rng: Rng, flow: Flow) -> Plant:
    """A fan-out of pods that take longer to start than to work, with low parallelism."""
    flow = replace(wide(flow, int(rng.integers(24, 40)), seconds=5.0, start=25.0), parallelism=4)
    cv = flow.step("transform").cv / 8**0.5  # of eight items each
    mended = flow.having("transform", items=4, seconds=40.0, cv=cv)
    number, also = stated(r"1 -> (\d+) per pod", 4, 12), ("parallelism", "queue-time")
    return Plant("tiny-items", flow, mended, ("batch-small-steps",), "transform", MINUTES, also=also, number=number)


def tiny_chain(rng: Rng, flow: Flow) -> Plant:
    """A sequence of small steps, each in its own pod."""
    names = ["a", "b", "c", "d"]
    steps = tuple(
        replace(flow.steps[0], name=n, after=(names[i - 1],) if i else (), seconds=float(rng.uniform(4, 9)), start=30.0)
        for i, n in enumerate(names)
    )
    last = replace(flow.step("load"), after=("d",), seconds=90.0)
    bad = replace(flow, steps=(*steps, last), every=HOUR)
    mended = replace(bad, steps=(replace(steps[0], seconds=sum(s.seconds for s in steps), name="d"), last))
    return Plant("tiny-chain", bad, mended, ("batch-small-steps",), "a", MINUTES, also=("queue-time",))


def long_step(rng: Rng, flow: Flow) -> Plant:
    """One busy pod that accounts for most of the run."""
    flow = flow.having("transform", seconds=float(rng.uniform(4000, 6000)), cpu=0.95, cpu_request=1.15)
    mended = flow.having("transform", seconds=flow.step("transform").seconds / 4)
    policy = Policy(objectives=Objectives(duration=Quantiles(p95=chain_seconds(flow) * 0.7)))
    also = ("bottleneck", "parallel-steps")
    return Plant(
        "long-step", flow, mended, ("split-long-step",), "transform", MINUTES, also=also, policy=policy, bound=True
    )


def late_sidecar(rng: Rng, flow: Flow) -> Plant:
    """A sidecar that outlives its step."""
    flow = replace(flow, engine="argo")
    steps = tuple(replace(s, sidecar=Sidecar(cpu_request=0.06), sidecar_late=90.0) for s in flow.steps)
    mended = tuple(replace(s, sidecar_late=0.0) for s in steps)
    bad, good = replace(flow, steps=steps), replace(flow, steps=mended)
    number = within(r"alive (\w+) after", 90.0, 0.1)
    return Plant("sidecar-late", bad, good, ("sidecar-overhead",), None, MINUTES, number=number)


def varying(rng: Rng, flow: Flow) -> Plant:
    """A step with an unpredictable duration."""
    flow = flow.having("transform", seconds=700.0)
    cv = float(rng.uniform(0.8, 1.1))
    bad = flow.having("transform", cv=cv)
    mended = flow.having("transform", seconds=700.0 * gamma(cv, 0.0))
    return Plant(
        "variance", bad, mended, ("variance",), "transform", MINUTES, also=("timeout", "split-long-step"), bound=True
    )


def now_and_then(rng: Rng, flow: Flow) -> Plant:
    """A step that takes a multiple of its usual time in some runs."""
    flow = flow.having("transform", seconds=400.0)
    often, factor = float(rng.uniform(0.22, 0.32)), float(rng.uniform(3.5, 5))
    bad = flow.having("transform", hang=often, hang_seconds=400.0 * factor)
    also = ("timeout",)
    return Plant("slow-at-times", bad, flow, ("variance",), "transform", MINUTES, also=also, bound=True)


def io_bound(rng: Rng, flow: Flow) -> Plant:
    """A step that is stalled on disk I/O."""
    share = float(rng.uniform(0.5, 0.7))
    flow = flow.having("transform", seconds=900.0, cpu=0.15, cpu_request=0.2)
    bad = flow.having("transform", waits_io=share)
    mended = flow.having("transform", seconds=900.0 * (1 - share))
    number = within(r"stalled on the disk (\d+%)", share, 0.15)
    return Plant("io-bound", bad, mended, ("io-bound",), "transform", MINUTES, number=number, bound=True)


def barrier(rng: Rng, flow: Flow) -> Plant:
    """Two fan-outs over the same items with a barrier between them."""
    flow = replace(flow, engine="argo").having("extract", items=6, cv=0.4, seconds=800.0)
    bad = flow.having("transform", items=6, cv=0.4, seconds=750.0)
    mended = bad.having("transform", pipelined=True)
    also = ("straggler", "variance")
    return Plant("barrier", bad, mended, ("overlap-stages",), "transform", MINUTES, also=also, bound=True)


def clash(rng: Rng, flow: Flow) -> Plant:
    """A schedule that coincides with a large neighbour, and delays for nodes."""
    flow = replace(flow, engine="cron", every=DAY, begin=2 * HOUR, schedule="0 2 * * *")
    large = replace(flow.step("extract"), cpu=30.0, cpu_request=36.0, seconds=2400.0)
    neighbour = replace(flow, name=f"{flow.name}-big", seed=flow.seed + 1, steps=(large,))
    bad = replace(flow, busy=(2.0, 3.5, float(rng.uniform(400, 600))))
    also = ("queue-time",)
    number = stated(r"Start \S+ (\w+) later", 0.6 * 2400.0, 6 * HOUR)
    return Plant("clash", bad, flow, ("schedule-clash",), None, MINUTES, also, number, bound=True, others=(neighbour,))


KINDS: tuple[Kind, ...] = (
    throttled, starved, narrow, crowded, degraded, straggler, slow_node, locked, pending, pulling, cacheable, false_edge,
    tiny_items, tiny_chain, long_step, late_sidecar, varying, now_and_then, io_bound, barrier, clash,
)  # fmt: skip
