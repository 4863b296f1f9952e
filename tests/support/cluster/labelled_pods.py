"""Runs of engines recognised by pod labels, as pod lifetimes: Airflow, Dagster, Nextflow and Spark."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.series.lives import ContainerLife, PodLife

GI = 1024.0**3
MI = 1024.0**2
EVERY = 3600.0
LOST = 1  # the run in which a task fails once

APPLICATION = "sales-etl"


def life(
    namespace: str,
    name: str,
    start: float,
    seconds: float,
    labels: Mapping[str, str],
    *,
    container: str = "base",
    owner: tuple[str, str] = ("", ""),
    phase: str = "Succeeded",
    peak: float = 300 * MI,
) -> PodLife:
    """One pod that requests 1 core and 2 GiB and uses much less."""
    begun, finished = start + 5.0, start + 5.0 + seconds
    reason = "Completed" if phase == "Succeeded" else "Error"
    inside = ContainerLife(container, image="example/etl:1", started=begun, finished=finished, cpu_seconds=0.2 * seconds,
                           memory_peak=peak, cpu_request=1.0, memory_request=2 * GI, terminated_reason=reason)  # fmt: skip
    return PodLife(namespace, name, f"uid-{namespace}-{name}", created=start, containers=[inside], node="node-1",
                   owner_kind=owner[0], owner_name=owner[1], labels=labels, scheduled=start + 1.0, started=start + 2.0,
                   finished=finished, phase=phase, deleted=finished + 600.0)  # fmt: skip


def airflow(namespace: str, count: int, end: float) -> list[PodLife]:
    """A DAG of three tasks; one fails once, the last one is mapped over three items."""
    pods: list[PodLife] = []
    for i in range(count):
        start = end - 2400.0 - (count - 1 - i) * EVERY
        run = f"scheduled__2026-11-20T{i:02d}0000.0000000000-{i:09x}"
        given = {"dag_id": "nightly_etl", "run_id": run, "kubernetes_executor": "True", "airflow_version": "2.10.5"}

        def task(name: str, at: float, seconds: float, attempt: int = 1, phase: str = "Succeeded", **more: str) -> None:
            pod = f"nightly-etl-{name.replace('_', '-')}-{i}-{attempt}{more.get('map_index', '')}"  # noqa: B023
            labels = {**given, "task_id": name, "try_number": str(attempt), **more}  # noqa: B023
            pods.append(life(namespace, pod, start + at, seconds, labels, phase=phase))  # noqa: B023

        task("extract", 0, 120)
        if i == LOST:
            task("clean_up", 140, 60, phase="Failed")
        task("clean_up", 240, 600, attempt=2 if i == LOST else 1)
        for index in range(3):
            task("load", 860, 200 + 10 * index, map_index=str(index))
    return pods


def dagster(namespace: str, count: int, end: float) -> list[PodLife]:
    """A job of two ops, and the run worker beside them."""
    pods = []
    for i in range(count):
        start = end - 2400.0 - (count - 1 - i) * EVERY
        given = {"dagster/job": "nightly_sales", "dagster/run-id": f"1c8b3d2e-5c7b-4b0e-9f0f-{i:012x}",
                 "dagster/code-location": "sales"}  # fmt: skip
        work = [("run", "", 0.0, 700.0), ("extract", "extract", 20.0, 200.0), ("load", "load", 240.0, 400.0)]
        for name, op, at, seconds in work:
            labels = given | ({"dagster/op": op} if op else {})
            pods.append(life(namespace, f"dagster-{name}-{i:012x}", start + at, seconds, labels, container="dagster"))
    return pods


def nextflow(namespace: str, count: int, end: float) -> list[PodLife]:
    """A pipeline of two processes; the first one runs for three samples."""
    pods = []
    for i in range(count):
        start = end - 2400.0 - (count - 1 - i) * EVERY
        given = {"nextflow.io/app": "nextflow", "nextflow.io/runName": f"happy_curie_{i}", "pipeline": "rnaseq",
                 "nextflow.io/sessionId": f"uuid-{i:012x}"}  # fmt: skip
        work = [("STAR_ALIGN", f"STAR_ALIGN_SAMPLE_{n}", 0.0, 400.0 + 10 * n) for n in range(3)]
        for process, name, at, seconds in (*work, ("MULTIQC", "MULTIQC", 450.0, 150.0)):
            pod = f"nf-{i:04x}{abs(hash((process, at, seconds))) % 16**8:08x}-{len(pods):05x}"
            labels = {**given, "nextflow.io/processName": process, "nextflow.io/taskName": name}
            pods.append(life(namespace, pod, start + at, seconds, labels, container=pod))
    return pods


def spark(namespace: str, count: int, end: float) -> list[PodLife]:
    """A scheduled SparkApplication: a driver with two executors."""
    pods = []
    for i in range(count):
        start = end - 2400.0 - (count - 1 - i) * EVERY
        name = f"{APPLICATION}-{int(start * 1e9)}"
        given = {"spark-app-name": APPLICATION, "spark-app-selector": f"spark-{i:032x}",
                 "sparkoperator.k8s.io/app-name": name}  # fmt: skip
        driver = {**given, "spark-role": "driver"}
        owner, container = ("SparkApplication", name), "spark-kubernetes-driver"
        pods.append(life(namespace, f"{name}-driver", start, 900, driver, container=container, owner=owner))
        for n in (1, 2):
            labels = {**given, "spark-role": "executor", "spark-exec-id": str(n)}
            owner, container = ("Pod", f"{name}-driver"), "spark-kubernetes-executor"
            pod = f"{APPLICATION}-{i:016x}-exec-{n}"
            pods.append(life(namespace, pod, start + 30, 800, labels, container=container, owner=owner, peak=500 * MI))
    return pods
