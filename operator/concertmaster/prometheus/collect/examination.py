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
from concertmaster.prometheus.collect.diagnostics import Diagnostic, DiagnosticStatus, fail, ok, warn
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
        yield self._guard("clock", self._clock)

    def _guard(self, name: str, check: Callable[[str], Diagnostic]) -> Diagnostic:
        try:
            return check(name)
        except MetricsError as error:
            return fail(name, error.what, error.remedy)

    def _value(self, query: str) -> float | None:
        answer = self._client.instant(query, self._now, whole=False)
        return answer.values[0] if len(answer) else None

    def _over(self, metric: str, *matchers: str) -> str:
        return f"last_over_time({selector(metric, [*self._base, *matchers])}[{_HOURS}h])"

    def _reach(self, name: str) -> Diagnostic:
        info = self._client.info()
        self._value("vector(1)")
        version = f"version {info.version}" if info.version else "its version is unknown"
        return ok(name, f"{self._client.source.url} answers, {version}")

    def _exported(self, exporter: _Exporter) -> list[Diagnostic]:
        """The checks of one exporter's series: one for all where it has none, which no allow-list explains."""
        series = [s for s in SERIES if s.series.startswith(exporter.prefix)]
        checks = [self._guard(s.series, partial(self._series, missing=s)) for s in series]
        if any(
            check.mark is DiagnosticStatus.OK or check.fix != s.fix for check, s in zip(checks, series, strict=True)
        ):
            return checks
        result = f"none of its {len(series)} series in the last {_HOURS} h: {exporter.effect}"
        return [fail(exporter.name, result, exporter.fix)]

    def _series(self, name: str, missing: MissingSeries) -> Diagnostic:
        if count := self._value(f"count({self._over(name)})"):
            return ok(name, f"{count:.0f} series in the last {_HOURS} h")
        found = fail if missing.essential else warn
        if self._base and self._anywhere(name):
            matchers = f"extraMatchers of this source ({', '.join(sorted(self._client.source.extra_matchers))})"
            result = f"the metrics source has series, but none that {matchers} select: {missing.effect}"
            return found(name, result, "correct extraMatchers, or have this scrape add these labels")
        return found(name, f"no series in the last {_HOURS} h: {missing.effect}", missing.fix)

    def _anywhere(self, metric: str) -> bool:
        """Whether the source has a series without extraMatchers, as far as it says: that may be of many clusters."""
        with suppress(MetricsError):
            return bool(self._value(f"count(last_over_time({metric}[{_HOURS}h]))"))
        return False

    def _honor_labels(self, name: str) -> Diagnostic:
        if names := self._client.source.labels.state_metrics:
            return ok(name, f"labels are read as configured: {', '.join(sorted(names.values()))}")
        if self._value(f"count({self._over('kube_pod_info', matcher('exported_namespace', '!=', ''))})"):
            return warn(
                name,
                "namespace and pod of kube-state-metrics arrive as exported_namespace and exported_pod",
                "set honorLabels: true in the ServiceMonitor (honor_labels in the scrape config) of kube-state-metrics",
            )
        return ok(name, "pods keep their own namespace and pod labels")

    def _pod_labels(self, name: str) -> Diagnostic:
        lacking = unexported_labels(self._client, self._now, f"[{_HOURS}h]")
        if lacking is not None:
            return warn(name, f"{lacking.series}: {lacking.effect}", lacking.fix)
        return ok(name, "the labels that the engines seen here need are exported")

    def _pod_ends(self, name: str) -> Diagnostic:
        missed, of = ends_missed(self._client, self._now, f"[{_HOURS}h]")
        if missed > _MISSED_ENDS * of:
            return warn(
                name,
                f"{missed} of {of} pods of runs that were deleted in the last {_HOURS} h were gone before their end was"
                " scraped; their outcomes stay unknown",
                "keep finished pods for at least two scrapes: Argo: podGC.deleteDelayDuration: 120s; Jobs:"
                " ttlSecondsAfterFinished: 300",
            )
        seen = f"scraped of {of - missed} of {of} deleted pods of runs" if of else "no pod of a run was deleted"
        return ok(name, f"{seen} in the last {_HOURS} h")

    def _cgroup_id(self, name: str) -> Diagnostic:
        nameless = (self._usage.match("id", "=", ""), self._usage.match("container", "!=", ""))
        if without := self._value(f"count({self._over(queries.WORKING_SET, *nameless)})"):
            result = f"{without:.0f} container series lack the label id: a reused pod name cannot be distinguished"
            return warn(name, result, f"keep the label id in {_KUBELET}")
        return ok(name, "container series carry the cgroup path")

    def _labels(self, name: str) -> Diagnostic:
        found = dict.fromkeys(m for series, m in self._series_labels().findings.items() if series != CLUSTERS)
        if found:
            result = "; ".join(f"{missing.series}: {missing.effect}" for missing in found)
            return fail(name, result, "; ".join(dict.fromkeys(m.fix for m in found)))
        return ok(name, "series of pods and containers say what they are of")

    def _clusters(self, name: str) -> Diagnostic:
        found = self._series_labels().clusters
        if found is not None:
            return fail(name, found.effect, found.fix)
        return ok(name, "one cluster, or the source is limited to one")

    def _series_labels(self) -> SeriesLabels:
        if self._found is None:
            self._found = ask_labels(self._client, self._now, _RECENTLY)
        return self._found

    def _interval(self, name: str) -> Diagnostic:
        series = selector(queries.WORKING_SET, [*self._base, self._usage.match("container", "!=", "")])
        most = self._value(f"max(count_over_time({series}[30m]))")
        if not most or most < 2:
            return warn(name, "no container ran long enough in the last 30 min to tell")
        sampled = f"containers are sampled about every {1800.0 / most:.0f} s"
        if 1800.0 / most > 31:
            fix = "scrape the kubelet's /metrics/cadvisor every 15s to 30s"
            return warn(name, f"{sampled}: pods shorter than that leave no usage", fix)
        return ok(name, sampled)

    def _clock(self, name: str) -> Diagnostic:
        """By all answers to the other checks."""
        ahead = self._client.clock.nearest
        if ahead is None:
            return ok(name, "not known: no answer says when it was sent (Date)")
        if abs(ahead) < MIN_SKEW:
            return ok(name, f"within {duration(MIN_SKEW)} of that of this process")
        return warn(name, in_words(ahead, "this process", self._client.source.name), REMEDY)

    def _recorded(self, name: str) -> Diagnostic:
        counts = [(span, self._value(recorded.evaluations(self._base, span)) or 0.0) for span in recorded.SPANS]
        seen, hourly = max(count for _, count in counts), counts[0][1]
        if not seen:
            hint = "not there, which is fine; the chart's metrics.prometheusRule.collectionRules makes queries cheaper"
            return ok(name, hint)
        if self._client.source.delay_seconds > recorded.LATEST:
            return warn(
                name,
                f"not used: delaySeconds of this source is above {recorded.LATEST}, so records may lack late samples",
                f"lower delaySeconds to {recorded.LATEST} where samples arrive that soon; else turn the rules off",
            )
        most = recorded.SPANS[0] // recorded.INTERVAL + 1
        if hourly > most:
            return warn(
                name,
                f"not used: {hourly:.0f} evaluations in the last hour, where one per minute is at most {most}",
                f"leave the group's interval at {recorded.INTERVAL}s, and let the source remove duplicates of replicas",
            )
        span = recorded.covered(counts)
        if not span:
            return warn(
                name,
                f"{seen:.0f} evaluations in {recorded.SPANS[-1] // 3600} h, with holes in the last hour: they are not used",
                "nothing to do if the rules are younger than an hour; else see why Prometheus misses evaluations",
            )
        return ok(name, f"in use for pods that lived up to {span // 3600} h")

    def _retention(self, name: str) -> Diagnostic:
        info = self._client.info()
        if info.retention is None:
            return ok(name, "not reported; the operator keeps its own history of runs")
        if info.retention_days is not None and info.retention_days < 7:
            fix = "keep at least two weeks (--storage.tsdb.retention.time=15d)"
            return warn(name, f"{info.retention}: a fresh install sees less than a week of runs", fix)
        return ok(name, info.retention)
