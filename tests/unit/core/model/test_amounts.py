"""Amounts as manifests write them: what is no amount is None, never a guess."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concertmaster.core.model.amounts import digits, finite, quantity, whole


@pytest.mark.parametrize(
    "literal", [True, False, None, "", "much", "-1", "1 Gi", -1, -0.5, math.inf, math.nan, [1], {}]
)
def test_what_is_no_amount_is_not_taken_for_one(literal: object) -> None:
    assert quantity(literal) is None


@pytest.mark.parametrize(("literal", "amount"), [(0, 0.0), (0.5, 0.5), ("0", 0.0), ("250m", 0.25), ("1Ki", 1024.0)])
def test_an_amount_is_read_as_text_and_as_a_number(literal: object, amount: float) -> None:
    assert quantity(literal) == amount


@pytest.mark.parametrize("literal", [True, False, None, "3", 3.0])
def test_only_an_integer_is_whole(literal: object) -> None:
    assert whole(literal) is None


@given(st.integers())
def test_every_integer_is_whole_and_large_ones_are_no_quantity(number: int) -> None:
    assert whole(number) == number
    assert (finite(number) is None) == (abs(number) > 2**63)


@given(st.integers(0, 10**12), st.integers(0, 3))
def test_digits_are_read_up_to_nine_of_them(number: int, zeros: int) -> None:
    text = "0" * zeros + str(number)
    assert digits(text) == (number if len(text) <= 9 else None)


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1.0", "1_000", "²", "٣"])
def test_other_text_is_no_number(text: str) -> None:
    assert digits(text) is None
