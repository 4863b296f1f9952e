"""Collecting from a store that fails in the middle: whole or not at all; and the pure judgements behind it."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.model import ContainerFact, PodFact
from concertmaster.engines.common.names import pod_label
from concertmaster.net.retry import Tools
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import (
    AuthFailed,
    BadQuery,
    MetricsError,
    NotPrometheus,
    PartialAnswer,
    SourceUnreachable,
    TimedOut,
    TooLarge,
)
from concertmaster.prometheus.client.vector import Vector
from concertmaster.prometheus.collect.extra import KeyLabels, run_values
from concertmaster.prometheus.collect.reading import Collection, CollectOptions, backfill, collect
from concertmaster.prometheus.facts import assemble, missing_series, vanished_pods
from concertmaster.prometheus.facts.assemble import estimate_interval
from concertmaster.prometheus.facts.cgroups import cgroup_uid
from concertmaster.prometheus.facts.container_usage import Usage, read_usage
from concertmaster.prometheus.facts.drafts import PodDraft, read_ends
from concertmaster.prometheus.facts.vanished_pods import ScrapeTargets, split
from concertmaster.prometheus.queries import bulk as queries
from concertmaster.prometheus.queries import recording_rule as recorded
from concertmaster.prometheus.queries.scope import PLAIN, QueryScope, TimeRange
from concertmaster.settings import MetricsSource
from concertmaster.settings.source import POD_LABEL_PREFIX, STATE_LABELS, USAGE_LABELS
from tests.support.data.metrics_store import Asked, Labels, Reply, Store, failure, running, vector

NOW = 1_000_000.0
A = {"namespace": "etl", "pod": "run-1-a", "uid": "0000-a"}
CGROUP = "/kubepods/burstable/pod0000-a/c1"
Rows = Sequence[tuple[Labels, Any]]
MOVED_ROWS: Rows = (({"stat": "any"}, 1), ({"stat": "pod", "exported_namespace": "etl", "exported_pod": "a"}, 1))


def rows(query: str) -> Rows:
    """A small healthy harness: one Workflow pod that ran from NOW-500 to NOW-200, one Job."""
    main = {"namespace": "etl", "pod": "run-1-a", "container": "main", "id": CGROUP}
    if query.startswith("count by (namespace) ("):
        return [({"namespace": "etl"}, 1)]
    if '"records"' in query:
        target = {"job": "ksm", "instance": "k:1"}
        return [({"stat": stat, **target}, 1) for stat in ("up", "seen", "now")] + [({"stat": "interval"}, 30)]
    if "kube_job_owner" in query:
        return [
            (
                {
                    "__name__": "kube_job_owner",
                    "namespace": "etl",
                    "job_name": "j",
                    "owner_kind": "CronJob",
                    "owner_name": "c",
                },
                1,
            )
        ]
    if "kube_pod_created" in query:
        info = {"created_by_kind": "Workflow", "created_by_name": "run-1"}
        requests = {"__name__": "kube_pod_container_resource_requests", "container": "main"}
        return [
            ({"__name__": "kube_pod_info", **A, "node": "n1", **info}, 1),
            ({"__name__": "kube_pod_created", **A}, NOW - 505),
            ({"__name__": "kube_pod_status_ready_time", **A}, NOW - 498),
            ({"__name__": "kube_pod_completion_time", **A}, NOW - 200),
            ({"__name__": "kube_pod_container_info", **A, "container": "main", "image_spec": "app:1"}, 1),
            ({"__name__": "kube_pod_container_state_started", **A, "container": "main"}, NOW - 500),
            ({"__name__": "kube_pod_status_phase", **A, "phase": "Succeeded"}, 1),
            ({**requests, **A, "resource": "cpu"}, 0.5),
            ({**requests, **A, "resource": "memory"}, 1e9),
            ({"__name__": "kube_pod_labels", **A, "label_step": "a"}, 1),
        ]
    if "kube_pod_status_phase" in query:
        return [(A, 1)]
    if '"burst"' in query:
        return [
            ({"__name__": "container_cpu_usage_seconds_total", **main}, 120),
            ({"__name__": "container_start_time_seconds", **main}, NOW - 500),
            *[({"stat": stat, **main}, value) for stat, value in (("peak", 5e8), ("samples", 10), ("last", NOW - 205))],
        ]
    raise AssertionError(query)


@pytest.fixture
def store() -> Iterator[Store]:
    with running() as found:
        found.script = lambda asked: vector(rows(asked.query))
        yield found


def client(store: Store, **fields: Any) -> PrometheusClient:
    source = MetricsSource.model_validate({"name": "main", "url": store.url, **fields})
    return PrometheusClient(source, tools=Tools(sleep=lambda _: None, chance=lambda: 0.0))


def look(asking: PrometheusClient, **options: Any) -> Collection:
    return collect(
        asking,
        namespaces=["etl"],
        since=NOW - 600,
        until=NOW,
        now=NOW + 60,
        label_keys=("step",),
        options=CollectOptions(**options),
    )


STATE = {name: f"x_{name}" for name in STATE_LABELS}
USAGE = {name: f"y_{name}" for name in USAGE_LABELS}


def relabelled(labels: Labels, family: Mapping[str, str]) -> Labels:
    """What a store that relabels hands out: every label of the family under its other name."""
    prefix = family.get(POD_LABEL_PREFIX, POD_LABEL_PREFIX)
    return {
        family.get(name, f"{prefix}{name.removeprefix(POD_LABEL_PREFIX)}" if name.startswith("label_") else name): value
        for name, value in labels.items()
    }


def test_a_store_that_relabels_everything_gives_the_same_facts(store: Store) -> None:
    plain = look(client(store))
    queries = [asked.query for asked in store.asked]

    def other(asked: Asked) -> Reply:
        family = USAGE if "y_container" in asked.query and "x_uid" not in asked.query else STATE
        family = USAGE if '"burst"' in asked.query else family
        return vector([(relabelled(labels, family), value) for labels, value in rows(asked.query)])

    store.script, store.asked = other, []
    names = {"stateMetrics": STATE, "containerMetrics": USAGE}
    found = look(client(store, labels=names))
    assert found.facts == plain.facts and found.jobs == plain.jobs
    assert len(store.asked) == len(queries)
    for asked in store.asked:
        written = set(re.findall(r"[a-z_]+(?=[!=]~?\")", asked.query)) - {"__name__", "figure", "stat"}
        assert not written & {*STATE_LABELS, *USAGE_LABELS}, "a label is matched by the exporter's name"
        for inside in re.findall(r"(?:by|on) \(([^()]*)\)", asked.query):
            assert not {*inside.split(", ")} & {*STATE_LABELS, *USAGE_LABELS}, (
                "a label is grouped by the exporter's name"
            )


def test_a_store_that_drops_names_gives_the_same_facts(store: Store) -> None:
    """Where it forgets the names of series under a function, each is asked for with its name as a label."""
    plain = look(client(store))

    def other(asked: Asked) -> Reply:
        named = [
            ({"series" if k == "__name__" else k: v for k, v in of.items()}, value) for of, value in rows(asked.query)
        ]
        return vector(named)

    store.script = other
    found = look(client(store))
    assert found.facts == plain.facts and found.jobs == plain.jobs


def test_a_healthy_store(store: Store) -> None:
    found = look(client(store))
    (fact,) = found.facts
    assert (fact.pod, fact.owner_name, fact.finished, fact.labels) == ("run-1-a", "run-1", NOW - 200, {"step": "a"})
    (inside,) = fact.containers
    assert (inside.image, inside.cpu_request, inside.cpu_seconds, inside.cpu_sampled_seconds) == (
        "app:1",
        0.5,
        120.0,
        295.0,
    )
    assert (inside.samples, inside.expected_samples) == (10, 10)
    assert (found.since, found.complete_until, found.queries, found.held) == (NOW - 600, NOW, 5, 0)
    assert found.job_owners == {("etl", "j"): ("CronJob", "c")}
    assert all(asked.url == {} for asked in store.asked)
    *before, life = store.asked
    assert all(asked.body["time"] == "1000000.000" for asked in before)
    assert life.body["time"] == "1000060.000", "the last samples of a container come after its end"


def test_a_pod_that_was_read_whole_is_not_asked_for_again(store: Store) -> None:
    asking = client(store)
    found = look(asking)
    assert found.settled == {A["uid"]}
    before = len(store.asked)
    again = look(asking, settled=found.settled)
    assert (again.facts, again.settled, again.complete_until) == ((), frozenset(), NOW)
    assert not any('"burst"' in a.query or "kube_pod_created" in a.query for a in store.asked[before:])


def test_whether_a_name_was_borne_twice_is_asked_where_series_lack_the_uid(store: Store) -> None:
    look(client(store))
    assert not [asked for asked in store.asked if asked.query.endswith("> 1")]

    def script(asked: Asked) -> Reply:
        if asked.query.endswith("> 1"):
            return vector([({"namespace": "etl", "pod": "run-1-a"}, 2)])
        return vector(
            [({**labels, "id": ""} if "id" in labels else labels, value) for labels, value in rows(asked.query)]
        )

    store.script, store.asked = script, []
    (fact,) = look(client(store)).facts
    assert len([asked for asked in store.asked if asked.query.endswith("> 1")]) == 1
    assert fact.containers[0].ambiguous


def test_a_long_reading_looks_back_on_a_life_from_soon_after_its_end(store: Store) -> None:
    """From the end of a day, steps of subqueries would be four times as wide, and figures of short pods other ones."""

    def script(asked: Asked) -> Reply:
        found = rows(asked.query)
        return vector([(labels, v - 30_000 if isinstance(v, float) and v > NOW / 2 else v) for labels, v in found])

    store.script = script
    day = 86_400.0
    collect(
        client(store), namespaces=["etl"], since=NOW - day, until=NOW, now=NOW + 60, options=CollectOptions(longest=day)
    )
    (life,) = [asked for asked in store.asked if '"burst"' in asked.query]
    assert float(life.body["time"]) == NOW + 60 - 6 * 3600
    assert max(map(int, re.findall(r"\[(\d+)s[]:]", life.query))) <= 6 * 3600
    others = {asked.body["time"] for asked in store.asked if asked is not life}
    assert others == {f"{NOW:.3f}"}


FAULTS: list[tuple[str, Reply, type[MetricsError]]] = [
    ("503", failure(503, "unavailable", "down"), SourceUnreachable),
    ("422", failure(422, "execution", "bad"), BadQuery),
    ("400", failure(400, "bad_data", "bad"), BadQuery),
    ("login", Reply(b"", 302, {"Location": "https://login.example.com/?token=x"}), AuthFailed),
    ("401", Reply(b"", 401), AuthFailed),
    ("page", Reply(b"<html>", 200, {"Content-Type": "text/html"}), NotPrometheus),
    ("cut", Reply(vector([({}, 1)]).body[:50]), PartialAnswer),
    ("warnings", vector([], warnings=["store-7 unreachable"]), PartialAnswer),
    ("isPartial", vector([], isPartial=True), PartialAnswer),
    ("slow", Reply(delay=1.0), TimedOut),
    ("odd", Reply(b"{}"), NotPrometheus),
]


@pytest.mark.parametrize(("reply", "error"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
@pytest.mark.parametrize("place", [0, 2, 3, 4])
def test_one_fault_anywhere_and_nothing_is_used(
    store: Store, place: int, reply: Reply, error: type[MetricsError]
) -> None:
    healthy = look(client(store))
    store.asked.clear()

    def script(asked: Asked) -> Reply:
        return reply if len(store.asked) > place else vector(rows(asked.query))

    store.script = script
    # Beside other load even a good answer takes longer than 0.3 s now and then.
    patience = {"timeoutSeconds": 0.3, "deadlineSeconds": 1} if error is TimedOut else {}
    asking = client(store, maxElements=200, **patience)
    with pytest.raises(error) as caught:
        look(asking, shortest=600.0)
    assert "main" in str(caught.value) and "token" not in str(caught.value)
    store.script = lambda asked: vector(rows(asked.query))
    assert look(client(store)) == healthy


def test_numbers_that_are_none_are_missing_not_zero(store: Store) -> None:
    spoiled: dict[str, Any] = {"container_cpu_usage_seconds_total": "NaN", "samples": "NaN", "peak": "+Inf"}

    def script(asked: Asked) -> Reply:
        found = rows(asked.query)
        return vector(
            [(labels, spoiled.get(labels.get("__name__", labels.get("stat", "")), value)) for labels, value in found]
        )

    store.script = script
    found = look(client(store))
    inside = found.facts[0].containers[0]
    assert (inside.cpu_seconds, inside.memory_sampled_peak) == (None, None)
    assert inside.samples == 0  # the container is sampled elsewhere in the metrics source, and this one was not
    assert found.warnings == ("3 samples had no usable number (NaN or infinite) and were left out",)


@pytest.mark.parametrize("seed", range(40))
def test_numbers_beyond_sense_end_no_reading(store: Store, seed: int) -> None:
    """An interval of 1e-300 s made a loop of 1e300 rounds, which stopped the operator for everybody."""
    chance = random.Random(seed)
    nonsense = ("-1", "0", "1e308", "-1e308", "1e-300", "9e17", "-9e17", "1e19", "1e100")

    def script(asked: Asked) -> Reply:
        try:
            known = list(rows(asked.query))
        except AssertionError:  # queries a healthy store is never asked
            known = []
        return vector([(labels, chance.choice((value, *nonsense))) for labels, value in known])

    store.script = script
    found = look(client(store))
    for fact in found.facts:
        for inside in fact.containers:
            assert inside.expected_samples is None or 0 < inside.expected_samples < 2**63
            for amount in (inside.cpu_seconds, inside.memory_sampled_peak, inside.memory_request, inside.cpu_request):
                assert amount is None or abs(amount) <= 1e18


def test_an_empty_store_is_asked_little_and_named(store: Store) -> None:
    store.script = [vector([])]
    found = look(client(store))
    assert (found.facts, found.queries, found.complete_until) == ((), 2, NOW)
    (note,) = found.missing
    assert "etl" not in note.effect  # other tenants read this too
    assert note.essential


TOO_LARGE = [({"uid": str(n)}, n) for n in range(100)]


def span(asked: Asked) -> float:
    """Seconds of the reading in which it is asked which pods ended; 0 for other queries."""
    window = re.search(r"\[(\d+)s\]", asked.query) if asked.query.startswith("group by") else None
    return float(window[1]) - 300 - 120 if window else 0.0


def test_where_all_labels_were_moved_those_of_the_scraper_are_never_asked_for(store: Store) -> None:
    """Over all namespaces, every pod would seem to be of the namespace of kube-state-metrics, and to have its name."""
    store.script = lambda asked: vector(MOVED_ROWS if '"placed"' in asked.query else rows(asked.query))
    for moved in (False, True):
        store.asked.clear()
        asking = client(store)
        asking.traits.moved = moved
        collect(asking, namespaces=[], since=NOW - 600, until=NOW, now=NOW + 60)
        selectors = [q.query for q in store.asked if "kube_pod_info{" in q.query and '"placed"' not in q.query]
        assert selectors and all(("exported_namespace" in query) is moved for query in selectors)


def test_a_truncated_answer_is_asked_for_in_halves(store: Store) -> None:
    store.script = lambda asked: vector(TOO_LARGE if span(asked) > 300 else rows(asked.query))
    found = look(client(store, maxElements=100))
    assert (found.complete_until, found.left_out, found.shards) == (NOW, (), 2)
    assert {fact.pod for fact in found.facts} == {"run-1-a"}


def test_two_halves_are_asked_for_at_the_same_time(store: Store) -> None:
    """One is evaluated while the other is decoded; and every query is counted once."""
    slow = 2.0  # seconds
    begun: list[float] = []

    def script(asked: Asked) -> Reply:
        if span(asked):
            spaces = {name for name in ("etl", "a", "b", "c") if re.search(rf"[|\"]{name}[|\"]", asked.query)}
            if len(spaces) == 4:
                return vector(TOO_LARGE)
            begun.append(time.monotonic())
            return replace(vector(rows(asked.query)), delay=slow)
        return vector(rows(asked.query))

    store.script = script
    names = ["a", "b", "c", "etl"]
    found = collect(client(store, maxElements=100), namespaces=names, since=NOW - 3600, until=NOW, now=NOW + 60)
    assert (found.complete_until, found.shards) == (NOW, 2)
    assert begun[1] - begun[0] < slow  # the second was asked before the first had its answer
    assert {fact.pod for fact in found.facts} == {"run-1-a"}
    assert found.queries == len(store.asked)


def test_nothing_is_asked_any_more_for_a_span_that_was_given_up(store: Store) -> None:
    """One half fails while the other is still being read."""

    def script(asked: Asked) -> Reply:
        if span(asked):
            spaces = {name for name in ("a", "b", "c", "etl") if re.search(rf"[|\"]{name}[|\"]", asked.query)}
            if len(spaces) == 4:
                return vector(TOO_LARGE)
            return (
                failure(403, "forbidden", "not for you")
                if "c" in spaces
                else replace(vector(rows(asked.query)), delay=1.0)
            )
        return vector(rows(asked.query))

    store.script = script
    with pytest.raises(AuthFailed):
        collect(
            client(store, maxElements=100), namespaces=["a", "b", "c", "etl"], since=NOW - 3600, until=NOW, now=NOW + 60
        )
    asked = len(store.asked)
    time.sleep(1.5)
    assert len(store.asked) == asked


@pytest.mark.parametrize(
    "said", ["query timed out in expression evaluation", "expanding series: context deadline exceeded"]
)
@pytest.mark.parametrize("at_once", [1, 2])
def test_a_busy_store_is_asked_for_shorter_spans_of_the_past(store: Store, said: str, at_once: int) -> None:
    """Else the same query runs into the same limit in every cycle, and the past is never read."""
    ended = failure(503, "timeout", said) if said.startswith("query") else failure(422, "execution", said)
    store.script = lambda asked: ended if span(asked) > 8000 else vector(rows(asked.query))
    day = 86_400.0
    asking = client(store)
    parts = list(backfill(asking, namespaces=["etl"], since=NOW - day, until=NOW, now=NOW + 60, at_once=at_once))
    assert (parts[0].complete_until, parts[-1].since) == (NOW, NOW - day)
    assert all(later.complete_until == earlier.since for earlier, later in pairwise(parts))
    store.script = lambda asked: ended if span(asked) else vector(rows(asked.query))
    with pytest.raises(TimedOut):
        next(backfill(client(store), namespaces=["etl"], since=NOW - day, until=NOW, now=NOW + 60))


@pytest.mark.parametrize("hours", [0.1, 1, 6])
def test_what_is_too_large_over_the_shortest_span_is_left_out_for_its_namespace_alone(
    store: Store, hours: float
) -> None:
    """One Job of thousands of containers that runs all the time."""
    spaces = ["etl", *(f"team-{n}" for n in range(7))]

    def script(asked: Asked) -> Reply:
        return vector(TOO_LARGE if span(asked) and "team-3" in asked.query else rows(asked.query))

    store.script = script
    found = collect(
        client(store, maxElements=100), namespaces=spaces, since=NOW - hours * 3600, until=NOW, now=NOW + 60
    )
    assert found.complete_until == NOW
    assert {fact.pod for fact in found.facts} == {"run-1-a"}
    assert {left.namespace for left in found.left_out} == {"team-3"}
    assert (found.left_out[0].since, found.left_out[-1].until) == (NOW - hours * 3600, NOW)
    assert all(a.until == b.since for a, b in pairwise(found.left_out))
    assert found.left_out[0].until - found.left_out[0].since <= 60
    asked = Counter((asked.query, asked.body["time"]) for asked in store.asked)
    assert max(asked.values()) == 1  # the same is never asked again
    assert found.queries < 150


def test_spans_of_a_namespace_that_fit_are_read_beside_those_that_do_not(store: Store) -> None:
    """The large Job ended within one minute: nothing but that minute is lost."""
    bad = NOW - 1_800.0

    def script(asked: Asked) -> Reply:
        end, length = float(asked.body["time"]), span(asked)
        return vector(TOO_LARGE if length and end - length < bad <= end else rows(asked.query))

    store.script = script
    found = collect(client(store, maxElements=100), namespaces=["etl"], since=NOW - 3_600, until=NOW, now=NOW + 60)
    assert found.complete_until == NOW
    assert sum(left.until - left.since for left in found.left_out) <= 240
    (first, *_) = found.left_out
    assert first.since < bad
    assert found.queries < 200


def test_a_store_that_refuses_everybody_loses_nothing(store: Store) -> None:
    store.script = lambda asked: vector(TOO_LARGE)
    asking = client(store, maxElements=100)
    with pytest.raises(TooLarge, match="Raise the limits of the metrics source or maxElements"):
        collect(asking, namespaces=["a", "b"], since=NOW - 600, until=NOW, now=NOW + 60)
    with pytest.raises(TooLarge):
        next(backfill(asking, namespaces=["a", "b"], since=NOW - 600, until=NOW, now=NOW + 60))


def chunks(store: Store, longest: float, namespaces: Sequence[str], at_once: int = 1) -> list[Collection]:
    """A backfill of ten hours when timelines over more than ``longest`` seconds are truncated, and names over any."""

    def script(asked: Asked) -> Reply:
        names = asked.query.startswith("count by (namespace)")
        return vector(TOO_LARGE if names or span(asked) > longest else rows(asked.query))

    store.script = script
    return list(
        backfill(
            client(store, maxElements=100),
            namespaces=namespaces,
            since=NOW - 36_000,
            until=NOW,
            now=NOW + 60,
            options=CollectOptions(),
            at_once=at_once,
        )
    )


def ends(found: Sequence[Collection]) -> list[tuple[float, float]]:
    return [(chunk.since - NOW, chunk.complete_until - NOW) for chunk in found]


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_backfill_goes_backwards_without_gaps(store: Store, at_once: int) -> None:
    assert ends(chunks(store, 99_999, ["etl"], at_once)) == [(-21_600, 0), (-36_000, -21_600)]


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_a_namespace_that_is_too_large_is_read_in_parts_of_its_chunk(store: Store, at_once: int) -> None:
    found = chunks(store, 10_800, ["etl"], at_once)
    assert ends(found) == [(-21_600, 0), (-36_000, -21_600)]
    assert [(chunk.shards, chunk.left_out) for chunk in found] == [(2, ()), (2, ())]


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_a_chunk_of_unknown_namespaces_that_is_too_large_is_halved_and_later_ones_grow_again(
    store: Store, at_once: int
) -> None:
    found = ends(chunks(store, 10_800, [], at_once))
    assert found[0] == (-10_800, 0)
    assert found[-1][0] == -36_000
    assert all(newer[0] == older[1] for newer, older in pairwise(found))


def test_a_source_evaluates_the_next_chunk_while_one_is_used(store: Store) -> None:
    store.script = lambda asked: vector(rows(asked.query))
    oldest = NOW - 43_200
    reading = backfill(client(store), namespaces=["etl"], since=oldest, until=NOW, now=NOW + 60, at_once=2)
    first = next(reading)
    until = time.monotonic() + 30
    while not any(float(asked.body["time"]) == first.since for asked in store.asked):
        assert time.monotonic() < until, "nothing older was asked for"
        time.sleep(0.01)
    (second,) = reading
    assert (second.since, second.complete_until) == (oldest, first.since)


@pytest.mark.parametrize(("older", "expected"), [(False, [6, 240]), (True, [6, 12, 18, 24])])
def test_a_long_time_without_pods_is_one_query(store: Store, older: bool, expected: list[int]) -> None:
    """Of what lies before an empty chunk, one query tells whether there is anything."""
    namespaces = [({"namespace": "etl"}, "1")] if older else []

    def answer(asked: Asked) -> Reply:
        of_all = asked.query.startswith("count by (namespace) (") and "[842820s]" in asked.query
        return vector(namespaces if of_all else [])

    store.script = answer
    reading = backfill(client(store), namespaces=["etl"], since=NOW - 864_000, until=NOW, now=NOW + 60, at_once=1)
    first = list(islice(reading, 4))
    assert [int(NOW - chunk.since) // 3600 for chunk in first] == expected
    assert sum("[842820s]" in asked.query for asked in store.asked) == 1


def _nightly(asked: Asked) -> Reply:
    """Pods between 7 and 8 h and between 31 and 32 h before NOW, none else, and a Job at any time."""
    end = float(asked.body["time"])
    busy = any(end - 6 * 3600 < NOW - hours * 3600 < end for hours in (7.5, 31.5))
    if '"any"' in asked.query:
        return vector([({"stat": "any"}, 1)])
    return vector(rows(asked.query) if busy or "kube_job_owner" in asked.query else [])


def test_of_a_span_after_one_without_pods_it_is_asked_first_whether_it_has_any(store: Store) -> None:
    """What exposes pods takes a source several times as long, and twice where there are none."""
    store.script = _nightly
    reading = backfill(client(store), namespaces=["etl"], since=NOW - 172_800, until=NOW, now=NOW + 60, at_once=1)
    chunks = {int(NOW - chunk.complete_until) // 3600: chunk for chunk in reading}
    assert {hours for hours, chunk in chunks.items() if chunk.facts} == {6, 30}
    targets = Counter(int(NOW - float(q.body["time"])) // 3600 for q in store.asked if '"seen"' in q.query)
    assert targets == {0: 2, 6: 1, 12: 2, 30: 1, 36: 2}
    assert all(chunk.jobs for hours, chunk in chunks.items() if hours in {18, 24, 42})
    assert not any(chunk.blind or chunk.missing for chunk in chunks.values())


def test_a_reading_of_the_past_that_goes_on_asks_the_same_of_its_first_span(store: Store) -> None:
    """Each round of a long reading covers a few spans: it would learn of none of them that it is quiet."""
    store.script = _nightly
    since, until = NOW - 57_600, NOW - 36_000
    (chunk,) = backfill(client(store), namespaces=["etl"], since=since, until=until, now=NOW + 60, at_once=1)
    assert (chunk.since, chunk.complete_until, chunk.blind) == (since, until, False)
    assert not any('"seen"' in asked.query for asked in store.asked)


@pytest.mark.parametrize("source", [MOVED_ROWS, ()], ids=["labels moved", "nothing at all"])
def test_a_span_in_which_no_pod_can_be_seen_is_told_from_one_without_pods(store: Store, source: Rows) -> None:
    store.script = lambda asked: vector(source if '"any"' in asked.query else [])
    options = CollectOptions(longest=43_200)
    reading = backfill(
        client(store), namespaces=["etl"], since=NOW - 86_400, until=NOW - 7200, now=NOW, options=options, at_once=1
    )
    (first, *_) = reading
    assert first.blind == (not source)
    assert any('"seen"' in q.query and "exported_namespace" in q.query for q in store.asked) == bool(source)


def test_a_backfill_that_breaks_off_keeps_what_it_gave(store: Store) -> None:
    chunks: list[Collection] = []
    with pytest.raises(SourceUnreachable):
        for chunk in backfill(
            client(store), namespaces=["etl"], since=NOW - 86_400, until=NOW, now=NOW + 60, at_once=1
        ):
            chunks.append(chunk)
            store.script = [failure(503, "", "down")]
    assert [chunk.since for chunk in chunks] == [NOW - 21_600]


def test_nothing_to_look_at_asks_nothing(store: Store) -> None:
    found = collect(client(store), namespaces=["etl"], since=NOW, until=NOW + 30, now=NOW + 30)
    assert (found.complete_until, found.queries, store.asked) == (NOW, 0, [])


def test_a_long_absence_is_caught_up_in_pieces(store: Store) -> None:
    found = collect(client(store), namespaces=["etl"], since=NOW - 90_000, until=NOW, now=NOW + 60)
    assert found.complete_until == NOW - 90_000 + 21_600


def test_extra_matchers_and_parameters_are_on_every_query(store: Store) -> None:
    look(client(store, extraMatchers={"cluster": "prod-1"}, queryParams={"dedup": "true"}))
    for asked in store.asked:
        assert asked.body["dedup"] == "true"
        selectors = asked.query.count("{")
        assert asked.query.count('cluster="prod-1"') == selectors


def test_the_worst_case_keeps_the_budget(store: Store) -> None:
    """Labels in use, moved labels, pods without a known end, lives of all lengths: ten requests, not one more."""
    lives = {"short": 600, "hours": 4 * 3600, "day": 20 * 3600, "days": 80 * 3600}
    pods = [{"exported_namespace": "etl", "exported_pod": name, "uid": name} for name in lives]

    def script(asked: Asked) -> Reply:
        query = asked.query
        if '"any"' in query:
            moved = {"exported_namespace": "etl", "exported_pod": "short", "namespace": "monitoring", "pod": "ksm-0"}
            return vector([({"stat": "any"}, 1), ({"stat": "pod", **moved}, 1), ({"stat": "usage", **moved}, 1)])
        if "exported_namespace" not in query:
            return vector([])
        if '"records"' in query:
            return vector(rows(query))
        if query.startswith("group by"):
            return vector([(pod, 1) for pod in pods])
        if "kube_pod_created" in query:
            made = [({"__name__": "kube_pod_created", **pod}, NOW - lives[pod["uid"]]) for pod in pods]
            return vector([*[({"__name__": "kube_pod_info", **pod}, 1) for pod in pods], *made])
        if '"ended"' in query:
            return vector(
                [({"stat": "seen", "uid": pod["uid"], "job": "ksm", "instance": "k:1"}, NOW - 60) for pod in pods]
            )
        return vector([])

    store.script = script
    found = look(client(store), run_labels=("example.com/run",))
    assert len(found.facts) == len(lives)
    assert found.queries == len(store.asked) == 10


# --- user queries -----------------------------------------------------------------------------------------------------

TOKENS = "sum by (run, step) (last_over_time(llm_tokens_total[$window]))"


def values(store: Store, query: str = TOKENS, **fields: Any) -> Any:
    return run_values(client(store), query, namespace="etl", at=NOW, window=600, name="tokens", **fields)


def test_user_queries_are_fenced_before_they_are_sent(store: Store) -> None:
    store.script = [vector([({"run": "r1", "step": "a"}, 5), ({"run": "r2", "step": "a"}, 6)])]
    found = values(store, labels=KeyLabels(step="step"))
    assert found == {("r1", "a"): 5.0, ("r2", "a"): 6.0}
    assert (
        store.asked[0].query
        == 'sum by (run, step) (last_over_time({__name__="llm_tokens_total",namespace="etl"}[600s]))'
    )


def test_refused_user_queries_are_never_sent(store: Store) -> None:
    with pytest.raises(BadQuery, match="tokens: the query asks for namespace"):
        values(store, 'sum(last_over_time(x{namespace="other"}[$window]))')
    assert store.asked == []


def test_several_series_per_run_are_refused(store: Store) -> None:
    store.script = [vector([({"run": "r1", "step": "a"}, 5), ({"run": "r1", "step": "b"}, 6)])]
    with pytest.raises(BadQuery, match=r"several series for run='r1'.*sum by \(run\)"):
        values(store)


@pytest.mark.parametrize("labels", [{"run": "\u00e9" * 257, "step": "a"}, {"run": "r1", "step": "x" * 513}])
def test_names_that_a_database_cannot_index_are_refused(store: Store, labels: dict[str, str]) -> None:
    """PostgreSQL refused them when they were stored, and with them the results of everybody else's queries."""
    store.script = [vector([(labels, 5)])]
    with pytest.raises(BadQuery, match="more than 512 bytes"):
        values(store, labels=KeyLabels(step="step"))


def test_what_cannot_be_attributed_is_left_out(store: Store) -> None:
    store.script = [vector([({"run": "r1"}, 5), ({"pod": "x"}, 6), ({"run": "r3"}, "NaN")])]
    assert values(store) == {("r1", ""): 5.0}


def test_half_an_answer_to_a_user_query_is_none(store: Store) -> None:
    store.script = [vector([({"run": "r1"}, 5)], warnings=["half of it"])]
    with pytest.raises(PartialAnswer):
        values(store)


# --- vanished pods ------------------------------------------------------------------------------------------------------

K1, K2 = ("ksm", "k:1"), ("ksm", "k:2")


def draft(last: float, *targets: tuple[str, str], **fields: Any) -> PodDraft:
    return PodDraft("etl", "p", "u", seen=dict.fromkeys(targets, last), **fields)


def targets(up: Any = (), down: Any = (), now: Any = (), seen: Any = (K1,)) -> ScrapeTargets:
    return ScrapeTargets(frozenset(up), frozenset(down), frozenset(seen), frozenset(now))


@pytest.mark.parametrize(
    ("found", "state", "gone"),
    [
        pytest.param(draft(NOW - 60, K1), targets(up=[K1]), True, id="its target is up"),
        pytest.param(draft(NOW - 60, K1, K2), targets(up=[K1], down=[K2]), True, id="one replica is down"),
        pytest.param(draft(NOW - 60, K2), targets(up=[K1], down=[K2]), False, id="its shard is down"),
        pytest.param(draft(NOW - 9000, K2), targets(up=[K1], down=[K2]), False, id="its shard is down for long"),
        pytest.param(draft(NOW - 60, K1), targets(up=[K2]), False, id="target just replaced"),
        pytest.param(draft(NOW - 1000, K1), targets(up=[K2]), True, id="target replaced some time ago"),
        pytest.param(draft(NOW - 1000, K1), targets(up=[("other", "x")]), False, id="another job is no replacement"),
        pytest.param(draft(NOW - 1000, K1), targets(down=[K1]), False, id="down"),
        pytest.param(draft(NOW - 60, K1), targets(now=[K1]), False, id="up is not visible, just now"),
        pytest.param(draft(NOW - 1000, K1), targets(now=[K1]), True, id="up is not visible, others are exposed"),
        pytest.param(draft(NOW - 1000, K1), targets(), False, id="nothing is known"),
        pytest.param(PodDraft("etl", "p", "u"), targets(up=[K1]), False, id="never seen"),
        pytest.param(PodDraft("etl", "p", "u", seen={K1: None}), targets(up=[K1]), True, id="too short for a time"),
        pytest.param(
            PodDraft("etl", "p", "u", seen={K1: None}),
            targets(up=[K2]),
            True,
            id="gone since the window began at the latest",
        ),
        pytest.param(PodDraft("etl", "p", "u", seen={K1: None}), targets(down=[K1]), False, id="no time, and down"),
        pytest.param(draft(NOW - 1, K1, phases={"Failed"}), targets(down=[K1]), True, id="its end was seen"),
    ],
)
def test_which_pods_are_believed_gone(found: PodDraft, state: ScrapeTargets, gone: bool) -> None:
    settled, held = split([found], state, NOW - 1000, NOW)
    assert (settled, held) == (([found], []) if gone else ([], [found]))


def test_target_states_are_read() -> None:
    found = vanished_pods.read_targets(
        _vector(
            [
                ({"stat": "up", "job": "ksm", "instance": "k:1"}, 1),
                ({"stat": "up", "job": "ksm", "instance": "k:2"}, 0),
                ({"stat": "up", "job": "node-exporter", "instance": "n:1"}, 1),  # exposes no pods
                ({"stat": "seen", "job": "ksm", "instance": "k:2"}, 7),
                ({"stat": "now", "job": "ksm", "instance": "k:1"}, 3),
                ({"stat": "interval"}, 15),
            ]
        )
    )
    assert found == ScrapeTargets(frozenset({K1}), frozenset({K2}), frozenset({K2}), frozenset({K1}), 15.0)
    assert found.known and not found.lost
    assert targets(down=[K1]).lost


# --- facts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "uid"),
    [
        ("/kubepods/burstable/pod0947aa92-90df/c1", "0947aa92-90df"),
        ("/kubepods/pod0947AA92-90df/c1", "0947aa92-90df"),
        ("/kubepods.slice/kubepods-pod0947aa92_90df.slice/cri-containerd-c1.scope", "0947aa92-90df"),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0947aa92_90df.slice/crio-c1.scope",
            "0947aa92-90df",
        ),
        ("/kubelet/kubepods/besteffort/pod0947aa92-90df", "0947aa92-90df"),
        ("pod0947aa92-90df", "0947aa92-90df"),
        ("/kubepods/pod.slice/c1", ".slice"),
        ("/kubepods/pod/pod0947aa92-90df", "0947aa92-90df"),
        ("/tripod0947/c1", None),
        ("/system.slice/docker-abc.scope", None),
        ("/docker/abc", None),
        ("", None),
        ("/", None),
    ],
)
def test_uids_in_cgroup_paths(path: str, uid: str | None) -> None:
    assert cgroup_uid(path) == uid


def _vector(found: Rows) -> Vector:
    names = tuple(dict.fromkeys(name for labels, _ in found for name in labels))
    return Vector(
        names, tuple(tuple(labels.get(name, "") for name in names) for labels, _ in found), [float(v) for _, v in found]
    )


def _facts(
    usage_rows: Rows, change: Callable[[PodDraft], None] = lambda _: None, step: float = 0.0, **fields: Any
) -> PodFact:
    one = PodDraft("etl", "run-1-a", "0000-a", phases={"Succeeded"}, times={"kube_pod_completion_time": NOW - 200})
    one.container("main").started = NOW - 500
    change(one)
    usage: Usage = {}
    read_usage(_vector(usage_rows), PLAIN, usage, step=step)
    (fact,) = assemble.facts([one], usage, interval=30.0, **fields)
    return fact


def _usage(cgroup: str, **found: float) -> list[tuple[Labels, Any]]:
    labels = {"namespace": "etl", "pod": "run-1-a", "container": "main", "id": cgroup}
    return [({"__name__": name, **labels}, value) for name, value in found.items()]


def test_restarts_add_up_and_peaks_do_not() -> None:
    fact = _facts(
        _usage(
            "/kubepods/pod0000-a/c1",
            container_cpu_usage_seconds_total=10,
            peak=5,
            samples=3,
            last=NOW - 400,
            container_start_time_seconds=NOW - 500,
        )
        + _usage(
            "/kubepods/pod0000-a/c2",
            container_cpu_usage_seconds_total=7,
            peak=4,
            samples=2,
            last=NOW - 250,
            container_start_time_seconds=NOW - 300,
        ),
        lambda one: setattr(one.container("main"), "restarts", 1.0),
    )
    (inside,) = fact.containers
    assert (inside.cpu_seconds, inside.memory_sampled_peak, inside.samples) == (17.0, 5.0, 5)
    assert inside.cpu_sampled_seconds == 150.0
    assert (inside.started, inside.ambiguous) == (NOW - 500, False)


@pytest.mark.parametrize(
    ("samples", "last", "seconds"),
    [(8, NOW - 450, 230.0), (8, NOW - 270, 230.0), (2, NOW - 450, 50.0), (50, NOW - 450, 300.0)],
)
def test_a_step_of_the_subquery_does_not_make_a_short_life_busier(samples: int, last: float, seconds: float) -> None:
    """Eight samples 30 s apart were not taken in 50 s; few samples, or more than the life has room for, say nothing."""
    begin = NOW - 500
    row = _usage("/kubepods/pod0000-a/c1", samples=samples, last=last, container_start_time_seconds=begin, peak=1)
    assert _facts(row, step=600.0).containers[0].cpu_sampled_seconds == seconds


def test_windows_merge_by_maximum() -> None:
    """Two windows that overlap tell of the same samples; adding them up would count them twice."""
    rows_of = _usage("/kubepods/pod0000-a/c1", container_cpu_usage_seconds_total=10, samples=3)
    usage: Usage = {}
    for found in (rows_of, _usage("/kubepods/pod0000-a/c1", container_cpu_usage_seconds_total=12, samples=2)):
        read_usage(_vector(found), PLAIN, usage)
    values_of = usage["etl", "run-1-a", "main"]["/kubepods/pod0000-a/c1"].values
    assert values_of == {"container_cpu_usage_seconds_total": 12.0, "samples": 3.0}


def test_usage_of_another_pod_of_the_name_is_not_taken() -> None:
    (inside,) = _facts(_usage("/kubepods/pod0000-b/c1", container_cpu_usage_seconds_total=10)).containers
    assert (inside.cpu_seconds, inside.ambiguous, inside.samples) == (None, False, 0)


def test_rows_with_a_path_win_over_rows_without() -> None:
    """Where both endpoints of the kubelet are scraped, every series is there twice, once without a path."""
    found = _usage(CGROUP, container_cpu_usage_seconds_total=10) + _usage("", container_cpu_usage_seconds_total=10)
    (inside,) = _facts(found).containers
    assert (inside.cpu_seconds, inside.ambiguous) == (10.0, False)
    found = [({**labels, "id": labels["id"] and "/docker/c1"}, value) for labels, value in found]
    (inside,) = _facts(found).containers
    assert (inside.cpu_seconds, inside.ambiguous) == (10.0, False), "nor is it counted twice where no path has the uid"


def test_only_a_pod_that_vanished_has_a_last_sight() -> None:
    def see(one: PodDraft) -> None:
        one.seen = {("ksm", "k:1"): NOW - 210, ("ksm", "k:2"): NOW - 240, ("ksm", "k:3"): None}

    def vanish(one: PodDraft) -> None:
        see(one)
        one.phases.clear()
        one.times.clear()

    ended = _facts([], see)
    assert (ended.vanished, ended.finished, ended.last_seen) == (False, NOW - 200, None)
    gone = _facts([], vanish)
    assert (gone.vanished, gone.finished, gone.last_seen) == (True, None, NOW - 210)


@pytest.mark.parametrize("cgroup", ["", "/docker/c1"])
def test_rows_without_a_uid_stand_for_the_name(cgroup: str) -> None:
    found = _usage(cgroup, container_cpu_usage_seconds_total=10)
    (inside,) = _facts(found).containers
    assert (inside.cpu_seconds, inside.ambiguous) == (10.0, False)
    (inside,) = _facts(found, reused={("etl", "run-1-a")}).containers
    assert (inside.cpu_seconds, inside.ambiguous) == (10.0, True)
    (inside,) = _facts(found, lambda one: setattr(one.container("main"), "restarts", 2.0)).containers
    assert inside.ambiguous


def test_no_samples_are_none_only_where_nothing_is_sampled() -> None:
    assert _facts([]).containers[0].samples == 0
    assert _facts([], sampled=False).containers[0].samples is None


def test_throttling_needs_a_limit() -> None:
    periods = {"container_cpu_cfs_periods_total": 100, "container_cpu_cfs_throttled_periods_total": 25}
    assert _facts(_usage(CGROUP, **periods)).containers[0].throttled_share == 0.25
    assert _facts(_usage(CGROUP, container_cpu_usage_seconds_total=1)).containers[0].throttled_share is None
    assert _facts(_usage(CGROUP, **dict.fromkeys(periods, 0))).containers[0].throttled_share is None


def test_a_success_has_no_reason_whatever_came_before() -> None:
    def failed_once(one: PodDraft) -> None:
        one.container("main").reasons.add("Error")

    assert _facts([], failed_once).containers[0].reason is None

    def failed(one: PodDraft) -> None:
        one.phases = {"Failed"}
        one.container("main").reasons.update({"Error", "OOMKilled"})

    assert _facts([], failed).containers[0].reason == "OOMKilled"
    assert _facts([], failed).containers[0].oom_events == 1.0


@pytest.mark.parametrize(
    ("cgroup", "reasons", "restarts", "expected"),
    [
        (CGROUP, {"Error"}, 0.0, "OOMKilled"),
        (CGROUP, {"Error"}, 1.0, "Error"),  # it may have been killed before
        (CGROUP, {"StartError"}, 0.0, "StartError"),
        ("", {"Error"}, 0.0, "Error"),  # of another pod of that name, maybe
    ],
)
def test_a_container_that_fails_after_a_process_of_it_was_killed_ran_out_of_memory(
    cgroup: str, reasons: set[str], restarts: float, expected: str
) -> None:
    """The kernel kills a worker; the first process notices, and ends with an error of its own."""

    def failed(one: PodDraft) -> None:
        one.phases = {"Failed"}
        one.container("main").reasons.update(reasons)
        one.container("main").restarts = restarts

    (container,) = _facts(_usage(cgroup, container_oom_events_total=1.0), failed).containers
    assert container.reason == expected
    (spared,) = _facts(_usage(cgroup, container_oom_events_total=0.0), failed).containers
    assert spared.reason == min(reasons)


def test_a_kill_that_a_restart_makes_good_is_known_with_the_start_that_followed() -> None:
    def killed(one: PodDraft) -> None:
        one.container("main").last_reasons.add("OOMKilled")
        one.container("main").restarts = 1.0

    begun = _usage("/kubepods/pod0000-a/c1", container_start_time_seconds=NOW - 900)
    (container,) = _facts(begun, killed).containers
    assert (container.started, container.restarted_after_oom) == (NOW - 900, NOW - 500)
    assert (container.reason, container.oom_killed) == (None, True)
    (other,) = _facts(begun, lambda one: one.container("main").last_reasons.add("Error")).containers
    assert not other.oom_killed


def test_a_kill_of_an_init_container_that_a_restart_makes_good() -> None:
    """Of init containers no metric has a start but that of cAdvisor; the reason says that there was another one."""
    draft = PodDraft("etl", "run-1-a", "0000-a")
    labels = {"uid": "0000-a", "container": "fetch", "reason": "OOMKilled"}
    reasons: Rows = [({"__name__": "kube_pod_init_container_status_last_terminated_reason", **labels}, 1.0)]
    read_ends(_vector(reasons), PLAIN, {"0000-a": draft})
    inside = draft.container("fetch")
    assert (inside.init, inside.reasons, inside.last_reasons) == (True, set(), {"OOMKilled"})
    starts = [
        ({**labels, "__name__": "container_start_time_seconds", "container": "fetch", "id": cgroup}, at)
        for cgroup, at in (("/kubepods/pod0000-a/c1", NOW - 900), ("/kubepods/pod0000-a/c2", NOW - 600))
    ]
    rows = [({"namespace": "etl", "pod": "run-1-a", **of}, at) for of, at in starts]
    facts = _facts(rows, lambda one: one.containers.update(fetch=inside))
    fetch = next(c for c in facts.containers if c.name == "fetch")
    assert (fetch.init, fetch.started, fetch.restarted_after_oom) == (True, NOW - 900, NOW - 600)


def _with_sidecar(one: PodDraft) -> None:
    one.container("wait")


def test_a_container_end_is_known_when_it_is_the_only_one() -> None:
    assert _facts([]).containers[0].finished == NOW - 200
    assert [c.finished for c in _facts([], _with_sidecar).containers] == [None, None]


@pytest.mark.parametrize(
    ("samples", "span", "seen", "interval"),
    [
        (10, 285, None, 30.0),
        (10, 285, 15.0, 15.0),
        (3, 75, 60.0, 60.0),
        (3, 75, None, None),
        (20, 292.5, 300.0, 15.0),
        (10, 66.5, None, 7.0),
    ],
)
def test_scrape_intervals_are_estimated(samples: int, span: float, seen: float | None, interval: float | None) -> None:
    one = PodDraft("etl", "run-1-a", "0000-a")
    one.container("main").started = NOW
    usage: Usage = {}
    read_usage(_vector(_usage(CGROUP, samples=samples, last=NOW + span)), PLAIN, usage)
    found = estimate_interval([one], usage, seen)
    assert found == (None if interval is None else pytest.approx(interval))


@given(st.floats(2.0, 120.0), st.lists(st.tuples(st.integers(1, 60), st.floats(0.01, 1.0)), min_size=1, max_size=8))
def test_no_two_samples_are_closer_than_the_least_interval(interval: float, lives: list[tuple[int, float]]) -> None:
    """``lives``: samples of a container, and the part of an interval from its start to the first of them."""
    usage: Usage = {}
    pods = [PodDraft("etl", "run-1-a", "0000-a")]
    for number, (samples, first) in enumerate(lives):
        pods[0].container(f"c{number}").started = NOW
        rows_of = _usage(CGROUP, samples=samples, last=NOW + (samples - 1 + first) * interval)
        read_usage(_vector([({**labels, "container": f"c{number}"}, v) for labels, v in rows_of]), PLAIN, usage)
    least = assemble.least_interval(pods, usage)
    if max(samples for samples, _ in lives) < 4:
        assert least is None
    else:
        assert least is not None and 0.75 * interval - 1e-6 <= least <= interval + 1e-6


def test_the_lives_read_first_tell_how_finely_the_others_are_looked_at(store: Store) -> None:
    """Where nothing says how often containers are sampled: the pods of a day, those of its first hours after the others."""
    early = {**A, "pod": "run-0-a", "uid": "0000-0"}

    def both(asked: Asked) -> Reply:
        found = rows(asked.query)
        before = [
            (
                {**labels, **early, "id": "/kubepods/pod0000-0/c1"} if "id" in labels else {**labels, **early},
                v - 40_000 if isinstance(v, float) and v > NOW / 2 else v,
            )
            for labels, v in found
            if labels.get("pod") == A["pod"]
        ]
        return vector([*found, *before])

    store.script = both
    day = 86_400.0
    found = collect(
        client(store), namespaces=["etl"], since=NOW - day, until=NOW, now=NOW + 60, options=CollectOptions(longest=day)
    )
    assert [f.pod for f in found.facts] == ["run-0-a", "run-1-a"]
    steps = [
        re.findall(r"timestamp.*?\[\d+s:(\d+)s]", asked.query)[0] for asked in store.asked if '"burst"' in asked.query
    ]
    assert steps == ["5", "14"], "ten samples in 295 s are at least 29.5 s apart"


# --- what is missing ------------------------------------------------------------------------------------------------------


def _full(**fields: Any) -> PodFact:
    inside = ContainerFact("main", "i", started=1.0, cpu_seconds=1.0, memory_sampled_peak=1.0, memory_kernel_peak=1.0)
    base: dict[str, Any] = {
        "created": 1.0,
        "scheduled": 1.0,
        "started": 1.0,
        "phase": "Succeeded",
        "containers": (inside,),
    }
    return PodFact("n", "p", "u", **{**base, **fields})


def test_complete_facts_lack_nothing() -> None:
    assert missing_series.absent([_full()] * 5) == []


@pytest.mark.parametrize(
    ("field", "series"),
    [
        ("created", "kube_pod_created"),
        ("scheduled", "kube_pod_status_scheduled_time"),
        ("started", "kube_pod_start_time"),
        ("phase", "kube_pod_status_phase"),
    ],
)
def test_absent_series_are_named_with_effect_and_cure(field: str, series: str) -> None:
    (note,) = missing_series.absent([_full(**{field: None})] * 3)
    assert note.series == series
    assert "unknown" in note.effect and "kube-state-metrics" in str(note)


def test_one_fact_with_it_shows_that_the_series_exists() -> None:
    assert missing_series.absent([_full(created=None)] * 9 + [_full()]) == []


def test_two_facts_show_nothing() -> None:
    assert missing_series.absent([_full(created=None)] * 2) == []


def test_failures_without_reasons_are_named() -> None:
    (note,) = missing_series.absent([_full(phase="Failed")] * 3)
    assert note.series == "kube_pod_container_status_terminated_reason"


def test_pods_without_completion_times_are_named() -> None:
    bare = [PodDraft("n", f"p{i}", f"u{i}", phases={"Succeeded"}, ended=9.0) for i in range(3)]
    (note,) = missing_series.ends(bare)
    assert (note.series, note.essential) == ("kube_pod_completion_time", True)
    assert missing_series.ends(bare[1:]) == []
    known = PodDraft("n", "p", "u", phases={"Succeeded"}, times={"kube_pod_completion_time": 8.0})
    assert missing_series.ends([*bare, known]) == []
    assert missing_series.ends([PodDraft("n", f"p{i}", f"u{i}", phases={"Failed"}) for i in range(9)]) == [], (
        "evicted, say"
    )
    assert missing_series.ends([]) == [], "nothing ended"


def test_pods_whose_phase_is_not_exposed_are_named() -> None:
    """The ends of containers stand in for it; with two of them it may be chance."""
    times = {"kube_pod_completion_time": 8.0}
    bare = [PodDraft("n", f"p{i}", f"u{i}", phases={"Succeeded"}, stood_in=True, times=times) for i in range(3)]
    (note,) = missing_series.ends(bare)
    assert (note.series, note.essential) == ("kube_pod_status_phase", True)
    assert missing_series.ends(bare[1:]) == []
    assert missing_series.ends([*bare, PodDraft("n", "p", "u", phases={"Failed"}, times=times)]) == []


def test_a_store_whose_up_is_hidden_says_so() -> None:
    (note,) = missing_series.state_metrics(targets(), 2)
    assert note.series == "up"
    assert missing_series.state_metrics(targets(up=[K1]), 0) == []


# --- text of queries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("app", "app"),
        ("tekton.dev/pipelineRun", "tekton_dev_pipeline_run"),
        ("workflows.argoproj.io/workflow", "workflows_argoproj_io_workflow"),
        ("batch.kubernetes.io/job-completion-index", "batch_kubernetes_io_job_completion_index"),
        ("a.b/C", "a_b_c"),
    ],
)
def test_label_names_of_kube_state_metrics(key: str, name: str) -> None:
    assert pod_label(key) == name


def test_long_windows_have_coarse_steps() -> None:
    assert TimeRange(600).subquery(finest=15) == "[600s:15s]"
    assert TimeRange(86_400).subquery(finest=15) == "[86400s:60s]"
    assert TimeRange(7 * 86_400).subquery(finest=5, points=5000) == "[604800s:121s]"


def test_namespaces_are_put_into_queries_exactly() -> None:
    assert 'namespace="a.b"' in queries.jobs(QueryScope(namespaces=("a.b",)), TimeRange(60))
    assert 'namespace=~"a\\\\.b|c"' in queries.jobs(QueryScope(namespaces=("c", "a.b")), TimeRange(60))
    assert 'namespace!=""' in queries.jobs(QueryScope(), TimeRange(60))


@pytest.mark.parametrize(
    ("fields", "evaluations", "used"),
    [
        ({}, 60, 1),
        (
            {"delaySeconds": 61},
            60,
            0,
        ),  # a record made before a sample arrived lacks it, and the peak stands none the less
        ({"delaySeconds": 3600}, 60, 0),
        ({}, 120, 0),  # every 30 s, or by two replicas: nobody knows how many are missing
    ],
)
def test_records_are_asked_only_where_they_hold_every_sample(
    store: Store, fields: dict[str, int], evaluations: int, used: int
) -> None:
    def answer(asked: Asked) -> Reply:
        if '"86400"' in asked.query:
            return vector([({"stat": "3600"}, evaluations)])
        found = list(rows(asked.query))
        if '"records"' in asked.query:
            found.append(({"stat": "records"}, 60))
        return vector(found)

    store.script = answer
    found = collect(
        client(store, **fields), namespaces=["etl"], since=NOW - 600, until=NOW, now=NOW + 3600, label_keys=("step",)
    )
    assert found.recorded == used
    assert any('figure="peak"' in asked.query for asked in store.asked) == bool(used)
    assert not any("[86400s]" in a.query for a in store.asked if "kube_pod" in a.query), (
        "all its selectors search a day"
    )
    assert [f.containers[0].memory_sampled_peak for f in found.facts] == [5e8]


def test_how_often_containers_are_sampled_is_asked_once_an_hour(store: Store) -> None:
    """It concerns every container of the source; facts are the same when it is not asked."""
    store.script = lambda asked: vector(rows(asked.query))
    asking = client(store)

    def asked(until: float) -> tuple[list[bool], Sequence[Any]]:
        before = len(store.asked)
        found = collect(asking, namespaces=["etl"], since=NOW - 600, until=NOW, now=until, label_keys=("step",))
        return ["300 / max" in a.query for a in store.asked[before:] if '"seen"' in a.query], found.facts

    first, again = asked(NOW + 60), asked(NOW + 60)
    assert (first[0], again[0]) == ([True], [False])
    assert first[1] == again[1]
    assert asking.traits.sampled_interval == 30


def test_how_often_containers_are_sampled_is_not_asked_again_for_the_past(store: Store) -> None:
    """The query reads every container of the source, and a first reading asks for a hundred spans of the past."""
    store.script = lambda asked: vector(rows(asked.query))
    asking = client(store)

    def asked(until: float) -> int:
        before = len(store.asked)
        collect(asking, namespaces=["etl"], since=until - 600, until=until, now=until + 60, label_keys=("step",))
        return sum("300 / max" in a.query for a in store.asked[before:])

    spans = [NOW, NOW - 6 * 3600.0, NOW - 12 * 3600.0, NOW + 3600.0]
    assert [asked(until) for until in spans] == [1, 0, 0, 1]


def test_where_up_is_hidden_one_more_query_tells_who_exposes_pods(store: Store) -> None:
    def hidden(asked: Asked) -> Reply:
        if '"now"' in asked.query:
            return vector([({"stat": "now", "job": "ksm", "instance": "k:1"}, 1)])
        return vector([(labels, value) for labels, value in rows(asked.query) if labels.get("stat") != "up"])

    store.script = hidden
    found = look(client(store))
    assert sum('"now"' in asked.query for asked in store.asked) == 1
    assert len(found.facts) == 1


def test_of_several_evaluators_the_worst_counts() -> None:
    """Each of them writes a marker; which of them a container's records come from is not known."""
    text = queries.records(QueryScope(namespaces=("etl",)))
    assert "min(count_over_time(" + recorded.NAME in text.replace(" ", "")
    assert "max(count_over_time(" + recorded.NAME not in text.replace(" ", "")
