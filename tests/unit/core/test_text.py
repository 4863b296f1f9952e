from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core import text


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "unknown"),
        (float("nan"), "unknown"),
        (0, "0s"),
        (0.85, "850ms"),
        (0.9996, "1s"),
        (1.0, "1s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.6, "1m00s"),
        (250, "4m10s"),
        (7500, "2h05m"),
        (86399, "1d00h"),
        (273600, "3d04h"),
        (-250, "-4m10s"),
    ],
)
def test_durations_read_like_people_say_them(seconds: float | None, shown: str) -> None:
    assert text.duration(seconds) == shown


@given(st.floats(min_value=1.0, max_value=1e13))
def test_memory_quantities_never_fall_below_the_size(size: float) -> None:
    quantity = text.memory_quantity(size)
    factor = 1024.0**3 if quantity.endswith("Gi") else 1024.0**2
    value = int(quantity[:-2]) * factor
    assert value >= size * (1 - 1e-9)
    assert value - size <= 1024.0**2 * 1.0001


@given(st.floats(min_value=0.0001, max_value=1e4))
def test_cpu_quantities_never_fall_below_the_cores(cores: float) -> None:
    quantity = text.cpu_quantity(cores)
    value = int(quantity[:-1]) / 1000 if quantity.endswith("m") else int(quantity)
    assert value >= cores - 1e-8
    assert value - cores <= 0.001 + 1e-9


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0.5, "0.5 cores"),
        (1.0, "1 core"),
        (0.05, "0.05 cores"),
        (2.0, "2 cores"),
        (0.001, "0.001 cores"),
        (None, "unknown"),
    ],
)
def test_cores_in_sentences(amount: float | None, shown: str) -> None:
    assert text.cores(amount) == shown


def test_small_shares_are_not_rounded_to_nothing() -> None:
    assert text.percent(0.004) == "0.4%"
    assert text.percent(0.0) == "0%"
    assert text.percent(0.41) == "41%"
    assert text.percent(None) == "unknown"


@pytest.mark.parametrize(
    ("share", "shown", "to_a_digit"),
    [
        (0.0003, "0.03%", "0.03%"),
        (0.994, "99%", "99.4%"),
        (0.9962, "99.6%", "99.6%"),
        (0.9996, "99.96%", "99.96%"),
        (1.0, "100%", "100.0%"),
        (1.0 - 1e-12, "100%", "100.0%"),
        (1.002, "100%", "100.2%"),
        (-0.9996, "-99.96%", "-99.96%"),
    ],
)
def test_what_is_neither_nothing_nor_all_does_not_read_so(share: float, shown: str, to_a_digit: str) -> None:
    """One failed run of 2,500 is no success of 100%."""
    assert (text.percent(share), text.percent(share, 1)) == (shown, to_a_digit)


@pytest.mark.parametrize(("seconds", "shown"), [(14 * 86400, "14d"), (36 * 3600, "36h"), (5400, "90m"), (61, "61s")])
def test_windows_are_spelt_like_policies_do(seconds: float, shown: str) -> None:
    assert text.window(seconds) == shown


def test_listings_are_bounded() -> None:
    assert text.listing([]) == ""
    assert text.listing(["a"]) == "a"
    assert text.listing(["a", "b"]) == "a and b"
    assert text.listing(["a", "b", "c"]) == "a, b and c"
    assert text.listing(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_money_keeps_digits_of_small_amounts() -> None:
    assert text.money(0.0123456, "USD") == "0.0123 USD"
    assert text.money(12.345, "EUR") == "12.3 EUR"
    assert text.money(0.687, "USD") == "0.687 USD", "as in the line of an impact"
    assert text.money(None, "USD") == "unknown"
    assert text.money(0.000859, "USD") == "0.000859 USD"
    assert text.money(0.00002, "USD") == "0.00002 USD"
    assert text.money(0.0, "USD") == "0 USD"


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [(160.0, 2, "160"), (1234567.0, 6, "1234567"), (0.000014, 2, "0.000014"), (0.0456, 2, "0.046"), (2.5, 1, "2")],
)
def test_numbers_are_never_written_with_an_exponent(value: float, digits: int, shown: str) -> None:
    assert text.number(value, digits) == shown


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0.0, "0"), (300.0, "1Ki"), (40 * 1024.0, "40Ki"), (2 * 1024.0**2, "2.0Mi"), (1023.7 * 1024**2, "1.0Gi")],
)
def test_memory_of_small_processes_does_not_read_as_none(size: float, shown: str) -> None:
    assert text.memory(size) == shown


def test_input_sizes_have_a_unit_that_fits() -> None:
    assert text.input_size(5e15, text.BYTES) == "5 PB"
    assert text.input_size(0.00004, "rows") == "0.00004 rows"
