"""A long span is read at moments where that is enough, on a real Prometheus: the same facts, and a bounded number of samples
for each pod, however long its object stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from concertmaster.core.model import JobFact, PodFact
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.reading import CollectOptions, backfill
from concertmaster.prometheus.queries.scope import TimeRange
from concertmaster.prometheus.reader.process import Readers
from concertmaster.settings import MetricsSource
from testbed.process import http_get
from testbed.series.lives import Grid, JobLife, PodLife
from testbed.series.openmetrics import render
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster import histories
from tests.support.cluster.histories import END, main, pod

pytestmark = pytest.mark.cluster

DAY = 86_400.0
MOST_SAMPLES = 650  # for a pod that ran five minutes and was kept for two hours; 250 of them find it
NAMES = ("kept", "brief", "failed", "again", "two")


def harness() -> tuple[list[PodLife], list[JobLife]]:
    """A Job every 24 minutes: objects kept for two hours, or gone within a minute; failures; a second start; a container
    that ends long before its pod."""
    pods, jobs = [], []
    for n in range(50):
        kind, at, seconds = NAMES[n % len(NAMES)], -DAY + 600 + n * 1440, 200.0 + 37 * n
        name, begun = f"{kind}-{n}", END + at + 8
        only = main(begun, seconds)
        containers = {
            "failed": [replace(only, terminated_reason="OOMKilled", oom_events=1)],
            "two": [main(begun, seconds / 4), main(begun, seconds, name="wait", cpu=0.01)],
        }.get(kind, [only])
        keep = 45.0 if kind == "brief" else 7200.0
        phase = "Failed" if kind == "failed" else "Succeeded"
        made = pod("cost", f"{name}-x", at, seconds, owner=("Job", name), containers=containers, keep=keep, phase=phase)
        pods.append(made)
        if kind == "again":  # a first pod of this name ended earlier in the same span
            pods.append(replace(made, uid=histories.uid(), created=made.created - 600, deleted=made.created - 60))
        outcome = "Failed" if kind == "failed" else "Complete"
        over = begun + seconds + 2
        owner = {"owner_kind": "CronJob", "owner_name": kind}
        jobs.append(JobLife("cost", name, END + at, over, outcome, deleted=over + keep, **owner))
    jobs.append(JobLife("cost", "no-pods", END - 40_000, END - 39_900, "Failed", deleted=END - 39_500))
    return pods, jobs


@pytest.fixture(scope="module")
def prometheus() -> Iterator[PrometheusServer]:
    server = PrometheusServer()
    pods, jobs = harness()
    server.load_trusted(render(pods, Grid(END - DAY, END, constant_interval=30.0), jobs))
    with server:
        yield server


@pytest.fixture(scope="module")
def situations() -> Iterator[PrometheusServer]:
    server = PrometheusServer()
    server.load_openmetrics(histories.text([*histories.etl(), *histories.situations()]))
    with server:
        yield server


def read(
    server: PrometheusServer, monkeypatch: pytest.MonkeyPatch, *, sparsely: bool, span: float = DAY
) -> tuple[dict[str, PodFact], dict[str, JobFact], int]:
    """Pods and Jobs of a span, and the samples that Prometheus read for them."""
    source = MetricsSource.model_validate({"name": "default", "url": server.url})
    before, pods, jobs = samples(server), dict[str, PodFact](), dict[str, JobFact]()
    with monkeypatch.context() as patch, PrometheusClient(source) as client:
        if not sparsely:
            patch.setattr(TimeRange, "long", property(lambda _: False))
        options = CollectOptions(longest=DAY, run_labels=("example.com/run",))
        for part in backfill(client, namespaces=[], since=END - span, until=END, now=END + 60, options=options):
            pods |= {fact.uid: fact for fact in part.facts}
            jobs |= {f"{job.namespace}/{job.name}": job for job in part.jobs}
    return pods, jobs, samples(server) - before


def samples(server: PrometheusServer) -> int:
    text = http_get(f"{server.url}/metrics").decode()
    found = re.search(r"^prometheus_engine_query_samples_total (\S+)$", text, re.M)
    assert found is not None
    return int(float(found.group(1)))


def ended(jobs: dict[str, JobFact]) -> dict[str, Any]:
    return {name: job for name, job in jobs.items() if job.succeeded is not None}


def test_moments_bring_what_every_sample_brings(prometheus: PrometheusServer, monkeypatch: pytest.MonkeyPatch) -> None:
    pods, jobs, _ = read(prometheus, monkeypatch, sparsely=True)
    all_pods, all_jobs, _ = read(prometheus, monkeypatch, sparsely=False)
    assert pods == all_pods and len(pods) == 60
    assert jobs == all_jobs and len(jobs) == 51
    assert jobs["cost/no-pods"].succeeded is False


def test_moments_bring_the_same_of_awkward_scrapes(
    situations: PrometheusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage, labels that a scrape moved, two replicas, allow-lists, series without ids, names borne several times."""
    span = histories.DAYS * DAY
    pods, jobs, _ = read(situations, monkeypatch, sparsely=True, span=span)
    all_pods, all_jobs, _ = read(situations, monkeypatch, sparsely=False, span=span)
    assert pods == all_pods and len(pods) > 200
    assert ended(jobs) == ended(all_jobs) and len(ended(jobs)) == 2


def test_a_process_of_its_own_reads_the_same(situations: PrometheusServer) -> None:
    source = MetricsSource.model_validate({"name": "default", "url": situations.url})
    asked: dict[str, Any] = {
        "namespaces": [],
        "since": END - histories.DAYS * DAY,
        "until": END,
        "now": END + 60,
        "label_keys": ("example.com/run",),
        "options": CollectOptions(longest=DAY / 4, run_labels=("example.com/run",)),
    }
    readers = Readers(lambda: 2)
    with PrometheusClient(source) as here, PrometheusClient(source) as there:
        reader = readers.of(there)
        try:
            apart = list(reader.backfill(**asked, apart=True))
            assert reader.running
        finally:
            readers.close()
        assert apart == list(backfill(here, **asked))
    assert len(apart) > 3 and sum(len(chunk.facts) for chunk in apart) > 200


def test_a_pod_costs_a_bounded_number_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scraped every 30 s and kept for two hours, a pod has 250 samples in each series of kube-state-metrics."""
    pods, jobs = [], []
    for n in range(60):
        at = -DAY + 600 + n * 1200
        pods.append(pod("cost", f"run-{n}-x", at, 300.0, owner=("Job", f"run-{n}"), keep=7200.0))
        jobs.append(JobLife("cost", f"run-{n}", END + at, END + at + 310, deleted=END + at + 7510))
    server = PrometheusServer()
    server.load_trusted(render(pods, Grid(END - DAY, END, constant_interval=30.0), jobs))
    with server:
        _, _, cost = read(server, monkeypatch, sparsely=True)
        _, _, every = read(server, monkeypatch, sparsely=False)
    assert cost < MOST_SAMPLES * len(pods), cost / len(pods)
    assert cost < every / 5, (cost, every)
