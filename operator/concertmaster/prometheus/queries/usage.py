"""What containers used: counters of their whole lives and figures sampled while they ran. PromQL text, pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from concertmaster.prometheus.queries import recording_rule as recorded
from concertmaster.prometheus.queries.bulk import POD, WORKING_SET, by_stat, last_values
from concertmaster.prometheus.queries.promql import matcher, selector
from concertmaster.prometheus.queries.scope import QueryScope, TimeRange

COUNTERS = (
    "container_start_time_seconds",
    "container_cpu_usage_seconds_total",
    "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_memory_max_usage_bytes",
    "container_oom_events_total",
    "container_pressure_cpu_waiting_seconds_total",
    "container_pressure_io_waiting_seconds_total",
    "container_fs_reads_bytes_total",
    "container_fs_writes_bytes_total",
)

NETWORK = ("container_network_receive_bytes_total", "container_network_transmit_bytes_total")

CPU = "container_cpu_usage_seconds_total"
TAIL = ".tail"  # ends the ``stat`` of what is too young for recording rules

LAST_STEP = 5  # seconds between the moments at which a last sample is sought, in short windows of unknown sources


def last_step(interval: float | None, least: float | None) -> int:
    """Seconds between the moments at which the last sample of a container is sought: half the scrape ``interval`` (seconds,
    None: unknown), for which even a series that ends at the next scrape is there. Of an unknown one, half of what it is at
    ``least``."""
    if interval:
        return max(1, int(interval / 2.0))
    return max(LAST_STEP, int(least / 2.0)) if least else LAST_STEP


RATE = 120  # seconds of the highest rate of CPU use, which takes two samples
_SELDOM = 61.0  # seconds between samples, from which on there may not be two in that time


def rate_seconds(interval: float | None) -> int:
    """Seconds over which the highest rate of CPU use is taken, by the scrape ``interval`` (seconds, None: unknown): more
    than ``RATE`` where containers are sampled so seldom that there would be none."""
    return RATE if interval is None or interval <= _SELDOM else math.ceil(2.5 * interval)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the samples of containers are read.

    ``finest``: step in seconds by which the last one is sought in a window that is not too long for it (``last_step``);
    ``rate``: seconds of the highest rate of CPU use (``rate_seconds``). ``records``: from recording rules that cover the
    window; what is too young for them has ``TAIL`` behind its ``stat``.
    """

    finest: int = LAST_STEP
    rate: int = RATE
    records: bool = False


_DEFAULT = Sampling()


def counters(scope: QueryScope, window: TimeRange, pods: Sequence[str]) -> str:
    """Totals and kernel peaks per container start, and network totals per pod (rows without ``container``)."""
    scheme = scope.usage
    key = scheme.names(("namespace", "pod", "container", "id"))
    pod_key = scheme.names(("namespace", "pod", "id"))
    inside = _inside(scope, pods)
    pod_level = scope.of_pods(
        scheme, pods, scheme.match("container", "=~", "|POD"), scheme.match("interface", "!=", "lo")
    )
    device, interface = scheme.columns("device", "interface")
    totals = last_values(scope, window, COUNTERS, inside)
    network = last_values(scope, window, NETWORK, pod_level)
    return (
        f"sum by (__name__, series, {key}) (max by (__name__, series, {key}, {device}) ({totals}))"
        f" or sum by (__name__, series, {pod_key}) (max by (__name__, series, {pod_key}, {interface}) ({network}))"
    )


def _inside(scope: QueryScope, pods: Sequence[str]) -> list[str]:
    """Matchers of the containers of these pods. Of CPU time that is counted for each CPU, a maximum is that of one CPU."""
    scheme = scope.usage
    total = [matcher("cpu", "=~", "|total")] if scope.each_cpu else []
    named = scheme.match("container", "!=", ""), scheme.match("container", "!=", "POD")
    return scope.of_pods(scheme, pods, *named, *total)


def life(scope: QueryScope, window: TimeRange, pods: Sequence[str], sampling: Sampling = _DEFAULT) -> str:
    """``counters`` and ``usage`` in one answer: no row of one has the labels of a row of the other."""
    return f"{counters(scope, window, pods)} or {usage(scope, window, pods, sampling)}"


def usage(scope: QueryScope, window: TimeRange, pods: Sequence[str], sampling: Sampling = _DEFAULT) -> str:
    """Sampled memory peak (``stat="peak"``), its number of samples (``samples``), time of the last CPU sample (``last``)
    and the highest CPU rate in cores (``burst``), per container start."""
    scheme = scope.usage
    inside = _inside(scope, pods)
    memory, cpu = selector(WORKING_SET, inside), selector(CPU, inside)
    by = f"max by ({scheme.names(('namespace', 'pod', 'container', 'id'))})"

    def direct(over: TimeRange) -> dict[str, str]:
        return {
            "peak": f"{by} (max_over_time({memory}{over.range}))",
            "last": f"{by} (max_over_time(timestamp({cpu}){over.subquery(finest=sampling.finest)}))",
            "burst": f"{by} (max_over_time(rate({cpu}{_duration(sampling.rate)}){over.subquery(finest=30)}))",
        }

    if sampling.records:
        queries = {
            figure: f"{by} (max_over_time({selector(recorded.NAME, [*inside, matcher(recorded.FIGURE, '=', figure)])}"
            f"{window.range}))"
            for figure in ("peak", "last", "burst")
        }
        tail = TimeRange(recorded.TAIL)
        queries |= {stat + TAIL: text for stat, text in direct(tail).items()}
        queries["samples" + TAIL] = f"{by} (count_over_time({memory}{tail.range}))"
    else:
        queries = direct(window)
    return by_stat(**queries, samples=f"{by} (count_over_time({memory}{window.range}))")


def _duration(seconds: int) -> str:
    return f"[{seconds // 60}m]" if seconds % 60 == 0 else f"[{seconds}s]"


def reused(scope: QueryScope, window: TimeRange, pods: Sequence[str]) -> str:
    """Pod names that more than one pod bore, and how many did. Asked where a series names no pod by its uid."""
    info = selector("kube_pod_info", scope.of_pods(scope.state, pods))
    bearers = f"count by ({scope.state.names(POD)}) (last_over_time({info}{window.range}))"
    return f"count by ({scope.state.names(('namespace', 'pod'))}) ({bearers}) > 1"
