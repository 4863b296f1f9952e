"""The moments at which the last sample of a container is sought."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from concertmaster.prometheus.queries.scope import QueryScope, TimeRange
from concertmaster.prometheus.queries.usage import LAST_STEP, RATE, Sampling, last_step, life, rate_seconds, usage


@given(st.floats(2.0, 600.0), st.floats(0.0, 600.0))
def test_a_series_that_ends_at_the_next_scrape_is_met(interval: float, sampled: float) -> None:
    step = last_step(interval, least=None)
    met = -(-sampled // step) * step
    assert met < sampled + interval


@given(st.floats(1.0, 600.0), st.floats(0.75, 1.0))
def test_what_is_known_of_an_unknown_interval_saves_moments(interval: float, part: float) -> None:
    step = last_step(None, interval * part)
    assert step == LAST_STEP or step <= interval / 2
    assert last_step(30.0, interval * part) == last_step(30.0, least=None)


def test_a_known_interval_saves_moments_and_an_unknown_one_does_not() -> None:
    scope, window = QueryScope(), TimeRange(1800)
    assert "[1800s:15s]" in usage(scope, window, ["a"], Sampling(finest=last_step(30.0, least=None)))
    assert "[1800s:5s]" in usage(scope, window, ["a"], Sampling(finest=last_step(None, least=None)))


def test_cpu_time_of_each_cpu_is_left_out_where_a_source_has_it() -> None:
    window = TimeRange(1800)
    assert 'cpu=~"|total"' not in life(QueryScope(), window, ["a"])
    text = life(QueryScope(each_cpu=True), window, ["a"], Sampling(records=True))
    series = [part for part in text.split("container_cpu_usage_seconds_total")[1:] if part.startswith("{")]
    assert series and all('cpu=~"|total"' in part.partition("}")[0] for part in series)
    assert '{__name__=~"container_cpu_cfs' in text and 'container!="POD",cpu=~"|total"}' in text


@given(st.floats(1.0, 600.0))
def test_the_highest_rate_has_two_samples_however_seldom_they_are(interval: float) -> None:
    """At one of the moments at which it is sought, also where the interval is that of most samples in five minutes."""
    estimated = 300.0 / (int(299.9 / interval) + 1)
    assert min(rate_seconds(interval), rate_seconds(estimated)) >= interval + 30.0
    assert rate_seconds(None) == rate_seconds(60.0) == RATE


def test_rates_over_two_minutes_are_asked_as_the_recording_rule_has_them() -> None:
    assert "[2m]" in usage(QueryScope(), TimeRange(1800), ["a"])
    assert "[5m])[" in usage(QueryScope(), TimeRange(1800), ["a"], Sampling(rate=rate_seconds(120.0)))
