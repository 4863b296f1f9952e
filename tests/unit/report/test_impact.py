"""The impact line: amounts a month in words, and the same amounts read back from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from concertmaster.api.models.recommendation_status import ImpactLine
from concertmaster.core.model import Impact, Interval
from concertmaster.report import impact

AMOUNTS = st.floats(0, 1e7).map(lambda v: Interval(0.5 * v, v, 1.5 * v))


def test_the_line_names_amounts_units_and_intervals() -> None:
    whole = Impact(Interval(2100, 2460, 2820), Interval(1, 3, 5), Interval(10, 12.5, 15))
    assert impact.line(whole, "USD") == "41 run-hours (35 to 47), 3 failed runs (1 to 5), 12.5 USD (10 to 15) a month"
    assert impact.line(Impact(money=Interval(0.05, 0.05, 0.05)), "EUR") == "0.05 EUR a month"
    assert impact.line(Impact(run_minutes=Interval(30, 45, 60)), "USD") == "45 run-minutes (30 to 60) a month"
    assert impact.line(Impact(failed_runs=Interval(1, 1, 1)), "USD") == "1 failed run a month"
    assert impact.line(Impact(), "USD") == "not measured"


@given(AMOUNTS | st.none(), AMOUNTS | st.none(), AMOUNTS | st.none())
def test_it_is_read_back_to_three_digits_and_fits_the_schema(
    minutes: Interval | None, failed: Interval | None, money: Interval | None
) -> None:
    line = impact.line(Impact(minutes, failed, money), "USD")
    TypeAdapter(ImpactLine).validate_python(line)
    again = impact.parse(line)
    for reported, read in ((minutes, again.run_minutes), (failed, again.failed_runs), (money, again.money)):
        assert (reported is None) == (read is None)
        if reported is not None and read is not None:
            for a, b in ((reported.low, read.low), (reported.likely, read.likely), (reported.high, read.high)):
                assert b == pytest.approx(a, rel=0.01, abs=1e-5)
    assert impact.currency(line) == ("USD" if money is not None else None)


@pytest.mark.parametrize("words", [None, "", "plenty", "12 USD", 7])
def test_anything_else_promises_nothing(words: object) -> None:
    assert impact.parse(words) == Impact()
