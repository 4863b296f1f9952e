"""What a step moves over the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from concertmaster.core.model import StepExecution


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """What executions of a step moved over the network: medians of bytes received and sent, and of bytes a second."""

    executions: int
    received: float
    sent: float
    rate: float | None


def network_use(executions: Sequence[StepExecution]) -> NetworkUse | None:
    """The network use of these executions; None where none of them tells it."""
    rows = [e for e in executions if e.network_receive_bytes is not None or e.network_transmit_bytes is not None]
    if not rows:
        return None
    rates = [(e.network_bytes or 0.0) / e.duration for e in rows if e.duration]
    received = median(e.network_receive_bytes or 0.0 for e in rows)
    sent = median(e.network_transmit_bytes or 0.0 for e in rows)
    return NetworkUse(len(rows), received, sent, median(rates) if rates else None)
