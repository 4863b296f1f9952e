"""Recording rules evaluated by a real Prometheus: the same facts from fewer samples, and never a wrong one.

The rules are the chart's. promtool has the server evaluate them over its history, which gives the records that a server
with these rules would have made at the time.
"""

from __future__ import annotations

import copy
import json
import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from charts.sync import CHART
from concertmaster.core.model import PodFact
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.collect.diagnostics import Diagnostic, DiagnosticStatus
from concertmaster.prometheus.collect.examination import Examination
from concertmaster.prometheus.collect.reading import Collection, CollectOptions, collect
from concertmaster.prometheus.queries import ended
from concertmaster.prometheus.queries import recording_rule as recorded
from concertmaster.prometheus.queries import usage as of_containers
from concertmaster.prometheus.queries.scope import QueryScope, TimeRange
from concertmaster.settings import MetricsSource
from testbed.install.build import ensure
from testbed.process import http_get
from testbed.series.lives import PodLife
from testbed.series.openmetrics import Grid, render
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster.histories import END, MIB, main, pod, uid

HOUR = 3600.0
CHANCE = random.Random(41)
GROUPS = yaml.safe_load((CHART / "rules" / "collection.yaml").read_text())


def lives() -> list[PodLife]:
    """60 pods of the last two hours, of seconds to an hour, the last ones ending just before the end."""
    found = []
    for n in range(60):
        seconds = CHANCE.choice([20, 70, 300, 900, 3000])
        at = -seconds - 8 - (CHANCE.uniform(0, 60) if n % 3 == 0 else CHANCE.uniform(60, 2 * HOUR - 3400))
        begin = END + at + 8
        peak = CHANCE.randrange(50, 500) * MIB
        found.append(
            pod("etl", f"p-{n}", at, seconds, containers=[main(begin, seconds, peak=peak, cpu=CHANCE.random())])
        )
    return [*found, pod("other", "q", -1000, 600), pod("etl", "old", -5 * HOUR, 4 * HOUR, uid=uid())]


@dataclass
class Store:
    """One server and what it answers."""

    server: PrometheusServer

    def record(self, since: float, groups: list[dict[str, Any]] = GROUPS, every: int = 60) -> None:
        """Evaluate the rules from END + ``since`` to the end."""
        # A group is evaluated at an offset made of the hash of its file's path. Some offsets lie in the last second of a
        # minute, which promtool leaves out at the end of each block: so the path is the same in each test.
        (self.server.directory / "rules.yml").write_text(json.dumps({"groups": groups}))
        promtool = ensure(["promtool"], lambda _: None)["promtool"]
        answer = subprocess.run(
            [
                promtool, "tsdb", "create-blocks-from", "rules", f"--url={self.server.url}",
                f"--start={END + since:.0f}", f"--end={END + 60:.0f}", f"--eval-interval={every}s",
                "--output-dir=data", "rules.yml",
            ],
            cwd=self.server.directory, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        self.server.stop()
        self.server.start()

    def client(self) -> PrometheusClient:
        return PrometheusClient(
            MetricsSource.model_validate({"name": "default", "url": self.server.url, "scrapeInterval": "30s"})
        )

    def look(self) -> tuple[Collection, int]:
        """The last two hours, and how many samples the server touched for it."""
        before = self.samples()
        found = collect(
            self.client(),
            namespaces=[],
            since=END - 2 * HOUR,
            until=END,
            now=END + HOUR,
            options=CollectOptions(longest=1e6),
        )
        return found, self.samples() - before

    def cost(self, query: str) -> int:
        """Samples the server touches for one query."""
        before = self.samples()
        assert len(self.client().instant(query, END, name="cost"))
        return self.samples() - before

    def samples(self) -> int:
        text = http_get(f"{self.server.url}/metrics").decode()
        found = re.search(r"^prometheus_engine_query_samples_total (\S+)$", text, re.M)
        assert found is not None
        return int(float(found.group(1)))

    def doctor(self) -> Diagnostic:
        return next(c for c in Examination(self.client(), END + 60).run() if c.name == "recording rules")


@pytest.fixture
def store() -> Iterator[Store]:
    server = PrometheusServer()
    server.load_openmetrics(render(lives(), Grid(END - 6 * HOUR, END)))
    with server:
        yield Store(server)


def usage_query(records: bool) -> str:
    sampling = of_containers.Sampling(records=records)
    return of_containers.usage(QueryScope(namespaces=("etl",)), TimeRange(int(2 * HOUR)), (), sampling)


def usage(fact: PodFact) -> list[tuple[Any, ...]]:
    return [
        (c.name, c.memory_sampled_peak, c.cpu_peak_cores, c.cpu_sampled_seconds, c.samples, c.expected_samples)
        for c in fact.containers
    ]


def test_finding_finished_pods_reads_one_series_of_each(store: Store) -> None:
    scope, window = QueryScope(), TimeRange(int(2 * HOUR) + 420, int(2 * HOUR) + 120)
    once = store.cost(f"last_over_time(kube_pod_info{window.range})")
    assert store.cost(ended.finished(scope, window)) < once + 12 * len(lives())


def test_the_charts_rules_are_the_ones_the_operator_reads() -> None:
    assert GROUPS == [recorded.GROUP]


def test_the_same_facts_from_fewer_samples(store: Store) -> None:
    direct, touched = store.look()
    assert (direct.recorded, store.doctor().mark) == (0, DiagnosticStatus.OK)
    assert "which is fine" in store.doctor().result
    store.record(-26 * HOUR)
    again, fewer = store.look()
    assert again.recorded == 2  # pods of up to an hour, and those of up to six
    assert again.queries == direct.queries + 1  # how far back there are records
    short = {f.pod for f in direct.facts if f.pod != "old"}
    assert len(short) > 50
    reported = {f.pod: f for f in again.facts}
    for fact in direct.facts:
        if fact.pod in short:
            assert usage(reported[fact.pod]) == usage(fact), fact.pod
            assert reported[fact.pod] == fact
    assert fewer < touched, (fewer, touched)
    # The query they are made for; the others of a look are the same with and without.
    cheap, dear = (store.cost(usage_query(records)) for records in (True, False))
    assert 2 * cheap < dear, (cheap, dear)
    assert store.doctor().result == "in use for pods that lived up to 24 h"


def test_longer_lives_are_looked_at_more_closely_not_less(store: Store) -> None:
    """Over six hours the direct query looks at every 15 s for the last sample; records do at every 5 s."""
    (direct,) = (f for f in store.look()[0].facts if f.pod == "old")
    store.record(-26 * HOUR)
    (again,) = (f for f in store.look()[0].facts if f.pod == "old")
    a, b = direct.containers[0], again.containers[0]
    assert (a.memory_sampled_peak, a.cpu_peak_cores, a.samples) == (b.memory_sampled_peak, b.cpu_peak_cores, b.samples)
    assert a.cpu_sampled_seconds is not None and b.cpu_sampled_seconds is not None
    assert 0.0 <= b.cpu_sampled_seconds - a.cpu_sampled_seconds <= 15.0


def test_rules_younger_than_the_window_are_not_used(store: Store) -> None:
    direct, _ = store.look()
    store.record(-1800)
    again, _ = store.look()
    assert again.recorded == 0
    assert again.facts == direct.facts
    found = store.doctor()
    assert (found.mark, "not used" in found.result, "younger than an hour" in found.fix) == (
        DiagnosticStatus.WARN,
        True,
        True,
    )


def test_rules_that_cover_short_lives_only_are_used_for_those(store: Store) -> None:
    direct, _ = store.look()
    store.record(-1.5 * HOUR)
    again, _ = store.look()
    assert again.recorded == 1
    assert again.facts == direct.facts
    assert store.doctor().result == "in use for pods that lived up to 1 h"


def test_a_rule_at_another_interval_is_not_used(store: Store) -> None:
    """Twice the evaluations: half of them could be missing unseen."""
    groups = copy.deepcopy(GROUPS)
    groups[0]["interval"] = "30s"
    store.record(-3 * HOUR, groups, every=30)
    assert store.look()[0].recorded == 0
    found = store.doctor()
    assert (found.mark, "where one per minute is at most 61" in found.result) == (DiagnosticStatus.WARN, True)


def test_the_evaluator_that_missed_most_counts(store: Store) -> None:
    """Two servers behind one address, one of which has evaluated the rule for half an hour only."""
    for replica, since in (("a", -26 * HOUR), ("b", -1800)):
        groups = copy.deepcopy(GROUPS)
        groups[0]["rules"][0]["labels"] = {"evaluator": replica}
        store.record(since, groups)
    assert store.look()[0].recorded == 0
    assert store.doctor().mark is DiagnosticStatus.WARN


def test_a_rule_that_someone_narrowed_is_found_out(store: Store) -> None:
    """Made for another namespace only: evaluated as often, and the records of this namespace are not there."""
    groups = copy.deepcopy(GROUPS)
    (rule,) = groups[0]["rules"]
    rule["expr"] = rule["expr"].replace('{container!=""', '{namespace="other", container!=""')
    direct, _ = store.look()
    store.record(-26 * HOUR, groups)
    again, _ = store.look()
    assert again.recorded == 0
    assert again.queries == direct.queries + 2  # once per look, and how far back there are records
    assert again.facts == direct.facts
