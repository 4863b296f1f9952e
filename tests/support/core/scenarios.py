"""One workflow per rule for which the rule fires: for its test, the example on its page, and the real API server."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from concertmaster.core.analysis.runs.figures import RunFigures
from concertmaster.core.model import ContainerFact, VolumeUse, WorkflowKey
from concertmaster.core.model.policy import Objectives, Pricing, Quantiles
from concertmaster.core.rules import Fleet, FleetMember, member
from concertmaster.core.schedules.timetable import Timetable
from tests.support.builders import DAY, MI, NOW, container
from tests.support.core.scenario_builder import (
    Manifest,
    Pod,
    Scenario,
    Work,
    argo,
    cron_job,
    define,
    noise,
    reads,
    scenario,
    simulate,
    task,
)

SCENARIOS: dict[str, Callable[[], Scenario]] = {}


def scenario_of(rule: str) -> Callable[[Callable[[], Scenario]], Callable[[], Scenario]]:
    """Register the scenario for which ``rule`` fires."""

    def register(make: Callable[[], Scenario]) -> Callable[[], Scenario]:
        SCENARIOS[rule] = make
        return make

    return register


@scenario_of("parallelism")
def parallelism() -> Scenario:
    """Eight searches of 100 s with a parallelism of two."""
    of = argo(
        task("split"),
        task("search", "split", withItems=list("abcdefgh")),
        task("join", "search"),
        templates={"main": {"parallelism": 2}},
    )
    value = noise()
    return scenario(of, 42, lambda _: {"split": value(20), "search": [value(100) for _ in range(8)], "join": value(30)})


@scenario_of("retry-policy")
def retry_policy() -> Scenario:
    """Every seventh fetch is evicted, without a retry."""
    of = argo(task("fetch"), task("load", "fetch"))
    value = noise()

    def work(i: int) -> Work:
        return {"fetch": Pod(value(120), fails="Evicted" if i % 7 == 3 else None), "load": value(60)}

    return scenario(of, 42, work)


STEPS = {"extract": 60.0, "transform": 300.0, "load": 30.0}


def etl(**templates: Manifest) -> Manifest:
    """Three steps in sequence."""
    return argo(task("extract"), task("transform", "extract"), task("load", "transform"), templates=templates)


def measured(**overrides: object) -> tuple[ContainerFact, ...]:
    """A container that uses its requests, except for the overrides."""
    return (container(**{"cpu_seconds": None, "cpu_sampled_seconds": None, **overrides}),)


def resources(**sections: dict[str, Any]) -> Manifest:
    """A template with these requests and limits."""
    return {"container": {"image": "registry.example/etl:1", "resources": sections}}


@scenario_of("bottleneck")
def bottleneck() -> Scenario:
    """One step takes most of the run."""
    value = noise()
    return scenario(etl(), 42, lambda _: {name: value(seconds) for name, seconds in STEPS.items()})


@scenario_of("right-size")
def right_size() -> Scenario:
    """One step never uses more than a fifth of its memory request, another one has no requests."""
    value, peak = noise(), noise(2, 0.1)

    def work(_: int) -> Work:
        facts = {
            "transform": measured(memory_sampled_peak=200 * MI * peak(1.0)),
            "load": measured(cpu_request=None, memory_request=None),
        }
        return {n: Pod(value(s), containers=facts.get(n, measured(memory_sampled_peak=960 * MI)))
                for n, s in STEPS.items()}  # fmt: skip

    return scenario(etl(load=resources()), 42, work)


@scenario_of("memory-request")
def memory_request() -> Scenario:
    """One step is OOM-killed in every seventh run."""
    limited = resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"memory": "1Gi"})
    value = noise()

    def work(i: int) -> Work:
        full = measured(memory_limit=1024 * MI, memory_sampled_peak=(1000 if i % 7 == 3 else 800) * MI)
        kill = Pod(value(200), containers=full, fails="OOMKilled")
        pods = {n: Pod(value(s), containers=measured(memory_sampled_peak=960 * MI)) for n, s in STEPS.items()}
        return pods | {"transform": kill if i % 7 == 3 else Pod(value(STEPS["transform"]), containers=full)}

    return scenario(etl(transform=limited), 42, work)


@scenario_of("cpu-request")
def cpu_request() -> Scenario:
    """The CPU limit of the longest step throttles it in 40% of the periods."""
    limited = resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"cpu": "1"})
    value = noise()

    def work(_: int) -> Work:
        throttled = measured(cpu_limit=1.0, throttled_share=0.4)
        return {n: Pod(value(s), containers=throttled if n == "transform" else measured()) for n, s in STEPS.items()}

    return scenario(etl(transform=limited), 42, work)


@scenario_of("degradation")
def degradation() -> Scenario:
    """A new image makes one step 1.4 times as slow from the 29th run on."""
    value = noise(spread=0.05)

    def work(i: int) -> Work:
        new = i >= 28
        facts = measured(image="registry.example/etl:2" if new else "registry.example/etl:1")
        slow = Pod(value(420 if new else 300), containers=facts)
        return {"extract": value(60), "transform": slow, "load": value(30)}

    return scenario(etl(), 42, work)


@scenario_of("data-quality")
def data_quality() -> Scenario:
    """Nine out of ten pods of a step are too short to be sampled."""
    value = noise()

    def work(i: int) -> Work:
        short = measured(memory_sampled_peak=None if i % 10 else 100 * MI, memory_kernel_peak=None)
        return {"extract": Pod(value(20), containers=short), "transform": value(60), "load": value(30)}

    return scenario(etl(), 42, work)


@scenario_of("timeout")
def timeout() -> Scenario:
    """One transform hung for three hours, without any time limit."""
    value = noise()

    def work(i: int) -> Work:
        return {
            "extract": value(60),
            "transform": Pod(10800, fails="Error") if i == 30 else value(300),
            "load": value(30),
        }

    return scenario(etl(), 42, work)


@scenario_of("straggler")
def straggler() -> Scenario:
    """The third of eight items always takes four times as long as the others."""
    of = argo(task("split"), task("search", "split", withItems=list("abcdefgh")), task("join", "search"))
    value = noise()

    def work(_: int) -> Work:
        return {
            "split": value(20),
            "search": [Pod(value(400 if k == 2 else 100), size=4e6 if k == 2 else 1e6) for k in range(8)],
            "join": value(30),
        }

    return scenario(of, 42, work)


@scenario_of("parallel-steps")
def parallel_steps() -> Scenario:
    """``audit`` depends on ``clean`` without reading its outputs."""
    of = argo(
        task("extract"),
        task("clean", "extract", **reads("extract")),
        task("audit", "clean", **reads("extract")),
        task("load", "clean", "audit", **reads("clean", "audit")),
    )
    value = noise()
    seconds = {"extract": 60, "clean": 200, "audit": 180, "load": 30}
    return scenario(of, 42, lambda _: {n: value(s) for n, s in seconds.items()})


@scenario_of("variance")
def variance() -> Scenario:
    """Every fifth transform takes five times as long, always on the same node."""
    value = noise()

    def work(i: int) -> Work:
        slow = i % 5 == 2
        pod = Pod(value(1000 if slow else 200), node="node-b-7" if slow else f"node-a-{i % 3}")
        return {"extract": value(60), "transform": pod, "load": value(30)}

    return scenario(etl(), 42, work)


@scenario_of("queue-time")
def queue_time() -> Scenario:
    """The longest step waits three minutes for a node."""
    value = noise()

    def work(_: int) -> Work:
        return {"extract": value(60), "transform": Pod(value(300), wait=value(180)), "load": value(30)}

    return scenario(etl(), 42, work)


@scenario_of("batch-small-steps")
def batch_small_steps() -> Scenario:
    """Sixteen items of 5 s with a parallelism of four, each with a startup of 20 s."""
    of = argo(task("check", withItems=list("abcdefghijklmnop")), templates={"main": {"parallelism": 4}})
    value = noise()
    return scenario(of, 42, lambda _: {"check": [Pod(value(5), wait=5.0, startup=15.0) for _ in range(16)]})


@scenario_of("cache-step")
def cache_step() -> Scenario:
    """A step whose input changes once a day runs three times a day."""
    keyed = {
        "inputs": {"parameters": [{"name": "day"}]},
        "outputs": {"parameters": [{"name": "model", "valueFrom": {"path": "/tmp/model"}}]},
    }
    day = {"parameters": [{"name": "day", "value": "{{workflow.creationTimestamp}}"}]}
    of = argo(task("fetch"), task("model", "fetch", arguments=day), task("tell", "model"), templates={"model": keyed})
    value = noise()

    def work(i: int) -> Work:
        return {"fetch": value(60), "model": Pod(value(600), inputs=f"day-{i // 3}"), "tell": value(30)}

    return scenario(of, 42, work)


@scenario_of("objective-at-risk")
def objective_at_risk() -> Scenario:
    """One step grows by a tenth a week; the objective is a median below seven minutes."""
    value = noise(spread=0.02)

    def work(i: int) -> Work:
        return {"extract": value(60), "transform": value(240 * 1.1 ** (i / 21)), "load": value(30)}

    return scenario(etl(), 42, work, objectives=Objectives(duration=Quantiles(p50=420.0)))


@scenario_of("budget")
def budget() -> Scenario:
    """Every third run uses 250,000 tokens of a budget of 200,000."""
    of = argo(task("draft"), task("review", "draft"))
    value = noise()

    def work(i: int) -> Work:
        many = 190_000.0 if i % 3 == 0 else 90_000.0
        return {
            "draft": Pod(value(60), extra={"tokens": many}, inputs=f"topic-{i // 2}"),
            "review": Pod(value(30), extra={"tokens": 60_000.0}),
        }

    made = scenario(
        of,
        42,
        work,
        objectives=Objectives(budgets={"tokens": 200_000.0}),
        pricing=Pricing(units={"tokens": 0.000002}),
    )
    totals = [sum(e.extra.get("tokens", 0.0) for e in r.steps) for r in made.runs]
    return replace(made, runs=tuple(replace(r, extra={"tokens": t}) for r, t in zip(made.runs, totals, strict=True)))


@scenario_of("io-bound")
def io_bound() -> Scenario:
    """A step that uses a tenth of a core, and is stalled on disk 60% of the time."""
    value = noise()

    def work(_: int) -> Work:
        seconds = value(300)
        slow = measured(
            cpu_seconds=0.1 * seconds, cpu_sampled_seconds=seconds, io_waiting_seconds=0.6 * seconds, fs_read_bytes=9e9
        )
        return {"extract": value(60), "transform": Pod(seconds, containers=slow), "load": value(30)}

    return scenario(etl(), 42, work)


@scenario_of("node-skew")
def node_skew() -> Scenario:
    """Nodes of pool b are 1.5 times as slow."""
    value, chance = noise(), random.Random(7)

    def work(_: int) -> Work:
        pods = {}
        for name, seconds in STEPS.items():
            old = chance.random() < 0.4
            node = f"pool-b-{chance.randrange(3)}" if old else f"pool-a-{chance.randrange(5)}"
            pods[name] = Pod(value(seconds * (1.5 if old else 1.0)), node=node)
        return pods

    return scenario(etl(), 42, work)


@scenario_of("sidecar-overhead")
def sidecar_overhead() -> Scenario:
    """A mesh proxy requests half a core in each pod and uses a hundredth of a core."""
    value = noise()

    def work(_: int) -> Work:
        def pod(seconds: float) -> Pod:
            proxy = container(name="proxy", cpu_request=0.5, memory_request=256 * MI, cpu_seconds=0.01 * seconds,
                              cpu_sampled_seconds=seconds, memory_sampled_peak=50 * MI)  # fmt: skip
            return Pod(seconds, containers=(*measured(), proxy))

        return {n: pod(value(s)) for n, s in STEPS.items()}

    return scenario(etl(), 42, work)


@scenario_of("gpu-request")
def gpu_request() -> Scenario:
    """A step reserves four GPUs and uses one of them two thirds of the time."""
    held = resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"nvidia.com/gpu": "4"})
    value = noise()

    def work(_: int) -> Work:
        gpus = measured(gpu_resource="nvidia.com/gpu", gpu_request=4.0, gpu_used=0.66, gpus_active=1.0)
        return {n: Pod(value(s), containers=gpus if n == "transform" else measured()) for n, s in STEPS.items()}

    return scenario(etl(transform=held), 42, work)


@scenario_of("split-long-step")
def split_long_step() -> Scenario:
    """One busy pod takes three quarters of the run."""
    value = noise()
    return scenario(etl(), 42, lambda _: {"extract": value(60), "transform": value(1200), "load": value(30)})


@scenario_of("overlap-stages")
def overlap_stages() -> Scenario:
    """Items slow to fetch are quick to train: the barrier makes the slow ones of both steps wait for each other."""
    shards = {"withItems": list("abcd")}
    of = argo(task("fetch", **shards), task("train", "fetch", **shards))
    value = noise()
    return scenario(
        of,
        42,
        lambda _: {"fetch": [value(s) for s in (300, 60, 60, 60)], "train": [value(s) for s in (60, 300, 60, 60)]},
    )


def daily_member(name: str, hour: float, cores: float, seconds: float, days: int = 14, **more: object) -> FleetMember:
    """A workflow that runs once a day at that hour (UTC) with that many cores."""
    midnight = NOW - NOW % DAY
    runs = [
        (
            midnight - d * DAY + hour * 3600,
            midnight - d * DAY + hour * 3600 + seconds,
            cores * seconds,
            cores * seconds,
        )
        for d in range(days, 0, -1)
    ]
    daily = Timetable((f"{round(hour % 1 * 60)} {int(hour)} * * *",))
    return FleetMember(WorkflowKey("demo", "CronJob", name), np.array(runs), **{"timetable": daily, **more})  # type: ignore[arg-type]


def at_two(wait: float) -> Scenario:
    """A CronJob at two o'clock whose pod waits that many seconds for a node."""
    of = cron_job(schedule="0 2 * * *", resources={"requests": {"cpu": "4", "memory": "8Gi"}})
    value = noise()
    midnight = NOW - NOW % DAY
    graph = define(of).graph
    runs = tuple(
        simulate(
            graph,
            {"job": Pod(value(900), wait=value(wait), containers=measured(name="report", cpu_request=4.0))},
            number=d,
            start=midnight - d * DAY + 7200,
        )
        for d in range(13, 0, -1)
    )
    return Scenario(of, runs)


@scenario_of("schedule-clash")
def schedule_clash() -> Scenario:
    """Two other workflows use the nodes from two to three."""
    fleet = Fleet((daily_member("crawl", 2.0, 40.0, 3000), daily_member("index", 2.1, 20.0, 2400)))
    return replace(at_two(600.0), fleet=fleet)


GI = 1024.0 * MI


@scenario_of("volume-size")
def volume_size() -> Scenario:
    """The volume that ``load`` writes to grows by 60Mi per run, to 9Gi of 10Gi."""
    value = noise()

    def work(i: int) -> Work:
        pod = Pod(value(300), volumes=(VolumeUse("warehouse", 9 * GI - (41 - i) * 60 * MI, 10 * GI),))
        return {"extract": value(60), "transform": value(120), "load": pod}

    return scenario(etl(), 42, work)


def every_ten_minutes(policy: str | None, **spec: Any) -> Manifest:
    """A CronWorkflow with an embedded spec, started every ten minutes."""
    of = argo(task("fetch"), task("load", "fetch"))
    more = {"concurrencyPolicy": policy} if policy is not None else {}
    own = {"schedule": "*/10 * * * *", "suspend": True, **more, **spec, "workflowSpec": of["spec"]}
    return {**of, "kind": "CronWorkflow", "spec": own}


@scenario_of("overlapping-runs")
def overlapping_runs() -> Scenario:
    """Runs of 17 min every ten minutes; Forbid skips every other start."""
    of = every_ten_minutes("Forbid")
    graph, value = define(of).graph, noise()
    due = NOW - NOW % 600
    runs = [
        simulate(graph, {"fetch": value(300), "load": value(720)}, number=i, start=due - (43 - i) * 1200 + 3)
        for i in range(42)
    ]
    return Scenario(of, tuple(runs))


@scenario_of("demand-forecast")
def demand_forecast() -> Scenario:
    """The report at two uses four cores for a quarter of an hour, in addition to a crawl."""
    made = at_two(1.0)
    own = member(replace(made.definition, key=WorkflowKey("demo", "CronJob", "report")), made.runs, RunFigures())
    return replace(
        made, fleet=Fleet((own, daily_member("crawl", 2.5, 0.5, 1800), daily_member("index", 9.0, 0.5, 1800)))
    )


@scenario_of("failing-step")
def failing_step() -> Scenario:
    """The last seven runs, all with the newest image, fail in the transform."""
    value = noise()

    def work(i: int) -> Work:
        new = i >= 35
        facts = measured(image="registry.example/etl:2" if new else "registry.example/etl:1")
        failing = Pod(value(200 if new else 300), containers=facts, fails="Error" if new else None)
        return {"extract": value(60), "transform": failing, "load": value(30)}

    return scenario(etl(), 42, work)


@scenario_of("best-practices")
def best_practices() -> Scenario:
    """An image without a tag, no limits, no retries, and no exit handler."""
    untagged = {"container": {"image": "etl", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}}
    value = noise()
    return scenario(etl(load=untagged), 42, lambda _: {n: value(s) for n, s in STEPS.items()})


# Rules whose recommendations are a place to look at, not a field to set.
LOOK = {
    "batch-small-steps",
    "best-practices",
    "bottleneck",
    "budget",
    "data-quality",
    "degradation",
    "demand-forecast",
    "failing-step",
    "io-bound",
    "node-skew",
    "objective-at-risk",
    "overlap-stages",
    "queue-time",
    "sidecar-overhead",
    "split-long-step",
    "straggler",
    "variance",
}
OTHERS = {"volume-size"}  # patches another object than the workflow: tests/cluster/test_volumes.py
PATCHES = sorted(set(SCENARIOS) - LOOK - OTHERS)
