"""Records kept between two readings: the same objects while nothing changed, and never anything but a fresh reading."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from concertmaster.core.model import (
    Outcome,
    RunRecord,
    Source,
    StepExecution,
    StepSpec,
    WorkflowDefinition,
    WorkflowGraph,
)
from concertmaster.core.model.enums import Per
from concertmaster.core.model.inputs import ExtraMetric, InputSource
from concertmaster.engines.argo.traits import ARGO
from concertmaster.engines.outcomes import LOST_SECONDS, QUIET_SECONDS
from concertmaster.history import RunCache, RunsDigest, Store, amounts
from concertmaster.history.encoding import decode_executions
from concertmaster.history.runs import stored
from concertmaster.history.runs.settled import SettledRuns
from tests.support.builders import run_record
from tests.support.data.history_rows import KEY, ran
from tests.support.history_places import Place

TWO = WorkflowDefinition(KEY, ARGO, WorkflowGraph((StepSpec("a"), StepSpec("b", depends_on=("a",)))))
NOW = 1_000_000.0


def pods(run: int, **fields: object) -> list[StepExecution]:
    begin = NOW - 50_000.0 + 100.0 * run
    return [ran(f"{run}a", begin, **fields), ran(f"{run}b", begin + 20.0, "b")]


@pytest.fixture
def store() -> Iterator[Store]:
    found = Store(":memory:")
    found.add({KEY: {f"r{n}": pods(n) for n in range(4)}})
    yield found
    found.close()


def read(store: Store, cache: RunCache | None, *, as_of: float = NOW, of: WorkflowDefinition = TWO) -> list[RunRecord]:
    return store.runs(of.key, limit=100, since=0.0, definition=of, as_of=as_of, cache=cache)


def seen(store: Store, cache: RunCache | None, *, as_of: float = NOW, of: WorkflowDefinition = TWO) -> RunsDigest:
    return store.runs_digest(of, limit=100, since=0.0, as_of=as_of, cache=cache)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The rows of executions that were decoded, in order."""
    found: list[bytes] = []

    def noted(body: bytes) -> list[StepExecution]:
        found.append(body)
        return decode_executions(body)

    monkeypatch.setattr(stored, "decode_executions", noted)
    return found


def kept(before: list[RunRecord], after: list[RunRecord]) -> list[str]:
    """Names of the runs that are the same objects."""
    known = {id(r) for r in before}
    return [r.run for r in after if id(r) in known]


def warm(store: Store) -> tuple[RunCache, list[RunRecord]]:
    cache = RunCache()
    read(store, cache)
    return cache, read(store, cache)


def test_only_what_changed_is_put_together_again(store: Store) -> None:
    cache, before = warm(store)
    assert kept(before, read(store, cache)) == ["r0", "r1", "r2", "r3"]
    store.add({KEY: {"r4": pods(4), "r1": pods(1, node="n7")}})
    after = read(store, cache)
    assert kept(before, after) == ["r0", "r2", "r3"]
    assert after == read(store, None)
    assert [r.steps[0].node for r in after] == [None, "n7", None, None, None]


def test_bytes_read_are_inputs_from_the_moment_they_are_asked_for(store: Store) -> None:
    cache, _ = warm(store)
    store.add({KEY: {"r1": pods(1, network_receive_bytes=5e9)}})
    proxied = replace(TWO, inputs=(InputSource(bytes_read=True),))
    for _ in range(2):  # the second time out of the cache
        assert [r.input_total for r in read(store, cache, of=proxied)] == [None, 5e9, None, None]
    assert [r.input_total for r in read(store, cache)] == [None] * 4


def test_a_live_record_changes_its_run(store: Store) -> None:
    cache, before = warm(store)
    live = run_record(run="r2", start=before[2].start, end=before[2].end, workflow=KEY, outcome=Outcome.FAILED)
    store.add({}, records=[live])
    after = read(store, cache)
    assert kept(before, after) == ["r0", "r1", "r3"]
    assert after == read(store, None)


def test_a_run_that_time_ends_is_not_kept(store: Store) -> None:
    store.add({KEY: {"r9": [ran("9a", NOW - 60.0)]}})
    cache, before = warm(store)
    assert [r.outcome for r in before][-1] is Outcome.RUNNING
    later = read(store, cache, as_of=NOW + LOST_SECONDS)
    assert [r.outcome for r in later][-1] is Outcome.UNKNOWN
    assert kept(before, later) == ["r0", "r1", "r2", "r3"]
    assert [r.outcome for r in read(store, cache)][-1] is Outcome.RUNNING  # asked about an earlier moment


def test_another_definition_keeps_nothing(store: Store) -> None:
    cache, before = warm(store)
    other = replace(TWO, graph=WorkflowGraph((StepSpec("a"), StepSpec("b"))))
    after = read(store, cache, of=other)
    assert kept(before, after) == []
    assert after == read(store, None, of=other)


def test_what_else_is_known_of_a_run_counts(store: Store) -> None:
    cache, before = warm(store)
    start = before[2].start or 0.0
    store.note_definitions({KEY: "v1"}, start - 1.0)
    store.note_definitions({KEY: "v1"}, start + 1.0)
    after = read(store, cache)
    assert [r.fingerprint for r in after] == [None, None, "v1", None]
    assert kept(before, after) == ["r0", "r1", "r3"]
    metric = ExtraMetric("tokens", "q", per=Per.RUN)
    store.add_amounts(KEY, {metric: {"r0": {"": 5.0}}})
    paid = replace(TWO, metrics=(metric,))
    before = [read(store, cache, of=paid), read(store, cache, of=paid)][-1]
    assert before[0].extra == {"tokens": 5.0}
    store.add_amounts(KEY, {metric: {"r0": {"": 7.0}}})
    after = read(store, cache, of=paid)
    assert after[0].extra == {"tokens": 7.0}
    assert kept(before, after) == ["r1", "r2", "r3"]


def test_the_profiles_of_a_workflow_do_not_delete_the_values_of_each_others_metrics(store: Store) -> None:
    """Each is analysed at its own time, and what Prometheus has forgotten is in the history alone."""
    warm(store)
    tokens, size = ExtraMetric("tokens", "q"), ExtraMetric("size", "p")
    for value in (1.0, 2.0):
        store.add_amounts(KEY, {tokens: {"r0": {"": value}}})
        store.add_amounts(KEY, {size: {"r1": {"": value}}})
    found = store.runs(KEY, definition=replace(TWO, metrics=(tokens, size)))
    assert [dict(r.extra) for r in found[:2]] == [{"tokens": 2.0}, {"size": 2.0}]


def test_a_query_that_is_edited_all_the_time_leaves_no_more_than_a_profile_may_ask(place: Place) -> None:
    with place.open() as store:
        for n in range(amounts.MAX_OTHERS + 10):
            store.add_amounts(KEY, {ExtraMetric("tokens", f"q{n}"): {"r0": {"": 1.0}}})
            ((rows,),) = place.raw("SELECT count(*) FROM amounts")
            assert rows <= amounts.MAX_OTHERS + 1


def test_any_sequence_of_readings_is_as_without_a_cache(store: Store) -> None:
    chance, cache, now = random.Random(7), RunCache(), NOW
    one = replace(TWO, graph=WorkflowGraph((StepSpec("a"), StepSpec("b", retry_limit=2))))
    for _ in range(200):
        now += chance.choice([0.0, 60.0, 1000.0, 90_000.0, -500.0])
        name = chance.randrange(12)
        failed = {"outcome": Outcome.FAILED} if chance.random() < 0.2 else {}
        rows = pods(name, **failed)[: chance.choice([1, 2, 2])]
        store.add({KEY: {f"r{name}": rows}})
        if chance.random() < 0.2:  # as the metrics have the end of a Job
            end = run_record(run=f"r{name}", start=rows[0].created, end=rows[0].finished, workflow=KEY)
            store.add({}, records=[replace(end, source=Source.HISTORY, steps=())])
        if chance.random() < 0.2:
            store.note_definitions({KEY: chance.choice(["v1", "v2"])}, now)
        if chance.random() < 0.5:
            flow = one if chance.random() < 0.2 else TWO
            assert seen(store, cache, as_of=now, of=flow) == seen(store, None, as_of=now, of=flow)
        if chance.random() < 0.5:
            assert read(store, cache, as_of=now) == read(store, None, as_of=now)


def test_workflows_whose_turn_comes_too_late_are_not_kept() -> None:
    store, cache = Store(":memory:"), RunCache(limit=20)
    flows = [replace(TWO, key=replace(KEY, name=f"w{n}")) for n in range(4)]
    for n, flow in enumerate(flows):
        store.add({flow.key: {"r": [ran(f"{n}-{k}", 100.0 * k, item=str(k)) for k in range(8)]}})

    def turn(chosen: list[WorkflowDefinition]) -> list[bool]:
        """Whether each of them gets the same objects twice in a row of readings."""
        found = [[read(store, cache, of=flow) for flow in chosen] for _ in range(3)]
        return [bool(kept(a, b)) for a, b in zip(found[1], found[2], strict=True)]

    assert turn(flows) == [False] * 4  # 32 executions lie between two readings of one
    assert turn(flows[:2]) == [True, True]
    assert turn(flows) == [False] * 4
    store.close()


def test_what_the_digest_took_is_put_together_once(store: Store, decoded: list[bytes]) -> None:
    cache = RunCache()
    seen(store, cache)
    assert len(decoded) == 4
    found = read(store, cache)
    assert len(decoded) == 4
    assert found == read(store, None)


def test_the_digest_puts_together_again_only_what_may_still_change(store: Store, decoded: list[bytes]) -> None:
    cache, another = RunCache(limit=0), replace(TWO, key=replace(KEY, name="another"))
    store.add({another.key: {"r": [ran("n", 100.0)]}})
    store.add({KEY: {"r8": [pods(8)[0], replace(pods(8)[1], outcome=Outcome.FAILED)], "r9": [ran("9a", NOW - 60.0)]}})
    seen(store, cache)
    assert len(decoded) == 6
    for further in ([ran("9c", NOW - 50.0, "c")], [ran("9b", NOW - 40.0, "b")]):
        seen(store, cache, of=another)
        store.add({KEY: {"r9": further}})
        decoded.clear()
        assert seen(store, cache) == seen(store, None)
        assert len(decoded) == 2 + 6  # the run that failed and the one going on; without a cache all
    seen(store, cache, of=another)
    store.add({KEY: {"r1": pods(1, node="n7")}})
    decoded.clear()
    seen(store, cache)
    assert len(decoded) == 2  # the corrected run, and the one that failed


def test_what_is_settled_for_one_definition_or_moment_is_not_for_another(store: Store) -> None:
    one = replace(TWO, graph=WorkflowGraph((StepSpec("a"),)))
    store.add({KEY: {"r9": [ran("9a", NOW - 60.0)]}})
    for first, second in ((one, TWO), (TWO, one)):
        cache = RunCache()
        seen(store, cache, of=first)
        assert seen(store, cache, of=second) == seen(store, None, of=second)
    cache, inferred = RunCache(), replace(TWO, graph=replace(one.graph, inferred=True))
    assert seen(store, cache, as_of=NOW + QUIET_SECONDS, of=inferred).due is None
    assert seen(store, cache, of=inferred) == seen(store, None, of=inferred)
    assert seen(store, cache, of=inferred).due is not None


def test_the_end_of_a_job_in_the_metrics_holds_only_until_its_pods_have_failed_for_good(store: Store) -> None:
    again, other = StepSpec("a", retry_limit=3), replace(TWO, key=replace(KEY, name="another"))
    flow = replace(TWO, graph=WorkflowGraph((again, StepSpec("b", depends_on=("a",)))))
    store.add({other.key: {"r": pods(9)}})
    failed = replace(ran("8b", NOW - 40.0, "b"), outcome=Outcome.FAILED)
    # It ended before it started: the completion is that of an earlier Job of the name.
    end = run_record(run="r8", start=NOW - 60.0, end=NOW - 65.0, workflow=KEY, outcome=Outcome.SUCCEEDED)
    store.add({KEY: {"r8": [ran("8a", NOW - 60.0), failed]}}, records=[replace(end, source=Source.HISTORY, steps=())])
    never_read_again = RunCache()
    read(store, never_read_again, as_of=NOW - 50.0, of=flow)
    caches = RunCache(), RunCache(limit=0), never_read_again
    for as_of in (NOW, NOW + 60.0, NOW + QUIET_SECONDS + 60.0):
        for cache in caches:
            seen(store, cache, as_of=as_of, of=other)
            assert seen(store, cache, as_of=as_of, of=flow) == seen(store, None, as_of=as_of, of=flow)
            if cache is not never_read_again:
                assert read(store, cache, as_of=as_of, of=flow) == read(store, None, as_of=as_of, of=flow)
    assert seen(store, None, as_of=as_of, of=flow).failed == NOW - 30.0


def test_what_is_settled_is_known_of_the_workflows_asked_about_last(store: Store, decoded: list[bytes]) -> None:
    cache, others = RunCache(limit=0), [replace(TWO, key=replace(KEY, name=f"w{n}")) for n in range(3)]
    cache.settled = SettledRuns(most=3)
    for other in others:
        name = other.key.name
        store.add({other.key: {"r": [ran(f"{name}-a", NOW - 600.0), ran(f"{name}-b", NOW - 600.0, "b")]}})
    for flow in (TWO, *others[:2], TWO, others[2], TWO):
        decoded.clear()
        seen(store, cache, of=flow)
    assert decoded == []  # asked about in between
    seen(store, cache, of=others[0])
    assert len(decoded) == 1
    cache.settled.keep_only({others[0].key})
    decoded.clear()
    seen(store, cache, of=others[0])
    seen(store, cache, of=others[2])
    assert len(decoded) == 1


def test_of_many_executions_the_digest_leaves_some_to_be_put_together(
    store: Store, decoded: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("concertmaster.history.runs.digest._MAX_HELD", 3)
    cache = RunCache()
    seen(store, cache)
    decoded.clear()
    assert read(store, cache) == read(store, None)
    assert len(decoded) == 3 + 4


def test_what_changed_since_the_digest_is_read(store: Store, decoded: list[bytes]) -> None:
    cache = RunCache()
    seen(store, cache)
    store.add({KEY: {"r4": pods(4), "r1": pods(1, node="n7")}})
    decoded.clear()
    found = read(store, cache)
    assert len(decoded) == 2
    assert found == read(store, None)
    assert [r.steps[0].node for r in found] == [None, "n7", None, None, None]


def test_the_digest_of_another_definition_or_workflow_is_not_used(store: Store, decoded: list[bytes]) -> None:
    other = replace(TWO, graph=WorkflowGraph((StepSpec("a"), StepSpec("b"))))
    cache, another = RunCache(), replace(TWO, key=replace(KEY, name="another"))
    store.add({another.key: {"r": [ran("n", 100.0)]}})
    seen(store, cache)
    assert read(store, cache, of=other) == read(store, None, of=other)
    cache = RunCache()
    seen(store, cache)
    seen(store, cache, of=another)
    decoded.clear()
    read(store, cache)
    assert len(decoded) == 4


def test_a_run_that_was_going_on_for_the_digest_may_be_over_when_it_is_read(store: Store) -> None:
    store.add({KEY: {"r9": [ran("9a", NOW - 60.0)]}})
    cache = RunCache()
    assert seen(store, cache).due is not None
    assert [r.outcome for r in read(store, cache, as_of=NOW + LOST_SECONDS)][-1] is Outcome.UNKNOWN


def test_figures_stay_with_the_runs_they_are_of(store: Store) -> None:
    cache, before = warm(store)
    seen: list[str] = []

    def noted(run: RunRecord) -> int:
        seen.append(run.run)
        return len(seen)

    def figures(runs: list[RunRecord]) -> list[int]:
        return [cache.figures(KEY).of(noted, run) for run in runs]

    assert figures(before) == [1, 2, 3, 4]
    store.add({KEY: {"r4": pods(4), "r1": pods(1, node="n7")}})
    assert figures(read(store, cache)) == [1, 5, 3, 4, 6]
    assert seen == ["r0", "r1", "r2", "r3", "r1", "r4"]
