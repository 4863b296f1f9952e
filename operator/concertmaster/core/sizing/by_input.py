"""Memory request as a function of input size, where the input explains the peak."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InputModel:
    """Request(x) = max(floor, intercept + slope * x) * margin; bytes, x in bytes of input."""

    intercept: float
    slope: float
    margin: float
    floor: float

    def request(self, input_size: float) -> float:
        """Memory request in bytes for one input size in bytes."""
        return max(self.floor, (self.intercept + self.slope * input_size) * self.margin)
