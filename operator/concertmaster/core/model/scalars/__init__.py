"""Exact scalar values of the API: quantities, durations, percents and decimal amounts, each written as a string."""

from concertmaster.core.model.scalars.measures import DecimalAmount, Duration, Percent, SignedPercent
from concertmaster.core.model.scalars.quantity import CpuQuantity, MemoryQuantity, Quantity
from concertmaster.core.model.scalars.scalar import Scalar, ScalarError

__all__ = [
    "CpuQuantity",
    "DecimalAmount",
    "Duration",
    "MemoryQuantity",
    "Percent",
    "Quantity",
    "Scalar",
    "ScalarError",
    "SignedPercent",
]
