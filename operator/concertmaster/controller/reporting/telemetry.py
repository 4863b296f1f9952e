"""The operator's own telemetry: /metrics and one JSON object per log line.

The operator's own metrics carry no label per object, so their number does not grow with the cluster; series of workflows
are opt-in and capped (``workflow_series``). Log lines pass a filter that removes
what looks like a credential, because texts of other libraries end up in them.
"""

from __future__ import annotations

import collections
import json
import logging
import math
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from concertmaster import __version__
from concertmaster.controller.changes.telemetry import ChangesTelemetry
from concertmaster.controller.interfaces import SourceReport
from concertmaster.controller.reporting.workflow_series import WorkflowSeries
from concertmaster.core.changes.ledger import Ledger
from concertmaster.core.times import utc
from concertmaster.net.http_logging import silence_urllib3

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STAGES = ("watch", "discover", "collect", "verify", "queries", "analyze", "changes", "write", "policies")
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)


class Telemetry:
    """The operator's own metrics in a separate registry, without those of other libraries."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._learned: set[str] = set()
        self._sources: set[str] = set()
        self._unassigned: dict[str, Mapping[str, int]] = {}  # by source, of the last reading
        self._reasons: set[str] = set()
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
        self.queries = counter("queries", "Queries sent to metrics sources.", "source")
        self.source_up = gauge("source_up", "1 when the last collection from the source was complete.", "source")
        self.clock_ahead = gauge(
            "source_clock_ahead_seconds",
            "By how much the operator's clock is ahead of the source's (below 0: behind); 0 for less than two minutes.",
            "source",
        )
        self.data_until = gauge("source_data_until_timestamp_seconds", "Up to when facts are complete.", "source")
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
        self.analyzed = counter("analyses", "Workflows analysed anew.")
        self.unassigned = gauge("unassigned_pods", "Pods of workflow engines that belong to no profile.", "reason")
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
        for stage in STAGES:
            self.stage_seconds.labels(stage)
            self.failures.labels(stage)
        self.failures.labels("cycle")  # one that appears with its first fault is no increase to a rule
        for result in ("success", "failure"):
            self.cycles.labels(result)
        for result in ("complete", "end", "unreadable"):
            self.live_runs.labels(result)
            self.archived_runs.labels(result)
        for state in ("True", "False", "Unknown"):
            self.profiles.labels(state)
            self.policies.labels(state)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure one stage; a failure is counted and goes on to the caller."""
        begun = perf_counter()
        try:
            yield
        except Exception:
            self.failures.labels(name).inc()
            raise
        finally:
            self.stage_seconds.labels(name).observe(perf_counter() - begun)

    def cycle_failed(self) -> None:
        """A cycle ended by a fault of its own."""
        self.cycles.labels("failure").inc()
        self.failures.labels("cycle").inc()

    def learned(self, ledger: Ledger) -> None:
        """Record how predictions of rules compare with measured effects."""
        records = ledger.records()
        gone = self._learned - {r.rule for r in records}
        self._learned = {r.rule for r in records}
        for rule in gone:
            self.promises.remove(rule, "held")
            self.promises.remove(rule, "broken")
            self.promise_ratio.remove(rule)
        for record in records:
            self.promises.labels(record.rule, "held").set(record.held)
            self.promises.labels(record.rule, "broken").set(record.times - record.held)
            self.promise_ratio.labels(record.rule).set(math.nan if record.median is None else record.median)

    def sources(self, reports: Mapping[str, SourceReport]) -> None:
        """Record how the metrics sources were read, by name. One that nobody asks for any more has no series left: its last
        state would raise alerts for good."""
        for name in self._sources - reports.keys():
            self.source_up.remove(name)
            self.data_until.remove(name)
            self.clock_ahead.remove(name)
        self._sources = set(reports)
        for name, report in reports.items():
            self.queries.labels(name).inc(report.queries)
            self.source_up.labels(name).set(1 if report.ok else 0)
            self.clock_ahead.labels(name).set(report.clock_ahead)
            if report.data_until is not None:
                self.data_until.labels(name).set(report.data_until)
        read = {name: report.unassigned for name, report in reports.items() if report.ok and report.queries}
        self._unassigned = {name: pods for name, pods in self._unassigned.items() if name in reports} | read
        counts: collections.Counter[str] = sum(
            map(collections.Counter, self._unassigned.values()), collections.Counter()
        )
        for reason in self._reasons - counts.keys():
            self.unassigned.remove(reason)
        self._reasons = set(counts)
        for reason, count in counts.items():
            self.unassigned.labels(reason).set(count)

    def observe_request(self, verb: str, code: int, seconds: float) -> None:
        """Count one request to the Kubernetes API."""
        self.requests.labels(verb, str(code)).inc()

    def render(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry) + self.workflows.render().encode()


# Texts of others stand in log lines, so each pattern takes time in proportion to the text: one that may begin anywhere
# within a run of characters it accepts would read the rest of the run from each of its places.
_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 ***"),
    (
        re.compile(r"(?i)(token|password|passwd|secret|api[_-]?key|authorization)(\"?\s*[=:]\s*\"?)[^\s\"',;&]+"),
        r"\1\2***",
    ),
    (re.compile(r"(?i)(?<![a-z0-9+.-])([a-z0-9+.-]++://)[^\s/@:]+:[^\s/@]+@"), r"\1***@"),
    (re.compile(r"(?<![\w-])((?:(?!eyJ)[\w-])*+)eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), r"\1***"),
)


def redact(text: str) -> str:
    """``text`` without what looks like a credential: tokens, passwords, user parts of URLs, JSON web tokens."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _redacted(value: Any) -> Any:
    """The same for everything inside ``value``."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {k: _redacted(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(v) for v in value]
    return value


class JsonFormatter(logging.Formatter):
    """One JSON object per line with stable keys: ts, level, logger, msg, then what the caller put into ``fields``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "ts": utc(record.created).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": redact(record.getMessage()),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            line.update({k: _redacted(v) for k, v in fields.items()})
        if record.exc_info:
            line["error"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(level: str = "INFO") -> None:
    """Send all log lines through the JSON formatter; kopf's only from WARNING on, urllib3's not at all."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("kopf", "aiohttp", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    silence_urllib3()
