"""What a metrics source has and lacks, one check at a time, each with its fix: the metrics part of ``concertmaster
doctor``.

Every check is one small query over the last hours, independent of the others: a source may refuse one and answer the
rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from concertmaster.core.text import duration
from concertmaster.prometheus.client import PrometheusClient
from concertmaster.prometheus.client.errors import MetricsError
from concertmaster.prometheus.client.server_clock import MIN_SKEW, REMEDY, in_words
from concertmaster.prometheus.collect.diagnostics import Diagnostic, DiagnosticStatus
from concertmaster.prometheus.collect.early_deletions import ends_missed
from concertmaster.prometheus.collect.exported_labels import unexported_labels
from concertmaster.prometheus.collect.source_traits import ask_labels
from concertmaster.prometheus.facts.missing_series import SERIES, MissingSeries
from concertmaster.prometheus.facts.series_labels import SeriesLabels
from concertmaster.prometheus.queries import bulk as queries
from concertmaster.prometheus.queries import recording_rule as recorded
from concertmaster.prometheus.queries.promql import equalities, matcher, selector
from concertmaster.prometheus.queries.scope import LabelScheme
from concertmaster.prometheus.queries.series_labels import CLUSTERS

_HOURS = 6
_MISSED_ENDS = 0.1  # share of the deleted pods; nodes that are lost delete a few, too
_RECENTLY = "[30m]"  # of all series of pods and containers several times over
_KUBELET = "the metric relabelling of the kubelet's /metrics/cadvisor scrape"


@dataclass(frozen=True, slots=True)
class _Exporter:
    """Who exports the series of a prefix: what stays unknown without any of them, and what to do then."""

    name: str
    prefix: str
    effect: str
    fix: str


_EXPORTERS = (
    _Exporter(
        "kube-state-metrics",
        "kube_",
        "no pod can be assigned to a run",
        "let the metrics source scrape kube-state-metrics; where it does, correct that scrape's metric relabelling",
    ),
    _Exporter(
        "cAdvisor",
        "container_",
        "CPU and memory use stay unknown",
        f"let the metrics source scrape the kubelets' /metrics/cadvisor; where it does, correct {_KUBELET}",
    ),
)


class Examination:
    """The checks of one source at one moment (unix seconds), from the most basic one up."""

    def __init__(self, client: PrometheusClient, now: float) -> None:
        self._client = client
        self._now = now - client.source.delay_seconds
        self._base = equalities(client.source.extra_matchers)
        self._usage = LabelScheme(client.source.labels.container_metrics)
        self._found: SeriesLabels | None = None

    def run(self) -> Iterator[Diagnostic]:
        """All checks. When the metrics source cannot be reached at all, only that is reported."""
        reach = self._guard("metrics source", self._reach)
        yield reach
        if reach.mark is DiagnosticStatus.FAIL:
            return
        there: set[str] = set()
        for exporter in _EXPORTERS:
            checks = self._exported(exporter)
            there |= {check.name for check in checks if check.mark is DiagnosticStatus.OK}
            yield from checks
        # Of series that are not there nothing else is said: "ok" would be the answer of an empty set.
        if there:
            yield self._guard("labels", self._labels)
        if "kube_pod_info" in there:
            yield self._guard("honor_labels", self._honor_labels)
            yield self._guard("pod labels", self._pod_labels)
        if {"kube_pod_info", "kube_pod_status_phase"} <= there:
            yield self._guard("pod ends", self._pod_ends)
        if queries.WORKING_SET in there:
            yield self._guard("cgroup id", self._cgroup_id)
        if there:
            yield self._guard("one cluster", self._clusters)
        if queries.WORKING_SET in there:
            yield self._guard("scrape interval", self._interval)
        yield self._guard("retention", self._retention)
        yield self._guard("recording rules", self._recorded)
        yield self._clock()

    def _guard(self, name: str, check: Callable[[], Diagnostic]) -> Diagnostic:
        try:
            return check()
        except MetricsError as error:
            return Diagnostic(name, DiagnosticStatus.FAIL, error.what, error.remedy)

    def _value(self, query: str, name: str) -> float | None:
        answer = self._client.instant(query, self._now, name=name, whole=False)
        return answer.values[0] if len(answer) else None

    def _over(self, metric: str, *matchers: str) -> str:
        return f"last_over_time({selector(metric, [*self._base, *matchers])}[{_HOURS}h])"

    def _reach(self) -> Diagnostic:
        info = self._client.info()
        self._value("vector(1)", "reachability")
        version = f"version {info.version}" if info.version else "its version is unknown"
        return Diagnostic("metrics source", DiagnosticStatus.OK, f"{self._client.source.url} answers, {version}")

    def _exported(self, exporter: _Exporter) -> list[Diagnostic]:
        """The checks of one exporter's series: one for all where it has none, which no allow-list explains."""
        series = [s for s in SERIES if s.series.startswith(exporter.prefix)]
        checks = [self._guard(s.series, partial(self._series, s)) for s in series]
        if any(
            check.mark is DiagnosticStatus.OK or check.fix != s.fix for check, s in zip(checks, series, strict=True)
        ):
            return checks
        result = f"none of its {len(series)} series in the last {_HOURS} h: {exporter.effect}"
        return [Diagnostic(exporter.name, DiagnosticStatus.FAIL, result, exporter.fix)]

    def _series(self, missing: MissingSeries) -> Diagnostic:
        count = self._value(f"count({self._over(missing.series)})", missing.series)
        if count:
            return Diagnostic(missing.series, DiagnosticStatus.OK, f"{count:.0f} series in the last {_HOURS} h")
        mark = DiagnosticStatus.FAIL if missing.essential else DiagnosticStatus.WARN
        result = f"no series in the last {_HOURS} h: {missing.effect}"
        if self._base and self._anywhere(missing.series):
            matchers = f"extraMatchers of this source ({', '.join(sorted(self._client.source.extra_matchers))})"
            result = f"the metrics source has series, but none that {matchers} select: {missing.effect}"
            return Diagnostic(
                missing.series, mark, result, "correct extraMatchers, or have this scrape add these labels"
            )
        return Diagnostic(missing.series, mark, result, missing.fix)

    def _anywhere(self, metric: str) -> bool:
        """Whether the source has a series without extraMatchers, as far as it says: that may be of many clusters."""
        with suppress(MetricsError):
            return bool(self._value(f"count(last_over_time({metric}[{_HOURS}h]))", metric))
        return False

    def _honor_labels(self) -> Diagnostic:
        if names := self._client.source.labels.state_metrics:
            return Diagnostic(
                "honor_labels",
                DiagnosticStatus.OK,
                f"labels are read as configured: {', '.join(sorted(names.values()))}",
            )
        moved = self._value(
            f"count({self._over('kube_pod_info', matcher('exported_namespace', '!=', ''))})", "honor_labels"
        )
        if moved:
            return Diagnostic(
                "honor_labels",
                DiagnosticStatus.WARN,
                "namespace and pod of kube-state-metrics arrive as exported_namespace and exported_pod",
                "set honorLabels: true in the ServiceMonitor (honor_labels in the scrape config) of kube-state-metrics",
            )
        return Diagnostic("honor_labels", DiagnosticStatus.OK, "pods keep their own namespace and pod labels")

    def _pod_labels(self) -> Diagnostic:
        lacking = unexported_labels(self._client, self._now, f"[{_HOURS}h]")
        if lacking is not None:
            return Diagnostic("pod labels", DiagnosticStatus.WARN, f"{lacking.series}: {lacking.effect}", lacking.fix)
        return Diagnostic("pod labels", DiagnosticStatus.OK, "the labels that the engines seen here need are exported")

    def _pod_ends(self) -> Diagnostic:
        missed, of = ends_missed(self._client, self._now, f"[{_HOURS}h]")
        if missed > _MISSED_ENDS * of:
            return Diagnostic(
                "pod ends",
                DiagnosticStatus.WARN,
                f"{missed} of {of} pods of runs that were deleted in the last {_HOURS} h were gone before their end was"
                " scraped; their outcomes stay unknown",
                "keep finished pods for at least two scrapes: Argo: podGC.deleteDelayDuration: 120s; Jobs:"
                " ttlSecondsAfterFinished: 300",
            )
        seen = f"scraped of {of - missed} of {of} deleted pods of runs" if of else "no pod of a run was deleted"
        return Diagnostic("pod ends", DiagnosticStatus.OK, f"{seen} in the last {_HOURS} h")

    def _cgroup_id(self) -> Diagnostic:
        nameless = (self._usage.match("id", "=", ""), self._usage.match("container", "!=", ""))
        without = self._value(f"count({self._over(queries.WORKING_SET, *nameless)})", "cgroup id")
        if without:
            return Diagnostic(
                "cgroup id",
                DiagnosticStatus.WARN,
                f"{without:.0f} container series lack the label id: a reused pod name cannot be distinguished",
                f"keep the label id in {_KUBELET}",
            )
        return Diagnostic("cgroup id", DiagnosticStatus.OK, "container series carry the cgroup path")

    def _labels(self) -> Diagnostic:
        found = dict.fromkeys(m for name, m in self._series_labels().findings.items() if name != CLUSTERS)
        if found:
            result = "; ".join(f"{missing.series}: {missing.effect}" for missing in found)
            return Diagnostic("labels", DiagnosticStatus.FAIL, result, "; ".join(dict.fromkeys(m.fix for m in found)))
        return Diagnostic("labels", DiagnosticStatus.OK, "series of pods and containers say what they are of")

    def _clusters(self) -> Diagnostic:
        found = self._series_labels().clusters
        if found is not None:
            return Diagnostic("one cluster", DiagnosticStatus.FAIL, found.effect, found.fix)
        return Diagnostic("one cluster", DiagnosticStatus.OK, "one cluster, or the source is limited to one")

    def _series_labels(self) -> SeriesLabels:
        if self._found is None:
            self._found = ask_labels(self._client, self._now, _RECENTLY)
        return self._found

    def _interval(self) -> Diagnostic:
        series = selector(queries.WORKING_SET, [*self._base, self._usage.match("container", "!=", "")])
        most = self._value(f"max(count_over_time({series}[30m]))", "scrape interval")
        if not most or most < 2:
            return Diagnostic(
                "scrape interval", DiagnosticStatus.WARN, "no container ran long enough in the last 30 min to tell"
            )
        seconds = 1800.0 / most
        if seconds > 31:
            return Diagnostic(
                "scrape interval",
                DiagnosticStatus.WARN,
                f"containers are sampled about every {seconds:.0f} s: pods shorter than that leave no usage",
                "scrape the kubelet's /metrics/cadvisor every 15s to 30s",
            )
        return Diagnostic("scrape interval", DiagnosticStatus.OK, f"containers are sampled about every {seconds:.0f} s")

    def _clock(self) -> Diagnostic:
        """By all answers to the other checks."""
        ahead = self._client.clock.nearest
        if ahead is None:
            return Diagnostic("clock", DiagnosticStatus.OK, "not known: no answer says when it was sent (Date)")
        if abs(ahead) < MIN_SKEW:
            text = f"within {duration(MIN_SKEW)} of that of this process"
            return Diagnostic("clock", DiagnosticStatus.OK, text)
        return Diagnostic(
            "clock", DiagnosticStatus.WARN, in_words(ahead, "this process", self._client.source.name), REMEDY
        )

    def _recorded(self) -> Diagnostic:
        counts = [(s, self._value(recorded.evaluations(self._base, s), "recording rules")) for s in recorded.SPANS]
        seen = max((count or 0.0 for _, count in counts), default=0.0)
        name = "recording rules"
        if not seen:
            hint = "not there, which is fine; the chart's metrics.prometheusRule.collectionRules makes queries cheaper"
            return Diagnostic(name, DiagnosticStatus.OK, hint)
        if self._client.source.delay_seconds > recorded.LATEST:
            return Diagnostic(
                name,
                DiagnosticStatus.WARN,
                f"not used: delaySeconds of this source is above {recorded.LATEST}, so records may lack late samples",
                f"lower delaySeconds to {recorded.LATEST} where samples arrive that soon; else turn the rules off",
            )
        most = recorded.SPANS[0] // recorded.INTERVAL + 1
        if (counts[0][1] or 0.0) > most:
            return Diagnostic(
                name,
                DiagnosticStatus.WARN,
                f"not used: {counts[0][1]:.0f} evaluations in the last hour, where one per minute is at most {most}",
                f"leave the group's interval at {recorded.INTERVAL}s, and let the source remove duplicates of replicas",
            )
        span = recorded.covered((span, count or 0.0) for span, count in counts)
        if not span:
            return Diagnostic(
                name,
                DiagnosticStatus.WARN,
                f"{seen:.0f} evaluations in {recorded.SPANS[-1] // 3600} h, with holes in the last hour: they are not used",
                "nothing to do if the rules are younger than an hour; else see why Prometheus misses evaluations",
            )
        return Diagnostic(name, DiagnosticStatus.OK, f"in use for pods that lived up to {span // 3600} h")

    def _retention(self) -> Diagnostic:
        info = self._client.info()
        retention = info.retention
        if retention is None:
            return Diagnostic(
                "retention", DiagnosticStatus.OK, "not reported; the operator keeps its own history of runs"
            )
        days = info.retention_days
        if days is not None and days < 7:
            return Diagnostic(
                "retention",
                DiagnosticStatus.WARN,
                f"{retention}: a fresh install sees less than a week of runs",
                "keep at least two weeks (--storage.tsdb.retention.time=15d)",
            )
        return Diagnostic("retention", DiagnosticStatus.OK, retention)
