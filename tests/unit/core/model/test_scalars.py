"""Scalars: exact values, the API server's notation, and refusal of everything that could be misread."""

from __future__ import annotations

import copy
import math
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from concertmaster.core.model.scalars import (
    CpuQuantity,
    DecimalAmount,
    Duration,
    MemoryQuantity,
    Percent,
    Quantity,
    Scalar,
    ScalarError,
    SignedPercent,
)

SCALARS = [Quantity, CpuQuantity, MemoryQuantity, Duration, Percent, SignedPercent, DecimalAmount]
SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "E2", "e-3"]

quantities = st.builds(
    lambda whole, fraction, suffix: f"{whole}{fraction}{suffix}",
    st.integers(0, 10**6),
    st.sampled_from(["", ".5", ".25", ".125"]),
    st.sampled_from([s for s in SUFFIXES if s not in ("n", "u")]),
)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("500m", "0.5"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("1.5", "1.5"),
        ("2", "2"),
        ("5.", "5"),
        ("64Mi", "67108864"),
        ("2Gi", "2147483648"),
        ("1.5Gi", "1610612736"),
        ("1024Ki", "1048576"),
        ("0.5Ki", "512"),
        ("0.1Ki", "102.4"),
        ("1000Ki", "1024000"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("100e3", "100000"),
        ("1E", "1000000000000000000"),
        ("1500", "1500"),
        ("1500k", "1500000"),
        ("2000k", "2000000"),
        ("0", "0"),
        ("0Mi", "0"),
        ("-2", "-2"),
        ("+3m", "0.003"),
    ],
)
def test_quantities_are_exact(text: str, amount: str) -> None:
    assert Quantity(text).amount == Decimal(amount)
    assert str(Quantity(text)) == text


@pytest.mark.parametrize(
    "text",
    ["1e3Mi", "", " 1", "1 Gi", "1e", "Mi", "1KI", "1ki", "0x10", "1,5", "NaN", "inf", "1.5.2", "1mi", "١", "1\n"],
)
def test_what_kubernetes_would_refuse_is_refused(text: str) -> None:
    with pytest.raises(ScalarError, match="is not a quantity"):
        Quantity(text)


@pytest.mark.parametrize(
    ("text", "why"), [("0.1n", "finer"), ("1e-10", "finer"), ("9Ei", "more than"), ("1e30", "more")]
)
def test_what_kubernetes_would_round_or_cap_is_refused(text: str, why: str) -> None:
    with pytest.raises(ScalarError, match=why):
        Quantity(text)


def test_units_are_not_confused() -> None:
    with pytest.raises(ScalarError, match="CPU cores"):
        CpuQuantity("64Mi")
    with pytest.raises(ScalarError, match="bytes"):
        MemoryQuantity("64m")
    assert MemoryQuantity("1.5Gi").bytes == 1.5 * 2**30
    assert MemoryQuantity("1e9") > MemoryQuantity("900M")


def test_equality_and_order_go_by_value_within_a_family() -> None:
    assert Quantity("0.5") == CpuQuantity("500m")
    assert hash(Quantity("0.5")) == hash(Quantity("500m"))
    assert MemoryQuantity("1Gi") > MemoryQuantity("1G")
    assert Duration("60m") == Duration("1h")
    assert Quantity("1") != Percent("1")
    assert Quantity("1") != "1"
    with pytest.raises(TypeError):
        _ = Duration("1h") < Percent("50")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("14d", 1_209_600), ("20m", 1200), ("1d12h", 129_600), ("90s", 90), ("0s", 0), ("1h1h", 7200), ("2h45m30s", 9930)],
)
def test_durations_in_seconds(text: str, seconds: int) -> None:
    assert Duration(text).seconds == seconds


@pytest.mark.parametrize("text", ["", "14", "2 weeks", "1w", "1.5h", "-1h", "1 h", "1H", "1ms", "PT5M", "123456s"])
def test_ambiguous_durations_are_refused(text: str) -> None:
    with pytest.raises(ScalarError, match="is not a duration"):
        Duration(text)


def test_a_duration_the_api_server_could_not_count_is_refused() -> None:
    with pytest.raises(ScalarError, match="longest"):
        Duration("99999d99999d")


@pytest.mark.parametrize("text", ["0", "95", "99.9", "100", "100.0", "7.125"])
def test_percents(text: str) -> None:
    assert Percent(text).percent == float(text)
    assert Percent(text).share == pytest.approx(float(text) / 100)


@pytest.mark.parametrize("text", ["101", "100.1", "95%", "-1", "0.95.1", "", "1e1", "99.9999"])
def test_percents_beyond_their_range_are_refused(text: str) -> None:
    with pytest.raises(ScalarError, match="percentage from 0 to 100"):
        Percent(text)


@given(st.floats(-99_999, 99_999))
def test_changes_in_percent_keep_their_sign(value: float) -> None:
    assert abs(SignedPercent.of(value).percent - value) <= 0.0500001
    assert str(SignedPercent.of(value)) != "-0"
    assert not str(SignedPercent.of(value)).endswith((".", ".0"))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_percent_of_a_number_that_is_none(value: float) -> None:
    with pytest.raises(ScalarError, match="not a finite number"):
        SignedPercent.of(value)


@given(st.decimals(0, 10**9, places=6))
def test_amounts_are_exact(value: Decimal) -> None:
    assert DecimalAmount(f"{value:f}").value == value


def test_amounts_are_not_negative() -> None:
    with pytest.raises(ScalarError, match="not negative"):
        DecimalAmount("-1")


@pytest.mark.parametrize("scalar", SCALARS)
def test_scalars_are_values(scalar: type[Scalar]) -> None:
    value = scalar("5m" if scalar is Duration else "5")
    assert pickle.loads(pickle.dumps(value)) == value
    assert copy.deepcopy(value) == value
    assert repr(value) == f"{scalar.__name__}({str(value)!r})"
    with pytest.raises(AttributeError, match="immutable"):
        value._text = "6"


@pytest.mark.parametrize("scalar", SCALARS)
@pytest.mark.parametrize("value", [5, 1.5, None, True, ["5"], b"5"])
def test_only_strings_are_scalars(scalar: type[Scalar], value: object) -> None:
    with pytest.raises(ScalarError, match="in quotes"):
        scalar(value)  # type: ignore[arg-type]


class Sample(BaseModel):
    """A model with scalars."""

    window: Duration = Duration("14d")
    share: Percent | None = None


def test_models_read_and_write_scalars_as_text() -> None:
    sample = Sample.model_validate({"window": "1d12h", "share": "99.9"})
    assert sample.window.seconds == 129_600
    assert sample.model_dump(mode="json") == {"window": "1d12h", "share": "99.9"}
    with pytest.raises(ValidationError, match="is not a duration in d, h, m and s"):
        Sample.model_validate({"window": "{2} weeks"})


@given(st.text(max_size=40))
def test_no_text_does_worse_than_a_clear_refusal(text: str) -> None:
    for scalar in SCALARS:
        try:
            assert str(scalar(text)) == text
        except ScalarError as error:
            assert str(error)
