"""Watermarks go with what they are about: workflows, namespaces, dropped histories and edited queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from concertmaster.controller.collection.gaps import Outages
from concertmaster.controller.collection.history_provider import HistoryProvider
from concertmaster.controller.collection.watermarks import DIGEST, DurationMarks, Watermarks, note_dropped, prune
from concertmaster.core.model import WorkflowKey
from concertmaster.history import Store
from tests.support.core.run_graphs import DIAMOND

DAY = 86_400.0
NOW = 1_760_000_000.0
BEFORE = NOW - 14 * DAY
HERE, GONE = WorkflowKey("demo", "WorkflowProfile", "here"), WorkflowKey("left", "CronJob", "gone")


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[HistoryProvider]:
    made = HistoryProvider(str(tmp_path / "history.db"))
    yield made
    made.close()


def asked(store: Store, key: WorkflowKey, query: str, since: float, until: float) -> DurationMarks:
    """Duration queries of one shape that were read for a span."""
    definition = replace(DIAMOND, key=key, fingerprint=query)
    marks = DurationMarks(store, "default", definition)
    marks.extend(since, until)
    return marks


def everywhere(_: str) -> bool:
    return True


def test_an_edited_query_is_forgotten_once_no_window_reaches_it(keeper: HistoryProvider) -> None:
    store = keeper.store
    for number in range(50):
        asked(store, HERE, f"edit-{number}", NOW - 40 * DAY, BEFORE - 60.0 * number - 1.0)
    recent = asked(store, HERE, "recent", NOW - 20 * DAY, BEFORE + 60.0)
    present = asked(store, HERE, "present", NOW - 14 * DAY, NOW)
    prune(store, [HERE], BEFORE, everywhere)
    assert len(store.watermarks("default")) == 4
    assert recent.span() == (NOW - 20 * DAY, BEFORE + 60.0)
    assert present.span() == (NOW - 14 * DAY, NOW)


def test_spans_that_adjoin_become_one(keeper: HistoryProvider) -> None:
    marks = asked(keeper.store, HERE, "q", NOW - DAY, NOW)
    marks.extend(NOW - 2 * DAY, NOW - DAY)
    marks.extend(NOW, NOW + 60.0)
    assert marks.span() == (NOW - 2 * DAY, NOW + 60.0)


def test_what_workflows_that_are_gone_left_is_forgotten(keeper: HistoryProvider) -> None:
    store = keeper.store
    marks = Watermarks(lambda: keeper.store, "default")
    marks.advance(["demo", "left"], NOW, facts=True)
    marks.lower(dict.fromkeys((HERE, GONE), NOW), ["demo", "left"], NOW - DAY, NOW)
    asked(store, GONE, "q", NOW - DAY, NOW)
    prune(store, [HERE], BEFORE, everywhere)
    assert store.watermarks("default") == {"demo": NOW, f"past:{HERE}:0": -(NOW - DAY)}


def test_a_dropped_history_is_remembered_as_long_as_it_matters(keeper: HistoryProvider) -> None:
    store = keeper.store
    marks = Watermarks(lambda: keeper.store, "default")
    marks.advance(["demo"], NOW, facts=True)
    marks.lower({HERE: NOW}, ["demo"], NOW - DAY, NOW)
    note_dropped(store, HERE, NOW)
    marks.lower({HERE: NOW}, ["demo"], NOW - 2 * DAY, NOW)
    old, other = replace(GONE, name="old"), replace(GONE, name="other")
    note_dropped(store, old, BEFORE - 1.0)
    note_dropped(store, other, BEFORE + 1.0)
    store.set_watermark("", "digest:uid", BEFORE)
    prune(store, [HERE], BEFORE, everywhere)
    assert marks.lows([HERE], NOW) == {HERE: NOW - 2 * DAY}
    assert len(store.watermarks("default")) == 2
    assert store.watermarks("") == {f"dropped:{HERE}": NOW, f"dropped:{other}": BEFORE + 1.0, "digest:uid": BEFORE}


def test_another_shards_namespaces_keep_theirs(keeper: HistoryProvider) -> None:
    store = keeper.store
    Watermarks(lambda: keeper.store, "default").advance(["demo", "left"], BEFORE - DAY, facts=True)
    asked(store, GONE, "q", BEFORE - 2 * DAY, BEFORE - DAY)
    note_dropped(store, GONE, 1.0)
    before = store.watermarks("default"), store.watermarks("")
    prune(store, [HERE], BEFORE, lambda namespace: namespace != "left")
    assert (store.watermarks("default"), store.watermarks("")) == before


def test_tidying_forgets_them(keeper: HistoryProvider) -> None:
    asked(keeper.store, HERE, "edited", NOW - 40 * DAY, NOW - 30 * DAY)
    present = asked(keeper.store, HERE, "present", NOW - DAY, NOW)
    keeper.tidy({HERE: (200, 14 * DAY)}, NOW)
    assert len(keeper.store.watermarks("default")) == 2
    assert present.span() == (NOW - DAY, NOW)


def test_outages_are_kept_when_the_rest_is_forgotten(tmp_path: Path) -> None:
    before = HistoryProvider(str(tmp_path / "history.db"))
    outages = Outages(lambda: before.store, 300.0)
    for at, ok in ((NOW, True), (NOW + 300.0, False), (NOW + 600.0, True), (NOW + 900.0, False)):
        outages.spans("default", at, ok=ok, read=at)
    prune(before.store, [], NOW + DAY, everywhere)
    before.close()
    after = HistoryProvider(str(tmp_path / "history.db"))
    at = NOW + DAY
    spans = Outages(lambda: after.store, 300.0).spans("default", at, ok=True, read=at)
    after.close()
    assert spans == ((NOW, NOW + 600.0), (NOW + 600.0, at))


def test_a_source_that_was_not_read_in_a_cycle_is_known_up_to_its_last_reading(keeper: HistoryProvider) -> None:
    outages = Outages(lambda: keeper.store, 300.0)
    assert outages.spans("default", NOW, ok=True, read=NOW) == ()
    assert outages.spans("default", NOW + 200.0, ok=True, read=NOW) == ()
    assert outages.spans("default", NOW + 300.0, ok=False, read=NOW + 300.0) == ((NOW, NOW + 300.0),)


def test_a_namespace_of_which_nothing_is_kept_yet_counts_as_read(keeper: HistoryProvider) -> None:
    """A blind source, or a first reading without facts: nothing of it is in the history."""
    marks = Watermarks(lambda: keeper.store, "default")
    marks.advance(["demo"], NOW, facts=False, blind=True)
    assert keeper.store.watermarks("default") == {}
    assert marks.complete(["demo", "other"]) == {"demo": NOW}


def test_when_a_digest_was_sent_is_forgotten_weeks_after_its_policy(keeper: HistoryProvider) -> None:
    store = keeper.store
    for uid, at in (("present", BEFORE - 7 * DAY), ("gone", BEFORE - 29 * DAY)):
        store.set_watermark("", f"{DIGEST}{uid}", at)
    prune(store, [HERE], BEFORE, everywhere)
    assert set(store.watermarks("")) == {f"{DIGEST}present"}
