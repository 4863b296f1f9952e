"""Every bulk query on a real Prometheus with generated history: every value and every run comes back."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings

from concertmaster.core.model import ContainerFact, PodFact
from concertmaster.net.retry import Tools
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import QueryRefused, SourceUnreachable, TimedOut
from concertmaster.prometheus.collect.extra import run_values
from concertmaster.prometheus.collect.reading import Collection, CollectOptions, backfill, collect
from concertmaster.prometheus.guard.fence import fence
from concertmaster.prometheus.queries import bulk as queries
from concertmaster.prometheus.queries import ended
from concertmaster.prometheus.queries import usage as of_containers
from concertmaster.prometheus.queries.scope import QueryScope, TimeRange
from concertmaster.settings import MetricsSource
from testbed.process import http_get
from testbed.series.lives import PodLife
from testbed.services.prometheus import PrometheusServer
from tests.support.cluster import histories
from tests.support.cluster.histories import DAYS, END, MIB
from tests.support.data.promql_grammar import queries as random_queries

MOST_QUERIES = 15
ETL = histories.etl()
SITUATIONS = histories.situations()


@pytest.fixture(scope="module")
def prometheus() -> Iterator[PrometheusServer]:
    server = PrometheusServer()
    server.load_openmetrics(histories.text([*ETL, *SITUATIONS]))
    with server:
        yield server


@pytest.fixture
def client(prometheus: PrometheusServer) -> PrometheusClient:
    return PrometheusClient(source(prometheus))


def source(prometheus: PrometheusServer, **fields: Any) -> MetricsSource:
    return MetricsSource.model_validate({"name": "default", "url": prometheus.url, **fields})


def look(client: PrometheusClient, namespace: str, since: float, until: float, **options: Any) -> Collection:
    """Collect (END + since, END + until] of one namespace, with a clock far ahead."""
    return collect(
        client,
        namespaces=[namespace] if namespace else [],
        since=END + since,
        until=END + until,
        now=END + 7200,
        label_keys=("step",),
        options=CollectOptions(longest=1e6, **options),
    )


def limited(prometheus: PrometheusServer, series: int) -> PrometheusClient:
    """A client of a store that answers with fewer series than a configuration can ask for."""
    return PrometheusClient(source(prometheus).model_copy(update={"max_elements": series}))


def by_name(found: Collection) -> dict[str, PodFact]:
    return {fact.pod: fact for fact in found.facts}


def inside(fact: PodFact, name: str = "main") -> ContainerFact:
    return next(one for one in fact.containers if one.name == name)


def of(lives: Sequence[PodLife], namespace: str, name: str) -> PodLife:
    return next(life for life in lives if (life.namespace, life.pod) == (namespace, name))


def test_backfill_brings_every_run_and_every_value(client: PrometheusClient) -> None:
    found: dict[str, PodFact] = {}
    chunks = list(
        backfill(
            client, namespaces=["etl"], since=END - DAYS * 86_400, until=END, now=END + 7200, options=CollectOptions()
        )
    )
    for chunk in chunks:
        found.update({fact.uid: fact for fact in chunk.facts})
        assert chunk.queries <= MOST_QUERIES
        assert chunk.warnings == ()
        assert [note for note in chunk.missing if note.essential] == []
    assert [chunk.complete_until for chunk in chunks] == sorted((c.complete_until for c in chunks), reverse=True)
    assert {life.uid for life in ETL} == set(found)
    for life in ETL:
        _assert_equal(found[life.uid], life)


def _assert_equal(fact: PodFact, life: PodLife) -> None:
    """All that kube-state-metrics says is exact, what is sampled is within one interval."""
    assert (fact.namespace, fact.pod, fact.node) == (life.namespace, life.pod, life.node)
    assert (fact.owner_kind, fact.owner_name) == (life.owner_kind, life.owner_name)
    assert life.scheduled is not None and life.started is not None and life.finished is not None
    times = [int(time) for time in (life.created, life.scheduled, life.started, life.finished)]
    assert [fact.created, fact.scheduled, fact.started, fact.finished] == times
    assert (fact.phase, fact.vanished, fact.reason) == ("Succeeded", False, None)
    assert fact.overhead == life.overhead
    assert life.ready is not None
    seen = life.finished - life.ready > 30  # the condition is gone with the end
    assert fact.ready == int(life.ready) or (fact.ready is None and not seen)
    for container in life.containers:
        got = inside(fact, container.name)
        assert container.started is not None and container.finished is not None
        seconds = container.finished - container.started
        assert got.image == container.image
        assert got.started == int(container.started)
        assert (got.cpu_request, got.cpu_limit) == (0.5, 1.0)
        assert (got.memory_request, got.memory_limit) == (512 * MIB, 1024 * MIB)
        assert got.cpu_seconds is not None and got.cpu_sampled_seconds is not None
        rate = container.cpu_seconds / seconds
        assert container.cpu_seconds - 31 * rate <= got.cpu_seconds <= container.cpu_seconds + 0.001
        assert got.cpu_seconds / got.cpu_sampled_seconds == pytest.approx(rate, rel=0.1)
        assert got.samples is not None and abs(got.samples - seconds / 30) <= 1
        assert got.expected_samples is not None and abs(got.expected_samples - seconds / 30) <= 1.1
        assert got.throttled_share == pytest.approx(0.2, abs=0.01)
        assert not got.ambiguous
        if seconds >= 400:
            assert got.memory_sampled_peak == pytest.approx(container.memory_peak, rel=0.001)
            assert got.memory_kernel_peak == pytest.approx(container.memory_max, rel=0.001)
            assert got.cpu_peak_cores == pytest.approx(rate, rel=0.05)


@pytest.mark.parametrize("namespaces", [[], ["etl"]])
def test_spans_before_the_store_began_are_blind_and_others_are_not(
    client: PrometheusClient, namespaces: list[str]
) -> None:
    since, until = END - (DAYS + 1) * 86_400, END
    chunks = list(backfill(client, namespaces=namespaces, since=since, until=until, now=END + 7200))
    begun = END - DAYS * 86_400
    assert [c.blind for c in chunks] == [c.complete_until <= begun for c in chunks]
    assert sum(c.blind for c in chunks) >= 3


def test_cycles_bring_what_a_backfill_brings(client: PrometheusClient) -> None:
    """Six hours in steps of five minutes: nothing is lost between two looks, and repeats do not differ."""
    span = 6 * 3600
    seen: dict[str, list[PodFact]] = defaultdict(list)
    since = clock = END - span
    while clock < END:
        clock += 300
        found = collect(
            client, namespaces=["etl", "gone"], since=since, until=clock, now=END + 7200, options=CollectOptions()
        )
        assert found.queries <= MOST_QUERIES
        assert since <= found.complete_until <= clock
        for fact in found.facts:
            seen[fact.uid].append(fact)
        since = found.complete_until
    assert since == END
    whole = collect(
        client, namespaces=["etl", "gone"], since=END - span, until=END, now=END + 7200, options=CollectOptions()
    )
    wanted = {life.uid for life in ETL if life.finished is not None and END - span < life.finished <= END - 60}
    assert wanted <= set(seen)
    found_whole = {fact.uid for fact in whole.facts}
    assert wanted <= found_whole
    # At the edges either look may bring a pod more: it ended within the overlap before the span.
    early = {life.uid for life in ETL if life.finished is not None and life.finished <= END - span}
    assert found_whole ^ set(seen) <= early
    for fact in whole.facts:
        for other in seen.get(fact.uid, []):
            assert replace(other, containers=(), ready=None) == replace(fact, containers=(), ready=None)
            # The reading after an outage tells of pods again, and does not see what was only there while they ran.
            assert other.ready == fact.ready or (other.ready is None and (fact.finished or 0.0) <= END - 19_000)
            for one, two in zip(other.containers, fact.containers, strict=True):
                assert (one.cpu_seconds, one.memory_sampled_peak, one.samples) == (
                    two.cpu_seconds,
                    two.memory_sampled_peak,
                    two.samples,
                )


def test_per_metric_queries_bring_the_same(prometheus: PrometheusServer, client: PrometheusClient) -> None:
    plain = look(client, "etl", -20_000, 0)
    asking = PrometheusClient(source(prometheus, perMetricQueries=True))
    assert look(asking, "etl", -20_000, 0).facts == plain.facts
    assert len(plain.facts) > 10


@pytest.mark.parametrize("bounds", [{"named_pods": 1}, {"named_pods": 3}, {"longest_query": 2000}])
@pytest.mark.parametrize(("namespace", "since"), [("etl", -20_000), ("noid", -10_000), ("", -10_000)])
def test_pods_named_a_few_at_a_time_are_the_same(
    client: PrometheusClient, namespace: str, since: float, bounds: dict[str, int]
) -> None:
    whole, parts = look(client, namespace, since, 0), look(client, namespace, since, 0, **bounds)
    assert parts.facts == whole.facts
    assert parts.queries > whole.queries or len(whole.facts) <= 3


def test_answers_that_are_too_large_are_asked_for_with_fewer_names(
    prometheus: PrometheusServer, client: PrometheusClient
) -> None:
    """Neither namespaces nor time are split for that."""
    small = PrometheusClient(source(prometheus, maxElements=150))
    whole, parts = look(client, "etl", -20_000, 0), look(small, "etl", -20_000, 0)
    assert parts.facts == whole.facts
    assert (whole.shards, parts.shards) == (1, 1)
    assert parts.queries > whole.queries


def test_no_regular_expression_on_names_in_per_metric_queries() -> None:
    scope = QueryScope(namespaces=("a", "b"), run_labels=("example.com/run",), per_metric=True)
    for text in _all_queries(scope):
        assert "__name__=~" not in text
    assert any("__name__=~" in text for text in _all_queries(replace(scope, per_metric=False)))


def _all_queries(scope: QueryScope, pods: Sequence[str] = ("a.b", "c")) -> list[str]:
    window = TimeRange(900, 420)
    return [
        ended.finished(scope, window),
        ended.finished(scope, window, phased=True),
        queries.pods(scope, window, ("tekton.dev/pipelineTask",), pods),
        queries.jobs(scope, window),
        queries.jobs(scope, TimeRange(7200, 6780)),
        queries.jobs(scope, TimeRange(7200, 6780), ("nightly-1", "b")),
        ended.finished(scope, TimeRange(7200, 6780)),
        queries.pods_at(
            scope, TimeRange(7200, 6780), ("tekton.dev/pipelineTask",), {0: ["a.b"], 900: ["c"], 1800: ["d"]}
        ),
        queries.targets(scope, window),
        ended.presence(scope, window, pods),
        of_containers.counters(scope, window, pods),
        of_containers.usage(scope, window, pods),
        of_containers.life(scope, window, pods),
        ended.namespaces(scope, window),
        queries.shape(scope, window),
    ]


@pytest.mark.parametrize("namespaces", [(), ("etl",), ('odd"\\ns', "a|b")])
@pytest.mark.parametrize("pods", [(), ("one",), ("a.b", 'x"y')])
@pytest.mark.parametrize("per_metric", [False, True])
def test_every_query_is_understood(
    client: PrometheusClient, namespaces: tuple[str, ...], pods: tuple[str, ...], per_metric: bool
) -> None:
    scope = QueryScope(namespaces=namespaces, extra_matchers={"cluster": 'a"b'}, run_labels=("example.com/run",))
    for text in _all_queries(replace(scope, per_metric=per_metric), pods):
        found = client.instant(text, END)
        assert found.warnings == ()


def test_pods_of_one_name_keep_their_own_peaks(client: PrometheusClient) -> None:
    found = look(client, "reuse", -10_000, 0)
    peaks = [inside(fact).memory_sampled_peak for fact in sorted(found.facts, key=lambda fact: fact.created or 0)]
    assert peaks == [pytest.approx(size * MIB, rel=0.01) for size in (900, 100, 500)]
    assert not any(inside(fact).ambiguous for fact in found.facts)


def test_without_ids_reused_names_are_ambiguous_and_others_are_not(client: PrometheusClient) -> None:
    found = look(client, "noid", -10_000, 0)
    assert [(fact.pod, inside(fact).ambiguous) for fact in found.facts] == [
        ("once", False),
        ("train-0", True),
        ("train-0", True),
    ]
    (note,) = [note for note in found.missing if note.series.startswith("label id")]
    concerned, _, containers = note.effect.split()[:3]
    assert int(concerned) / int(containers) == pytest.approx(2 / 3)
    assert "do not drop the label id" in note.fix


def test_an_earlier_bearer_of_the_name_makes_it_ambiguous_too(client: PrometheusClient) -> None:
    """The first pod ended long before the watermark; its samples lie within the second one's window all the same."""
    (fact,) = look(client, "noid", -6200, -5000).facts
    assert (fact.pod, inside(fact).ambiguous) == ("train-0", True)


def test_labels_moved_by_a_scrape_without_honor_labels_are_found(client: PrometheusClient) -> None:
    found = look(client, "moved", -5000, 0)
    assert sorted(by_name(found)) == ["step-a", "step-b"]
    fact = by_name(found)["step-a"]
    assert (fact.namespace, fact.phase, fact.finished) == ("moved", "Succeeded", END - 4000 + 608)
    assert inside(fact).memory_sampled_peak == pytest.approx(300 * MIB, rel=0.01)
    assert found.queries <= MOST_QUERIES
    fixes = " ".join(str(note) for note in found.missing)
    assert "kube-state-metrics series" in fixes and "container series" in fixes and "honor_labels: true" in fixes


def test_two_replicas_of_kube_state_metrics_count_once(client: PrometheusClient) -> None:
    found = look(client, "replicas", -5000, 0)
    _assert_equal(by_name(found)["step-a"], of(SITUATIONS, "replicas", "step-a"))
    assert len(found.facts) == 1


def test_a_pod_gone_before_its_end_was_scraped(client: PrometheusClient) -> None:
    facts = by_name(look(client, "gone", -5000, 0))
    quick, kept = facts["quick"], facts["kept"]
    assert (quick.vanished, quick.finished, quick.phase) == (True, None, None)
    end = of(SITUATIONS, "gone", "quick").finished
    assert end is not None and quick.last_seen is not None
    assert end - 30 <= quick.last_seen <= end + 5
    assert inside(quick).finished is None
    assert inside(quick).cpu_seconds == pytest.approx(300, rel=0.06)
    assert (kept.vanished, kept.last_seen, kept.finished) == (False, None, END - 4000 + 608)


def test_a_finished_pod_does_not_come_back_when_its_object_goes(client: PrometheusClient) -> None:
    life = of(SITUATIONS, "gone", "kept")
    assert life.finished is not None and life.deleted is not None
    gone = life.deleted - END
    assert "kept" not in by_name(look(client, "gone", gone - 600, gone + 900))


def test_while_kube_state_metrics_is_down_nothing_is_believed_gone(client: PrometheusClient) -> None:
    found = look(client, "outage", -20_300, -19_300)
    assert found.facts == ()
    assert found.held == 3
    assert found.complete_until < END - 20_000
    (note,) = [note for note in found.missing if note.series == "kube_pod_info"]
    assert "kube-state-metrics is down" in note.effect and note.essential


def test_after_an_outage_nothing_is_lost(client: PrometheusClient) -> None:
    before = look(client, "outage", -20_300, -19_300)
    found = look(client, "outage", before.complete_until - END, -18_000)
    facts = by_name(found)
    assert sorted(facts) == ["ended-inside", "vanished-inside"]
    assert facts["ended-inside"].finished == END - 21_000 + 8 + 1500
    assert facts["vanished-inside"].vanished
    assert found.complete_until == END - 18_000
    later = by_name(look(client, "outage", -18_000, -10_000))
    assert later["through"].finished == END - 21_000 + 8 + 6000


def test_an_outage_is_no_end_of_its_own_when_backfilled(client: PrometheusClient) -> None:
    found: dict[str, PodFact] = {}
    for chunk in backfill(
        client,
        namespaces=["outage"],
        since=END - 30_000,
        until=END,
        now=END + 7200,
        options=CollectOptions(longest=1800),
    ):
        found.update({fact.pod: fact for fact in chunk.facts})
    assert {name: fact.vanished for name, fact in found.items()} == {
        "through": False,
        "ended-inside": False,
        "vanished-inside": True,
    }


def test_lives_longer_than_a_cycle_are_measured_whole(client: PrometheusClient) -> None:
    """A peak in the first hour of eight is found by a look of five minutes at the end."""
    facts = by_name(look(client, "long", -8 * 3600, 0))
    eight, thirty = facts["eight-hours"], facts["thirty-hours"]
    assert inside(eight).memory_sampled_peak == pytest.approx(700 * MIB, rel=0.01)
    for fact, hours in ((eight, 8), (thirty, 30)):
        assert inside(fact).samples == pytest.approx(hours * 120, abs=2)
        assert inside(fact).expected_samples == pytest.approx(inside(fact).samples, rel=0.01)
        assert inside(fact).cpu_seconds == pytest.approx(0.5 * hours * 3600, rel=0.01)


def test_services_and_running_pods_are_left_out(client: PrometheusClient) -> None:
    assert sorted(by_name(look(client, "mixed", -5000, 0))) == ["done"]


def test_pods_without_an_owner_count_by_label(client: PrometheusClient) -> None:
    assert look(client, "graph", -5000, 0).facts == ()
    (fact,) = look(client, "graph", -5000, 0, run_labels=("example.com/run",)).facts
    assert fact.pod == "spark-1"
    assert fact.labels == {"example_com_run": "r1", "step": "extract"}
    assert (fact.owner_kind, fact.owner_name) == (None, None)


def test_failures_and_their_reasons(client: PrometheusClient) -> None:
    found = look(client, "fail", -5000, 0)
    facts = by_name(found)
    assert (facts["oom"].phase, inside(facts["oom"]).reason) == ("Failed", "OOMKilled")
    assert inside(facts["oom"]).oom_events == 1
    init = inside(facts["oom"], "init")
    assert (init.init, init.image, init.memory_request) == (True, "init:1", 64 * MIB)
    evicted = facts["evicted"]
    assert (evicted.phase, evicted.reason, evicted.vanished) == ("Failed", "Evicted", False)
    end = of(SITUATIONS, "fail", "evicted").finished
    assert end is not None and evicted.finished is not None
    assert 0 <= evicted.finished - end <= 45
    assert (facts["fine"].phase, inside(facts["fine"]).reason) == ("Succeeded", None)


def test_jobs_come_without_pods(client: PrometheusClient) -> None:
    found = look(client, "fail", -5000, 0)
    jobs = {job.name: job for job in found.jobs}
    assert sorted(jobs) == ["by-hand", "nightly-1", "nightly-3"]
    failed, fine, running = jobs["nightly-1"], jobs["nightly-3"], jobs["by-hand"]
    assert (failed.succeeded, failed.finished, failed.parallelism) == (False, None, 2)
    assert (fine.succeeded, fine.finished) == (True, END - 3390)
    assert (running.succeeded, running.owner_kind) == (None, None)
    assert found.job_owners == {
        ("fail", "nightly-1"): ("CronJob", "nightly"),
        ("fail", "nightly-3"): ("CronJob", "nightly"),
    }


def test_allow_lists_cost_what_they_cost_and_are_named(client: PrometheusClient) -> None:
    found = look(client, "allow", -5000, 0)
    assert len(found.facts) == 3
    for fact in found.facts:
        assert fact.created is None and fact.scheduled is None
        assert fact.started is not None and fact.finished is not None
        # cAdvisor knows the start of a container too.
        assert inside(fact).started == pytest.approx(fact.started + 6, abs=1)
        assert inside(fact).memory_kernel_peak is None and inside(fact).memory_sampled_peak is not None
    named = {note.series for note in found.missing}
    assert {"kube_pod_created", "kube_pod_status_scheduled_time", "container_memory_max_usage_bytes"} <= named
    assert "kube_pod_status_phase" not in named
    assert all("keep it in the metric" in note.fix for note in found.missing)


def test_an_unknown_namespace_is_quiet_and_an_unknown_cluster_is_not(
    prometheus: PrometheusServer, client: PrometheusClient
) -> None:
    quiet = look(client, "no-such-namespace", -5000, 0)
    assert (quiet.facts, quiet.missing, quiet.complete_until) == ((), (), END)
    other = PrometheusClient(source(prometheus, extraMatchers={"cluster": "elsewhere"}))
    lost = look(other, "etl", -5000, 0)
    assert lost.facts == ()
    (note,) = lost.missing
    assert "extraMatchers" in note.fix and note.essential


def test_a_scope_that_is_too_large_is_split_without_loss(
    prometheus: PrometheusServer, client: PrometheusClient
) -> None:
    whole = look(client, "", -30_000, 0)
    small = limited(prometheus, 40)
    facts: dict[str, PodFact] = {}
    shards = 0
    for chunk in backfill(
        small, namespaces=[], since=END - 30_000, until=END, now=END + 7200, options=CollectOptions()
    ):
        facts.update({fact.uid: fact for fact in chunk.facts})
        shards = max(shards, chunk.shards)
    assert shards > 1
    assert {fact.uid for fact in whole.facts} <= set(facts)


def test_a_look_that_is_too_large_is_read_in_spans(prometheus: PrometheusServer) -> None:
    small = limited(prometheus, 40)
    found = collect(
        small, namespaces=["etl"], since=END - 40_000, until=END, now=END + 7200, options=CollectOptions(longest=1e6)
    )
    assert (found.complete_until, found.left_out) == (END, ())
    assert found.shards > 1
    seen = {fact.uid for fact in found.facts}
    assert {life.uid for life in ETL if life.finished is not None and END - 40_000 < life.finished < END - 60} <= seen


def test_what_cannot_be_split_is_left_out_and_reported(prometheus: PrometheusServer) -> None:
    tiny = limited(prometheus, 5)
    found = collect(
        tiny,
        namespaces=["etl"],
        since=END - 86_400,
        until=END,
        now=END + 7200,
        options=CollectOptions(longest=1e6, shortest=80_000),
    )
    assert found.facts == ()
    assert {span.namespace for span in found.left_out} == {"etl"}


def test_the_newest_moment_waits_for_late_samples(client: PrometheusClient) -> None:
    found = collect(client, namespaces=["etl"], since=END - 900, until=END, now=END)
    assert found.complete_until == END - 60
    again = collect(client, namespaces=["etl"], since=END - 30, until=END, now=END)
    assert (again.queries, again.complete_until, again.facts) == (0, END - 30, ())


def test_a_store_without_anything(make_prometheus: Any) -> None:
    server = make_prometheus()
    found = look(PrometheusClient(source(server)), "etl", -900, 0)
    assert found.facts == ()
    assert [note.series for note in found.missing] == ["kube_pod_info"]


def test_a_store_that_goes_away_is_an_error_and_comes_back(prometheus: PrometheusServer) -> None:
    impatient = PrometheusClient(
        source(prometheus, timeoutSeconds=1, deadlineSeconds=1), tools=Tools(sleep=lambda _: None)
    )
    prometheus.stop()
    with pytest.raises((SourceUnreachable, TimedOut)):
        look(impatient, "etl", -5000, 0)
    prometheus.start()
    assert len(look(PrometheusClient(source(prometheus)), "etl", -20_000, 0).facts) > 10


def test_user_queries_cannot_leave_their_namespace(prometheus: PrometheusServer, client: PrometheusClient) -> None:
    """Two tenants, one store: whatever the query says, only the own namespace's pods are counted."""
    everything = client.instant("count(last_over_time(kube_pod_info[2d]))", END)
    own = client.instant('count(last_over_time(kube_pod_info{namespace="reuse"}[2d]))', END)
    attempts = [
        'count by (run) (label_replace(last_over_time(kube_pod_info[$window]), "run", "r", "", ""))',
        'count by (run) (label_replace(last_over_time(kube_pod_info{namespace=~".*"}[$window]), "run", "r", "", ""))',
        'count by (run) (label_replace(last_over_time(kube_pod_info{namespace!="reuse"}[$window]) or '
        'last_over_time(kube_pod_info[$window]), "run", "r", "", ""))',
        'count by (run) (label_replace(last_over_time({__name__=~"kube_pod_info"}[$window]), "run", "r", "", ""))',
        'count by (run) (label_replace(max_over_time(kube_pod_info[$window:1h]), "run", "r", "", ""))',
        'count by (run) (label_replace(last_over_time(kube_pod_info[$window] offset 1s), "run", "r", "", ""))',
        'count by (run) (label_replace(last_over_time(kube_pod_info[$window] @ end()), "run", "r", "", ""))',
    ]
    allowed = next(iter(own))[1]
    assert next(iter(everything))[1] > 10 * allowed
    for query in attempts:
        values = run_values(client, query, namespace="reuse", at=END, window=2 * 86_400)
        assert all(value <= allowed for value in values.values()), query


def test_user_queries_give_a_number_per_run(client: PrometheusClient) -> None:
    query = 'sum by (run) (label_replace(last_over_time(container_cpu_usage_seconds_total{container="main"}[$window]),'
    query += ' "run", "$1", "pod", "(.+)"))'
    values = run_values(client, query, namespace="gone", at=END, window=5000)
    assert values["kept", ""] == pytest.approx(300, rel=0.06)
    assert ("no-such-run", "") not in values


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=random_queries)
def test_prometheus_itself_sees_the_fence(prometheus: PrometheusServer, query: str) -> None:
    """The parser that fences is not the one that evaluates: Prometheus' own syntax tree must say the same."""
    try:
        text = fence(query, namespace="team-a", window=600, extra_matchers={"cluster": 'prod"1'})
    except QueryRefused:
        return
    wanted = [("namespace", "=", "team-a"), ("cluster", "=", 'prod"1')]
    answer = json.loads(http_get(f"{prometheus.url}/api/v1/parse_query?{urlencode({'query': text})}", timeout=10))
    found = list(_vector_selectors(answer["data"]))
    assert found
    for matchers in found:
        assert set(wanted) <= matchers, text


def _vector_selectors(node: Any) -> Iterator[set[tuple[str, str, str]]]:
    if isinstance(node, list):
        for one in node:
            yield from _vector_selectors(one)
    elif isinstance(node, dict):
        if node.get("type") in ("vectorSelector", "matrixSelector"):
            yield {(one["name"], one["type"], one["value"]) for one in node["matchers"]}
        for one in node.values():
            yield from _vector_selectors(one)
