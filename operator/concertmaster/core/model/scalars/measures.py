"""Durations, percents and decimal amounts.

Durations are the unambiguous subset of the API server's ``format: duration`` ("2 weeks" is rejected).
"""

from __future__ import annotations

import re
from decimal import Decimal, localcontext
from typing import Self

from concertmaster.core.model.scalars.scalar import EXACT, Scalar, ScalarError

_DURATION_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_MAX_DURATION = 99_999 * 86400  # the API server counts nanoseconds in 64 bits, which overflow soon after


class Duration(Scalar):
    """A span of time in whole days, hours, minutes and seconds: ``14d``, ``20m``, ``1d12h``. A day is 24 hours."""

    __slots__ = ()

    PATTERN = r"^([0-9]{1,5}(d|h|m|s))+$"
    FORMAT = "duration"
    UNIT = "a duration in d, h, m, s"
    FORMS = 'a duration in d, h, m and s, such as "20m", "14d" or "1d12h"'

    @classmethod
    def _parse(cls, text: str) -> Decimal:
        total = sum(int(number) * _DURATION_UNITS[unit] for number, unit in re.findall(r"([0-9]+)([dhms])", text))
        if total > _MAX_DURATION:
            raise ScalarError(f"{text!r} is longer than {_MAX_DURATION // 86400}d, the longest duration there is")
        return Decimal(total)

    @property
    def seconds(self) -> int:
        """The span in seconds."""
        return int(self._value)


class Percent(Scalar):
    """A share from 0 to 100 without the sign: ``95``, ``99.9``."""

    __slots__ = ()

    PATTERN = r"^(100(\.0{1,3})?|[0-9]{1,2}(\.[0-9]{1,3})?)$"
    UNIT = "percent, 0 to 100"
    FORMS = 'a percentage from 0 to 100 without the sign, such as "95" or "99.9"'

    @property
    def percent(self) -> float:
        """The value, 0 to 100."""
        return float(self._value)

    @property
    def share(self) -> float:
        """The value as a share, 0 to 1."""
        return float(self._value / 100)


class SignedPercent(Scalar):
    """A change in percent, either way: ``-15.2``, ``4``."""

    __slots__ = ()

    PATTERN = r"^-?[0-9]{1,6}(\.[0-9]{1,3})?$"
    UNIT = "percent, negative means less"
    FORMS = 'a change in percent without the sign %, such as "-15.2" or "4"'

    @property
    def percent(self) -> float:
        """The value in percent."""
        return float(self._value)

    @classmethod
    def of(cls, percent: float) -> Self:
        """``percent`` rounded to one decimal, which is dropped where it is zero."""
        return cls(_plain(percent, 1))


class DecimalAmount(Scalar):
    """A non-negative decimal amount (money, tokens, runs): ``1.50``, ``200000``, ``0.000002``."""

    __slots__ = ()

    PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,12})?$"
    UNIT = "a decimal number"
    FORMS = 'a decimal number that is not negative, such as "1.50" or "200000"'

    @property
    def value(self) -> Decimal:
        """The exact value."""
        return self._value


def _plain(value: float | Decimal, digits: int) -> str:
    """``value`` in plain notation (no exponent), rounded to ``digits`` decimals without trailing zeros or ``-0``."""
    number = value if isinstance(value, Decimal) else Decimal(repr(float(value)))
    if not number.is_finite():
        raise ScalarError(f"{value} is not a finite number")
    with localcontext(EXACT):
        text = f"{number.quantize(Decimal(1).scaleb(-digits)):f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
