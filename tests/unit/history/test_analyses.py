"""What was said last of each profile, kept with the runs it rests on."""

from __future__ import annotations

from dataclasses import replace

from concertmaster.history import KeptAnalysis
from tests.support.data.history_rows import KEY, ran
from tests.support.history_places import Place

OTHER = replace(KEY, name="other")


def test_pods_that_say_something_new_make_it_stale(place: Place) -> None:
    with place.open() as store:
        store.add({KEY: {"r1": [ran("1")]}, OTHER: {"r1": [ran("2")]}})
        store.keep_analysis("a", KEY, b"first")
        store.keep_analysis("b", OTHER, b"other")
        store.add({KEY: {"r1": [ran("1")]}})  # nothing new
        assert store.analysis("a") == KeptAnalysis(b"first")
        store.add({KEY: {"r1": [ran("3", 20.0)]}})
    with place.open() as store:
        assert store.analysis("a") == KeptAnalysis(b"first", stale=True)
        assert store.analysis("b") == KeptAnalysis(b"other")
        store.confirm_analysis("a")
        assert store.analysis("a") == KeptAnalysis(b"first")
        store.keep_analysis("a", KEY, b"second")
        assert store.analysis("a") == KeptAnalysis(b"second")
        assert store.analysis("nobody") is None


def test_it_goes_with_its_workflow_and_with_its_profile(place: Place) -> None:
    with place.open() as store:
        for uid, key in (("a", KEY), ("b", OTHER), ("c", OTHER)):
            store.keep_analysis(uid, key, b"x")
        store.forget(KEY)
        assert store.analysis("a") is None
        store.keep_analyses_of({"b"})
        assert store.analysis("b") == KeptAnalysis(b"x")
        assert store.analysis("c") is None
