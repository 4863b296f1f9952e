"""What kopf says about its watches, made fit for people: short, seldom, and no error while it is tried again."""

from __future__ import annotations

import logging

import kopf

from concertmaster.controller.watches import Backoffs, WatchLogFilter, settings


def said(message: str) -> logging.LogRecord:
    return logging.LogRecord("kopf", logging.ERROR, __file__, 1, message, (), None)


def test_a_watch_that_is_tried_again_is_a_warning_once_a_minute() -> None:
    now = [0.0]
    calm = WatchLogFilter(clock=lambda: now[0])
    first = said("Request attempt #1 failed; will retry: GET /apis -> " + "x" * 5000)
    assert calm.filter(first)
    assert (first.levelno, first.levelname) == (logging.WARNING, "WARNING")
    assert len(first.getMessage()) < 400
    assert not calm.filter(said("Request attempt #2 failed; will retry: GET /apis"))
    now[0] = 61.0
    given_up = said("Request attempt #9 failed; escalating: GET /apis")
    assert calm.filter(given_up)
    assert given_up.levelno == logging.ERROR


def test_pauses_grow_and_never_end() -> None:
    pauses = [pause for pause, _ in zip(Backoffs(), range(100), strict=False)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 1.0
    assert pauses[-1] == pauses[-2] <= 300.0


def test_objects_of_events_are_not_copied_for_handlers_of_changes_that_are_not_there() -> None:
    body = kopf.Body({"metadata": {"name": "etl"}, "spec": {"rules": {}}, "status": {"score": 80}})
    storage = settings(scanning=False).persistence.diffbase_storage
    assert not storage.build(body=body)
    assert storage.fetch(body=body) is None
