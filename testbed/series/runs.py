"""Builders of finished runs as pod lifetimes, shared by benchmarks and tests."""

from __future__ import annotations

import random
from uuid import UUID

from testbed.series.lives import ContainerLife, JobLife, PodLife

MI = 1024.0**2
KEPT = 300.0  # seconds for which a finished Argo pod exists
KEPT_BY_JOB = 1800.0


def fnv32a(text: str) -> int:
    """32-bit FNV-1a: Argo's hash of a node name, at the end of pod names."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 % 2**32
    return value


def argo_pod(
    namespace: str, run: str, template: str, created: float, container: ContainerLife, chance: random.Random
) -> PodLife:
    """The pod of one step of a successful Argo run, on one of five nodes."""
    assert container.finished is not None
    return PodLife(
        namespace=namespace,
        pod=f"{run}-{template}-{fnv32a(f'{run}.{template}')}",
        uid=str(UUID(int=chance.getrandbits(128), version=4)),
        created=created,
        scheduled=created + 1,
        started=created + 1,
        finished=container.finished,
        deleted=container.finished + KEPT,
        node=f"node-{chance.randrange(5)}",
        owner_kind="Workflow",
        owner_name=run,
        containers=[container],
    )


def runs_of_cronjob(
    namespace: str,
    name: str,
    count: int,
    end: float,
    *,
    every: float = 3600.0,
    seconds: float = 600.0,
    kept: float | None = None,
) -> tuple[list[PodLife], list[JobLife]]:
    """``count`` runs of a CronJob that requests 1 core and 2Gi and uses less, the last one ending shortly before
    ``end``. ``every`` and ``seconds``: interval and duration. ``kept``: seconds for which a finished Job exists; None:
    forever, its pod for a while."""
    pods, jobs = [], []
    for i in range(count):
        start = end - 900.0 - seconds - (count - 1 - i) * every
        job = f"{name}-{int(start) // 60}"
        begun = start + 5.0
        finished = begun + seconds * (1.0 + (i % 3) / 60.0)
        container = ContainerLife(
            "main",
            image="example/etl:1",
            started=begun,
            finished=finished,
            cpu_seconds=0.25 * seconds,
            memory_peak=(300 + i % 5) * MI,
            cpu_request=1.0,
            memory_request=2048 * MI,
            terminated_reason="Completed",
        )
        pods.append(
            PodLife(
                namespace,
                f"{job}-abcde",
                f"uid-{namespace}-{name}-{i}",
                created=start,
                containers=[container],
                node="node-1",
                owner_kind="Job",
                owner_name=job,
                scheduled=start + 1.0,
                started=start + 2.0,
                finished=finished,
                deleted=finished + (KEPT_BY_JOB if kept is None else kept),
            )
        )
        gone = None if kept is None else finished + kept
        jobs.append(JobLife(namespace, job, start, finished, deleted=gone, owner_kind="CronJob", owner_name=name))
    return pods, jobs
