"""Network traffic of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from concertmaster.core.model import StepExecution


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """Medians over the executions of a step: bytes received and sent, and bytes per second."""

    executions: int
    received: float
    sent: float
    rate: float | None


def network_use(executions: Sequence[StepExecution]) -> NetworkUse | None:
    """Network use of these executions; None when it is known for none of them."""
    rows = [e for e in executions if e.network_receive_bytes is not None or e.network_transmit_bytes is not None]
    if not rows:
        return None
    rates = [(e.network_bytes or 0.0) / e.duration for e in rows if e.duration]
    received = median(e.network_receive_bytes or 0.0 for e in rows)
    sent = median(e.network_transmit_bytes or 0.0 for e in rows)
    return NetworkUse(len(rows), received, sent, median(rates) if rates else None)
