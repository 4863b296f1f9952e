"""The one log line of a cycle: how long each stage took, what was written, and what went wrong."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

from concertmaster.controller.reporting.telemetry import Telemetry

log = logging.getLogger("concertmaster.cycle")

_MAX_PROBLEMS = 10  # problems in one line


@dataclass(slots=True)
class CycleLog:
    """What the log line of one cycle says. ``held``: profiles whose status stays for now."""

    seconds: dict[str, float] = field(default_factory=dict)
    writes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    failed: bool = False
    analyzed: int = 0
    analyses_failed: int = 0
    held: int = 0
    begun: float = field(default_factory=perf_counter)

    @contextmanager
    def stage(self, name: str, telemetry: Telemetry) -> Iterator[None]:
        """Time one stage, or a part of it, for the line and for /metrics; a failure is counted and goes on to the caller."""
        begun = perf_counter()
        try:
            yield
        except Exception:
            telemetry.failures.labels(name).inc()
            raise
        finally:
            seconds = perf_counter() - begun
            telemetry.stage_seconds.labels(name).observe(seconds)
            self.seconds[name] = round(self.seconds.get(name, 0.0) + seconds, 3)

    def problem(self, text: str) -> None:
        """Add a problem to the line; the cycle then counts as not fully successful."""
        self.failed = True
        self.problems.append(text)

    def note(self, *texts: str) -> None:
        """Add what an operator should know and no part of the cycle failed by."""
        self.problems += texts

    @property
    def elapsed(self) -> float:
        """Seconds since the cycle began."""
        return perf_counter() - self.begun

    def log(self, seconds: float, **counts: int) -> None:
        """Write the line, as a warning when something failed."""
        fields: dict[str, object] = {
            "seconds": round(seconds, 3),
            "stages": self.seconds,
            "writes": dict(self.writes),
            "analyzed": self.analyzed,
            "held": self.held,
            **counts,
        }
        if self.problems:
            fields["problems"] = self.problems[:_MAX_PROBLEMS]
            fields["more_problems"] = max(0, len(self.problems) - _MAX_PROBLEMS)
        log.log(logging.WARNING if self.failed else logging.INFO, "cycle", extra={"fields": fields})
