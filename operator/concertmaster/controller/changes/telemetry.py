"""The series of changes on /metrics: what was proposed, written, verified and rolled back, and what checks block."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from concertmaster.controller.changes.writing.tally import RollbackReason, Tally
from concertmaster.core.changes.checks import NAMES
from concertmaster.core.changes.reconcile import IN_FLIGHT
from concertmaster.core.model.enums import Verdict
from concertmaster.core.units import DAY, HOUR

_BUCKETS = (HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY, 14 * DAY, 30 * DAY)


class ChangesTelemetry:
    """Fed once per cycle; counters begin at zero with the process, gauges hold the last cycle."""

    def __init__(self, registry: CollectorRegistry) -> None:
        name, r = "concertmaster_changes", registry
        self.registry = registry
        self.proposed = Counter(f"{name}_proposed", "Plans proposed as a WorkflowChange.", registry=r)
        self.applied = Counter(f"{name}_applied", "Changes written to the definition of a workflow.", registry=r)
        self.verdicts = Counter(f"{name}_verdicts", "Changes judged, by their first verdict.", ["verdict"], registry=r)
        self.restored = Counter(
            f"{name}_restored",
            "Changes rolled back: by verification, by a rejection, or after their object was deleted.",
            ["ground"],
            registry=r,
        )
        self.conflicts = Counter(f"{name}_conflicts", "Changes that somebody else's edit ended.", registry=r)
        self.failed = Counter(f"{name}_failed", "Changes refused as forged or by the API server.", registry=r)
        self.refused = Gauge(
            f"{name}_refused", "Plans that a check blocked in the last cycle, by check.", ["check"], registry=r
        )
        self.in_flight = Gauge(
            f"{name}_in_flight", "Changes written (Applied) or being verified (Verifying).", ["phase"], registry=r
        )
        self.orphaned = Gauge(
            f"{name}_orphaned", "Pending changes that are neither verified nor rolled back.", registry=r
        )
        self.waiting = Gauge(
            f"{name}_rollbacks_waiting", "Rollbacks that the API server does not take, by rights, admission or limits.",
            registry=r,
        )  # fmt: skip
        self.unreadable = Gauge(
            f"{name}_unreadable", "Entries of the journal of changes that cannot be read.", registry=r
        )
        self.seconds = Histogram(
            f"{name}_verdict_seconds", "From the write of a change to its verdict.", buckets=_BUCKETS, registry=r
        )
        self.observe(Tally())

    def observe(self, tally: Tally) -> None:
        """Add one cycle."""
        self.proposed.inc(tally.proposed)
        self.applied.inc(tally.applied)
        self.conflicts.inc(tally.conflicts)
        self.failed.inc(tally.failed)
        for verdict in Verdict:
            self.verdicts.labels(verdict.value).inc(tally.verdicts[verdict])
        for ground in RollbackReason:
            self.restored.labels(ground.value).inc(tally.restored[ground])
        for check in NAMES:
            self.refused.labels(check).set(tally.refused[check])
        for phase in sorted(IN_FLIGHT):
            self.in_flight.labels(phase).set(tally.in_flight[phase])
        self.orphaned.set(tally.orphaned)
        self.unreadable.set(tally.unreadable)
        self.waiting.set(tally.waiting)
        for seconds in tally.seconds:
            self.seconds.observe(seconds)
