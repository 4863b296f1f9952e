"""Kubernetes quantities as exact decimals: sizes and CPU amounts.

The grammar follows Kubernetes' ``resource.Quantity``.
"""

from __future__ import annotations

import re
from decimal import ROUND_UP, Decimal, localcontext

from concertmaster.core.model.scalars.scalar import EXACT, Scalar, ScalarError

_MAX_QUANTITY = Decimal(2**63 - 1)
_NANO, _MILLI = Decimal("1e-9"), Decimal("1e-3")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:([KMGTPE]i)|([eE][+-]?[0-9]+)|([numkMGTPE]?))")

_MAX_EXPONENT = 30  # the exponent beyond which nothing but 0 and the cap is left

MAX_LENGTH = 64
"""Characters of a quantity that is read at all."""


def rounded(text: str) -> Decimal | None:
    """What the API server makes of any quantity in a pod's requests and limits: it rounds up to 1m and caps at 2**63 - 1.
    None for what is no quantity. A definition has what was written, for example ``0.30000000000000004`` or ``0.3333``."""
    match = _QUANTITY.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        return None
    number, binary, exponent, decimal = match.groups()
    with localcontext(EXACT) as context:
        context.prec = 2 * MAX_LENGTH
        power = max(-_MAX_EXPONENT, min(_MAX_EXPONENT, int(exponent[1:]))) if exponent else _DECIMAL[decimal or ""]
        value = Decimal(number) * (1024 ** _BINARY.index(binary) if binary else Decimal(10) ** power)
        value = max(-_MAX_QUANTITY, min(_MAX_QUANTITY, value))
        return value.quantize(_MILLI, rounding=ROUND_UP)


class Quantity(Scalar):
    """An amount in Kubernetes' notation: ``500m``, ``1.5``, ``64Mi``, ``2G``, ``1e3``.

    Values that Kubernetes would round or cap (finer than 1n, above 2**63 - 1) are rejected.
    """

    __slots__ = ()

    PATTERN = r"^[+-]?([0-9]{1,19}(\.[0-9]{0,9})?|\.[0-9]{1,9})([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$"
    UNIT = "Kubernetes quantity"
    FORMS = 'a quantity: a number with one suffix (m, k, M, G, Ki, Mi, Gi ...) or an exponent, such as "500m" or "64Mi"'

    @classmethod
    def _parse(cls, text: str) -> Decimal:
        match = _QUANTITY.fullmatch(text)
        if match is None:  # a subclass pattern must not accept what the grammar rejects
            raise ScalarError(f"{text!r} is not {cls.FORMS}")
        number, binary, exponent, decimal = match.groups()
        value = Decimal(number)
        if binary:
            value *= 1024 ** _BINARY.index(binary)
        else:
            value = value.scaleb(int(exponent[1:]) if exponent else _DECIMAL[decimal])
        if abs(value) > _MAX_QUANTITY:
            raise ScalarError(f"{text!r} is more than a quantity can hold (2**63 - 1)")
        if value != value.quantize(_NANO):
            raise ScalarError(f"{text!r} is finer than a quantity can hold (1n)")
        return value.normalize()

    @property
    def amount(self) -> Decimal:
        """The exact value in base units (cores, bytes)."""
        return self._value

    @property
    def cores(self) -> float:
        """The value in CPU cores."""
        return float(self._value)

    @property
    def bytes(self) -> float:
        """The value in bytes."""
        return float(self._value)


class CpuQuantity(Quantity):
    """CPU cores: ``500m``, ``1.5``, ``8``. Byte suffixes are rejected."""

    __slots__ = ()

    PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,3}|[mk])?$"
    UNIT = "CPU cores"
    FORMS = 'CPU cores such as "500m", "1.5" or "8"'


class MemoryQuantity(Quantity):
    """Bytes: ``64Mi``, ``2Gi``, ``500M``. The suffix ``m`` (a thousandth of a byte) is rejected as a typing error."""

    __slots__ = ()

    PATTERN = r"^[0-9]{1,19}(\.[0-9]{1,3})?([kMGTPE]|[KMGTPE]i|[eE][+]?[0-9]{1,2})?$"
    UNIT = "bytes"
    FORMS = 'bytes such as "64Mi", "2Gi" or "500M"'
