"""Histories for the tests of the bulk queries: one namespace per situation, all in one Prometheus.

Times are seconds relative to END. Effects of broken scrapes (labels removed, dropped or duplicated series) are applied
to the text of their namespaces.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from testbed.series.openmetrics import ContainerLife, Grid, JobLife, PodLife, render

END = 1_760_000_000.0
DAYS = 2
GRID = Grid(END - DAYS * 86_400, END, outages=[("kube-state-metrics", END - 20_000, END - 19_000)])
MIB = float(1 << 20)
_RANDOM = random.Random(20261120)

ALLOWED_OUT = (
    "kube_pod_created",
    "kube_pod_status_scheduled_time",
    "kube_pod_container_state_started",
    "kube_pod_container_status_terminated_reason",
    "container_memory_max_usage_bytes",
)


def uid() -> str:
    return str(uuid.UUID(int=_RANDOM.getrandbits(128), version=4))


def main(
    start: float, seconds: float, *, name: str = "main", peak: float = 300 * MIB, cpu: float = 0.5, **fields: object
) -> ContainerLife:
    """A container with requests and limits that uses ``cpu`` cores on average."""
    life = ContainerLife(
        name,
        image="etl:v1",
        started=start,
        finished=start + seconds,
        cpu_seconds=cpu * seconds,
        memory_peak=peak,
        memory_max=peak * 1.25,
        cpu_request=0.5,
        cpu_limit=1.0,
        memory_request=512 * MIB,
        memory_limit=1024 * MIB,
        throttled_share=0.2,
        fs_read_bytes=seconds * 1000,
    )
    return replace(life, **fields)  # type: ignore[arg-type]


def pod(
    namespace: str,
    name: str,
    at: float,
    seconds: float,
    *,
    owner: tuple[str, str] = ("Workflow", "run-1"),
    containers: Sequence[ContainerLife] | None = None,
    keep: float = 3600.0,
    **fields: object,
) -> PodLife:
    """A pod created at END + ``at`` whose only container runs for ``seconds``; its object is kept for ``keep`` further
    seconds."""
    created = END + at
    begin = created + 8
    life = PodLife(
        namespace=namespace,
        pod=name,
        uid=uid(),
        created=created,
        containers=containers if containers is not None else [main(begin, seconds)],
        node="node-1",
        owner_kind=owner[0],
        owner_name=owner[1],
        scheduled=created + 1,
        started=created + 2,
        ready=begin + 12,
        finished=begin + seconds,
        deleted=begin + seconds + keep,
        network_receive_bytes=5e6,
        network_transmit_bytes=1e6,
    )
    return replace(life, **fields)  # type: ignore[arg-type]


def etl() -> list[PodLife]:
    """40 runs of 5 pods over two days, short and long, objects kept for an hour, a few deleted immediately; one pod of
    each has a RuntimeClass with overhead."""
    found = []
    for n in range(200):
        seconds = _RANDOM.choice([35, 90, 400, 1500, 5000])
        at = -DAYS * 86_400 + 600 + n * (DAYS * 86_400 - 8000) / 200
        peak = _RANDOM.randrange(50, 500) * MIB
        begin = END + at + 8
        containers = [main(begin, seconds, peak=peak), main(begin, seconds, name="wait", peak=20 * MIB, cpu=0.01)]
        owner = ("Workflow", f"run-{n // 5}")
        kept = {"owner": owner, "containers": containers, "overhead": (0.25, 600.0 * MIB) if n % 5 == 3 else None}
        found.append(pod("etl", f"run-{n // 5}-step-{n}", at, seconds, **kept))  # type: ignore[arg-type]
    return found


def situations() -> list[PodLife]:
    """All other namespaces, each explained by the test that reads it."""
    found = [
        # Reused names: three runs of a StatefulSet-like pod with very different peaks.
        *(
            pod(
                "reuse",
                "train-0",
                -9000 + 2000 * n,
                1200,
                containers=[main(END - 8992 + 2000 * n, 1200, peak=size * MIB)],
            )
            for n, size in enumerate((900, 100, 500))
        ),
        # Without the label id: one name used twice, one used once, one restarted.
        *(
            pod(
                "noid",
                "train-0",
                -9000 + 2000 * n,
                1200,
                containers=[main(END - 8992 + 2000 * n, 1200, peak=size * MIB)],
            )
            for n, size in enumerate((900, 100))
        ),
        pod("noid", "once", -4000, 600),
        pod("moved", "step-a", -4000, 600),
        pod("moved", "step-b", -3900, 600),
        pod("replicas", "step-a", -4000, 600),
        # Deleted five seconds after its end, between two scrapes.
        pod("gone", "quick", -4000, 607, keep=5),
        pod("gone", "kept", -4000, 600),
        # Around an outage of kube-state-metrics (END - 20000 to END - 19000).
        pod("outage", "through", -21_000, 6000),
        pod("outage", "ended-inside", -21_000, 1500, keep=7200),
        pod("outage", "vanished-inside", -21_000, 1500, keep=5),
        pod(
            "long",
            "eight-hours",
            -8.5 * 3600,
            8 * 3600,
            containers=[
                main(
                    END - 8.5 * 3600 + 8,
                    8 * 3600,
                    memory_curve=[(0.0, 50 * MIB), (0.05, 700 * MIB), (0.1, 50 * MIB), (1.0, 50 * MIB)],
                )
            ],
        ),
        pod("long", "thirty-hours", -31 * 3600, 30 * 3600),
        # Not to be reported: services, and pods of unfinished runs.
        pod("mixed", "web-1", -30_000, 29_000, owner=("ReplicaSet", "web"), phase="Failed", status_reason="Evicted"),
        pod("mixed", "web-2", -30_000, 29_000, owner=("ReplicaSet", "web"), keep=5),
        pod(
            "mixed",
            "running",
            -3000,
            600,
            finished=None,
            deleted=None,
            containers=[main(END - 2992, 0, finished=None, cpu_seconds=1000.0)],
        ),
        # The main container has ended, but its sidecar is still running: not finished.
        pod(
            "mixed",
            "sidecar",
            -3000,
            600,
            finished=None,
            deleted=None,
            containers=[main(END - 2992, 600), main(END - 2992, 0, name="wait", finished=None)],
        ),
        pod("mixed", "done", -3000, 600),
        pod("graph", "spark-1", -4000, 600, owner=("", ""), labels={"example.com/run": "r1", "step": "extract"}),
        pod("graph", "other", -4000, 600, owner=("", ""), labels={"app": "web"}),
        pod("allow", "step-a", -4000, 600),
        pod("allow", "step-b", -3900, 600),
        pod("allow", "step-c", -3800, 600, phase="Failed"),
    ]
    oom = main(END - 3992, 600, terminated_reason="OOMKilled", oom_events=1)
    init = ContainerLife(
        "init", image="init:1", started=END - 3995, finished=END - 3993, init=True, memory_request=64 * MIB
    )
    found += [
        pod("fail", "oom", -4000, 600, owner=("Job", "nightly-1"), phase="Failed", containers=[oom, init]),
        pod(
            "fail",
            "evicted",
            -4000,
            300,
            owner=("Job", "nightly-2"),
            phase="Failed",
            status_reason="Evicted",
            containers=[],
            started=None,
        ),
        pod("fail", "fine", -4000, 600, owner=("Job", "nightly-3")),
    ]
    return found


def jobs() -> list[JobLife]:
    return [
        JobLife(
            "fail",
            "nightly-1",
            END - 4000,
            END - 3380,
            "Failed",
            parallelism=2,
            completions=4,
            owner_kind="CronJob",
            owner_name="nightly",
        ),
        JobLife("fail", "nightly-3", END - 4000, END - 3390, "Complete", owner_kind="CronJob", owner_name="nightly"),
        JobLife("fail", "by-hand", END - 4000, outcome=""),
    ]


def text(lives: Sequence[PodLife]) -> Iterator[str]:
    """The OpenMetrics text of the lifetimes, with the effects of broken scrapes."""
    for piece in render(lives, GRID, jobs()):
        for line in piece.splitlines(keepends=True):
            yield from _scraped(line)


def _scraped(line: str) -> Iterable[str]:
    namespace = re.search(r'[{,]namespace="([^"]*)"', line)
    name = line.split("{", 1)[0]
    where = namespace.group(1) if namespace else ""
    if where == "noid":
        return [re.sub(r',id="[^"]*"', "", line)]
    if where == "moved":
        line = line.replace('namespace="moved"', 'namespace="monitoring",exported_namespace="moved"')
        if name.startswith("kube_"):
            line = re.sub(r'([{,])(pod|container)="', r'\1exported_\2="', line)
            line = line.replace("{", '{pod="ksm-0",container="ksm",', 1)
        return [line]
    if where == "replicas" and name.startswith("kube_"):
        return [line, line.replace('instance="kube-state-metrics:8080"', 'instance="kube-state-metrics-2:8080"')]
    if where == "allow" and name in ALLOWED_OUT:
        return []
    return [line]
