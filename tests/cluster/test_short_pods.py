"""CPU of pods that live for a few scrapes, on a real Prometheus that scrapes them and marks their series as stale.

Loaded history has no such markers: there the last sample of a series is found for five minutes. Scraped, it is found only
until the next scrape, which the steps of a subquery may miss.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest

from concertmaster.core.model import PodFact
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.reading import collect
from concertmaster.settings import MetricsSource
from testbed.series import cadvisor, state
from testbed.series.lives import CADVISOR_PATH, KUBELET_JOB, STATE_METRICS_JOB, ContainerLife, PodLife
from testbed.series.naming import series
from testbed.services.prometheus import PrometheusServer, Scrape
from tests.support.builders import MI
from tests.support.local_server import QuietHandler, local_server

CORES = 0.3
INTERVAL = 2  # seconds
LATER = 4500.0  # seconds after which a reading looks for last samples every four seconds
PODS = 60
# Two numbers of samples stepped over can fit a life equally well. Which pods get the wrong one depends on where the scrapes
# fall: 2% of these on average, up to 12% in a simulation of 3,000 positions, and 45% without the correction.
MOST_WRONG = 0.15
SPACE = "short"


def pods(begin: float) -> list[PodLife]:
    """Pods of 4 to 9 s that start at every position between two scrapes."""
    return [_pod(i, begin + 0.37 * i, 4.0 + 0.61 * (i * 7 % 9)) for i in range(PODS)]


def _pod(number: int, start: float, life: float) -> PodLife:
    end = start + life
    main = ContainerLife(
        "main", started=start, finished=end, cpu_seconds=CORES * life, memory_peak=50 * MI, cpu_request=CORES
    )
    name = f"run-{number}"
    return PodLife(
        SPACE, name, f"0000-{number}", start, [main], node="n1", owner_kind="Workflow", owner_name=name,
        scheduled=start, started=start, finished=end,
    )  # fmt: skip


def of_state(of: Sequence[PodLife], now: float) -> Iterator[str]:
    """What kube-state-metrics serves of pods at a moment."""
    for family in state.POD_FAMILIES.values():
        for pod in of:
            for name, spans in family(pod):
                yield from (f"{name} {value:.15g}" for start, end, value in spans if start <= now < end)


def of_containers(of: Sequence[PodLife], now: float) -> Iterator[str]:
    """What the kubelet serves of their containers."""
    for family, (_, extra, values) in cadvisor.CONTAINER_FAMILIES.items():
        for pod in of:
            for container in pod.containers:
                start, end = container.started or 0.0, container.finished or 0.0
                if start <= now < end:
                    found = values(container, [(now - start) / (end - start)]) or ()
                    name = series(family, **cadvisor.container_labels(pod, container), **extra)
                    yield from (f"{name} {value}" for value in found)


@pytest.fixture(scope="module")
def scraped() -> Iterator[tuple[PrometheusServer, list[PodLife]]]:
    """The pods, and Prometheus after it has scraped the last of them and their absence."""
    lives: list[PodLife] = []

    class Exporter(QuietHandler):
        def do_GET(self) -> None:
            render = of_containers if self.path == CADVISOR_PATH else of_state
            body = "".join(f"{line}\n" for line in render(lives, time.time())).encode()
            self.answer(200, body, {"Content-Type": "text/plain; version=0.0.4"})

    with local_server(Exporter) as address:
        target = address.removeprefix("http://")
        jobs = [Scrape(STATE_METRICS_JOB, target, "/metrics", f"{INTERVAL}s")]
        jobs.append(Scrape(KUBELET_JOB, target, CADVISOR_PATH, f"{INTERVAL}s"))
        with PrometheusServer(jobs) as server:
            server.wait_for_scrapes()
            lives += pods(time.time() + 1.0)
            time.sleep(max(p.finished or 0.0 for p in lives) - time.time())
            server.wait_for_scrapes()
            yield server, lives


def facts(server: PrometheusServer, since: float, later: float) -> dict[str, PodFact]:
    """What is read of them, so many seconds from now."""
    source = {"name": "default", "url": server.url, "scrapeInterval": f"{INTERVAL}s", "delaySeconds": 0}
    client = PrometheusClient(MetricsSource.model_validate(source))
    now = time.time() + later
    found = collect(client, namespaces=[SPACE], since=since, until=now, now=now)
    return {fact.pod: fact for fact in found.facts}


def samples(server: PrometheusServer) -> dict[str, list[float]]:
    """When the CPU of each pod was scraped."""
    rows = server.query(f'container_cpu_usage_seconds_total{{namespace="{SPACE}"}}[10m]')
    return {row["metric"]["pod"]: [float(at) for at, _ in row["values"]] for row in rows}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("stepped", [False, True], ids=["at-once", "later"])
def test_cpu_of_short_pods_is_neither_doubled_nor_halved(
    scraped: tuple[PrometheusServer, list[PodLife]], stepped: bool
) -> None:
    """The counter is divided by the time until its last sample, starts being known in whole seconds. Read at once, every
    last sample is found; later, samples are stepped over and added by their number."""
    server, lives = scraped
    read, times = facts(server, lives[0].created - 5.0, LATER if stepped else 0.0), samples(server)
    compared, wrong = 0, []
    for pod in lives:
        seen = times.get(pod.pod, [])
        # A busy machine scrapes late or not at all: then there is no telling from their number where samples are.
        if len(seen) < 2 or (stepped and any(abs(b - a - INTERVAL) > 0.3 for a, b in pairwise(seen))):
            continue
        (inside,) = read[pod.pod].containers
        assert inside.cpu_seconds is not None
        if inside.cpu_sampled_seconds is None:
            assert stepped  # all its samples lie between two moments: it is unknown, and said to be
            continue
        compared += 1
        true, told = seen[-1] - pod.created, inside.cpu_seconds / inside.cpu_sampled_seconds
        if abs(inside.cpu_sampled_seconds - true) > 1.1:
            wrong.append(f"{pod.pod}: {len(seen)} samples in {true:.1f} s, {told:.2f} cores told")
    assert compared >= PODS // 3, f"only {compared} pods were scraped as they should be"
    assert len(wrong) <= (MOST_WRONG * compared if stepped else 0.0), wrong
