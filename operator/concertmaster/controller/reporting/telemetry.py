"""The operator's own metrics, as /metrics shows them.

They carry no label per object, so their number does not grow with the cluster; series of workflows are opt-in and capped
(``workflow_series``).
"""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from concertmaster import __version__
from concertmaster.controller.changes.telemetry import ChangesTelemetry
from concertmaster.controller.reporting.source_series import SourcesTelemetry
from concertmaster.controller.reporting.workflow_series import WorkflowSeries
from concertmaster.core.changes.ledger import Ledger

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STAGES = ("watch", "discover", "collect", "verify", "queries", "analyze", "changes", "write", "policies")
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)


class Telemetry:
    """The operator's own metrics in a separate registry, without those of other libraries."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._judged_rules: set[str] = set()
        r = self.registry

        def counter(name: str, documentation: str, *labels: str) -> Counter:
            return Counter(f"concertmaster_{name}", documentation, labels, registry=r)

        def gauge(name: str, documentation: str, *labels: str) -> Gauge:
            return Gauge(f"concertmaster_{name}", documentation, labels, registry=r)

        def histogram(name: str, documentation: str, *labels: str) -> Histogram:
            return Histogram(f"concertmaster_{name}", documentation, labels, buckets=_BUCKETS, registry=r)

        self.stage_seconds = histogram("cycle_stage_seconds", "Time of one stage of a cycle.", "stage")
        self.cycle_seconds = histogram("cycle_seconds", "Time of one whole cycle.")
        self.cycles = counter("cycles", "Cycles finished, by result.", "result")
        self.last_success = gauge("last_success_timestamp_seconds", "When a cycle last ended without a failure.")
        self.sources = SourcesTelemetry(r)
        self.requests = counter(
            "kubernetes_requests",
            "Requests to the Kubernetes API by verb and HTTP code (0: no answer).",
            "verb",
            "code",
        )
        self.writes = counter("status_writes", "Statuses by kind and outcome.", "kind", "outcome")
        self.events = counter("events", "Kubernetes Events by outcome.", "outcome")
        self.notifications = counter("notifications", "Messages to receivers by outcome.", "receiver", "outcome")
        self.failures = counter("failures", "Faults isolated by the loop, by stage.", "stage")
        self.profiles = gauge("profiles", "Workflow profiles by state of Ready.", "ready")
        self.policies = gauge("policies", "Optimization policies by state of Ready.", "ready")
        self.analyzed = counter("analyses", "Workflows analyzed anew.")
        self.promises = gauge(
            "rule_promises", "Judged promises of a rule by how they came out: held or broken.", "rule", "result"
        )
        self.promise_ratio = gauge(
            "rule_promise_ratio",
            "Median of measured over predicted effect of a rule, 1 is as predicted; NaN: no numbers.",
            "rule",
        )
        self.live_runs = counter(
            "live_runs",
            "Finished runs read from live objects: complete, end (steps only from the metrics) or unreadable.",
            "result",
        )
        self.archived_runs = counter(
            "archived_runs",
            "Finished runs read from Argo's archive or Tekton Results: complete, end (steps only from the metrics) or "
            "unreadable.",
            "result",
        )
        self.archive_up = gauge("archive_up", "1 when the archive of an engine could be read last.", "archive")
        self.active = gauge("active", "1 while this operator is the leader, 0 while it is on standby.")
        self.changes = ChangesTelemetry(r)
        self.workflows = WorkflowSeries()
        gauge("build_info", "Always 1; the version is a label.", "version").labels(__version__).set(1)
        ProcessCollector(namespace="concertmaster", registry=r)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """A series that appears with its first event is no increase to a rule."""
        for stage in STAGES:
            self.stage_seconds.labels(stage)
            self.failures.labels(stage)
        self.failures.labels("cycle")
        for result in ("success", "failure"):
            self.cycles.labels(result)
        for result in ("complete", "end", "unreadable"):
            self.live_runs.labels(result)
            self.archived_runs.labels(result)
        for state in ("True", "False", "Unknown"):
            self.profiles.labels(state)
            self.policies.labels(state)

    def cycle_failed(self) -> None:
        """A cycle ended by a fault of its own."""
        self.cycles.labels("failure").inc()
        self.failures.labels("cycle").inc()

    def record_ledger(self, ledger: Ledger) -> None:
        """Record how predictions of rules compare with measured effects."""
        records = ledger.records()
        gone = self._judged_rules - {r.rule for r in records}
        self._judged_rules = {r.rule for r in records}
        for rule in gone:
            self.promises.remove(rule, "held")
            self.promises.remove(rule, "broken")
            self.promise_ratio.remove(rule)
        for record in records:
            self.promises.labels(record.rule, "held").set(record.held)
            self.promises.labels(record.rule, "broken").set(record.times - record.held)
            self.promise_ratio.labels(record.rule).set(math.nan if record.median is None else record.median)

    def observe_request(self, verb: str, code: int) -> None:
        """Count one request to the Kubernetes API."""
        self.requests.labels(verb, str(code)).inc()

    def render(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry) + self.workflows.render().encode()
