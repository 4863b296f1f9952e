"""Findings keep their first wording while they last, or a status would change in every cycle."""

from __future__ import annotations

from concertmaster.core.stable_findings import StableFindings


def test_a_finding_keeps_its_wording_until_a_look_no_longer_has_it() -> None:
    notes: StableFindings[str] = StableFindings()
    notes.learn("etl", {"gone": "TaskRun a is gone"})
    notes.learn("etl", {"gone": "TaskRun b is gone", "odd": "odd"})
    assert notes.all == {"etl": ("TaskRun a is gone", "odd")}
    notes.learn("etl", {"odd": "very odd"})
    assert notes.of("etl") == ("odd",)
    notes.learn("etl", {})
    assert notes.all == {} and notes.of("etl") == ()


def test_findings_that_swap_places_are_the_same_findings() -> None:
    notes: StableFindings[str] = StableFindings()
    notes.learn("etl", {"gone": "gone", "odd": "odd"})
    before = notes.all
    notes.learn("etl", {"odd": "odd too", "gone": "gone too"})
    assert notes.all == before
    notes.learn("etl", {"new": "new", "odd": "odd"})
    assert notes.of("etl") == ("odd", "new")


def test_the_past_adds_and_takes_nothing_away() -> None:
    notes: StableFindings[str] = StableFindings()
    notes.learn("etl", {"odd": "odd today"})
    notes.add("etl", {})
    notes.add("etl", {"odd": "odd last week", "older": "older"})
    assert notes.of("etl") == ("odd today", "older")


def test_what_nobody_looks_at_any_more_is_forgotten() -> None:
    notes: StableFindings[str] = StableFindings()
    notes.learn("etl", {"odd": "odd"})
    notes.learn("gone", {"odd": "odd"})
    notes.keep_only({"etl", "new"})
    assert notes.all == {"etl": ("odd",)}


def test_what_is_said_of_one_subject_is_bounded() -> None:
    notes: StableFindings[str] = StableFindings()
    notes.learn("etl", {str(n): str(n) for n in range(100)})
    assert len(notes.of("etl")) == 5
