"""A wrong clock is reported where it is certain, and only there."""

from __future__ import annotations

import time
from email.utils import format_datetime, formatdate

import pytest

from concertmaster.core.times import utc
from concertmaster.net.retry import Tools
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.server_clock import ServerClock, in_words
from concertmaster.settings import MetricsSource
from tests.support.data.metrics_store import running

NOW = 1_760_000_000.0


def reading(clock: ServerClock, *ahead: float, **headers: str) -> float:
    """What is known after a reading with answers by which this process's clock is so many seconds ahead."""
    for seconds in ahead:
        clock.observe({"Date": formatdate(NOW - seconds, usegmt=True), **headers}, NOW)
    return clock.end_reading()


@pytest.mark.parametrize("ahead", [600.0, -600.0, 7200.0])
def test_a_difference_that_all_answers_of_two_readings_show_is_known(ahead: float) -> None:
    clock = ServerClock()
    assert [reading(clock, ahead, ahead + 5.0) for _ in range(2)] == [0.0, pytest.approx(ahead, abs=5.0)]
    assert reading(clock, 1.0) == 0.0


@pytest.mark.parametrize("ahead", [0.0, 30.0, -30.0, 119.0])
def test_what_clocks_and_answers_take_is_none(ahead: float) -> None:
    clock = ServerClock()
    assert [reading(clock, ahead) for _ in range(3)] == [0.0] * 3


def test_what_a_cache_has_kept_or_another_server_says_is_no_difference() -> None:
    clock = ServerClock()
    assert [reading(clock, 900.0, Age="890") for _ in range(3)] == [0.0] * 3
    assert [reading(clock, 900.0, 2.0) for _ in range(3)] == [0.0] * 3
    assert [reading(clock, ahead) for ahead in (900.0, -900.0, 900.0)] == [0.0] * 3


@pytest.mark.parametrize("date", ["", "today", "Thu, 99 Oct 2025 08:53:20 GMT"])
def test_answers_that_do_not_say_when_they_were_sent_tell_nothing(date: str) -> None:
    clock = ServerClock()
    clock.observe({"Date": date} if date else {}, NOW)
    assert clock.nearest is None


def test_a_known_difference_stands_while_it_is_about_the_same_or_nothing_is_asked() -> None:
    clock = ServerClock()
    reading(clock, 600.0)
    known = reading(clock, 600.0)
    assert [reading(clock, 610.0), reading(clock), reading(clock, 640.0)] == [known] * 3
    assert reading(clock, 1200.0) == 1200.0


def test_a_zone_that_a_date_should_not_have_is_read() -> None:
    clock = ServerClock()
    clock.observe({"Date": format_datetime(utc(NOW))}, NOW)
    assert clock.nearest == 0.0


def test_the_answers_of_a_source_are_compared_with_this_clock() -> None:
    with running() as store:
        source = MetricsSource.model_validate({"name": "main", "url": store.url})
        with PrometheusClient(source, tools=Tools(wall=lambda: time.time() + 3600.0)) as client:
            client.instant("up", 1.0)
            assert client.clock.nearest == pytest.approx(3600.0, abs=30.0)


def test_words() -> None:
    assert in_words(720.0, "the operator", "main") == (
        "the clock of the operator is 12m00s ahead of that of metrics source main"
    )
    assert "is 1h00m behind that of" in in_words(-3600.0, "the operator", "main")
