"""From bulk answers to facts: rows of several vectors joined by pod uid. Pure; missing stays missing.

Usage that is known by a pod's name alone (``container_usage``) is kept and marked ambiguous where the name was borne by more
than one pod, or the container started more than once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence, Set

from concertmaster.core.model import ContainerFact, PodFact
from concertmaster.core.model.facts import OOM_KILLED
from concertmaster.core.units import DAY
from concertmaster.prometheus.facts.container_usage import Usage, UsageRow, rows_of
from concertmaster.prometheus.facts.drafts import ContainerDraft, PodDraft, PodName
from concertmaster.prometheus.queries.bulk import OVERHEAD, READY

_MIN_INTERVAL, _MAX_INTERVAL = 0.1, DAY  # seconds between two samples of a container
_MIN_SAMPLES = 4  # samples that tell an interval
_MAX_SKIPPED = 1_000  # samples that a subquery steps over; more only where an interval is nonsense
WHOLE_SECOND = 1.0  # resolution of the times of starts and ends


def facts(
    drafts: Iterable[PodDraft],
    usage: Usage,
    *,
    reused: Set[PodName] = frozenset(),
    interval: float | None = None,
    sampled: bool = True,
) -> tuple[PodFact, ...]:
    """Pod facts, sorted by namespace, name and uid.

    ``reused`` names pods whose name another pod bore; ``interval`` is the scrape interval in seconds; ``sampled`` is
    False when container memory is not collected at all, so that no samples means unknown rather than none.
    """
    pods = [_pod(draft, usage, (draft.namespace, draft.pod) in reused, interval, sampled) for draft in drafts]
    return tuple(sorted(pods, key=lambda fact: (fact.namespace, fact.pod, fact.uid)))


def estimate_interval(drafts: Iterable[PodDraft], usage: Usage, seen: float | None) -> float | None:
    """The interval at which container usage is sampled, in seconds; None when too little is known.

    From samples per sampled span of the containers, a low quantile, because gaps make a span seem sparser and nothing
    makes it seem denser; ``seen`` is what the metrics source's best sampled container says. Both err upwards. Intervals are
    configured in round numbers, so one close by is taken.
    """
    values = sorted(span / (samples - 0.5) for span, samples in _sampled_spans(drafts, usage))
    guesses = [
        value
        for value in (seen, values[len(values) // 5] if values else None)
        if value and _MIN_INTERVAL <= value <= _MAX_INTERVAL
    ]
    if not guesses:
        return None
    best = min(guesses)
    rounded = 5.0 * round(best / 5.0)
    return rounded if rounded and abs(rounded - best) <= 0.05 * best else best


def least_interval(drafts: Iterable[PodDraft], usage: Usage) -> float | None:
    """Seconds, at least three quarters of the shortest interval, that lie between any two samples of these containers; None
    when too little is known. From a start to the n-th sample there are more than n - 1 intervals and at most n."""
    return min((span / samples for span, samples in _sampled_spans(drafts, usage)), default=None)


def _sampled_spans(drafts: Iterable[PodDraft], usage: Usage) -> Iterator[tuple[float, float]]:
    """Seconds from the start of a container to its last sample, and the number of samples."""
    for draft in drafts:
        for name in draft.containers:
            rows, _ = rows_of(draft, name, usage)
            for row in rows:
                begin = row.values.get("container_start_time_seconds", draft.containers[name].started)
                last, samples = row.values.get("last"), row.values.get("samples", 0.0)
                if begin is not None and last is not None and samples >= _MIN_SAMPLES and last > begin:
                    yield last - begin, samples


def _pod(draft: PodDraft, usage: Usage, reused: bool, interval: float | None, sampled: bool) -> PodFact:
    times = draft.times
    finished = draft.finished
    network, own = rows_of(draft, "", usage)
    clear = own or not reused
    cores, memory = map(times.get, OVERHEAD)
    only = sum(1 for inside in draft.containers.values() if not inside.init) == 1
    return PodFact(
        namespace=draft.namespace,
        pod=draft.pod,
        uid=draft.uid,
        node=max(draft.nodes, default=None),
        owner_kind=draft.owner[0] if draft.owner else None,
        owner_name=draft.owner[1] if draft.owner else None,
        labels=dict(sorted(draft.labels.items())),
        created=times.get("kube_pod_created"),
        scheduled=times.get("kube_pod_status_scheduled_time"),
        started=times.get("kube_pod_start_time"),
        ready=times.get(READY),
        finished=finished,
        last_seen=None if draft.terminal else draft.last_seen,
        phase="Failed" if "Failed" in draft.phases else max(draft.phases, default=None),
        reason=max(draft.reasons, default=None),
        vanished=not draft.terminal,
        network_receive_bytes=_most(network, "container_network_receive_bytes_total") if clear else None,
        network_transmit_bytes=_most(network, "container_network_transmit_bytes_total") if clear else None,
        containers=tuple(
            _container(draft, name, usage, reused, interval, sampled, only) for name in sorted(draft.containers)
        ),
        overhead=None if cores is None and memory is None else (cores or 0.0, memory or 0.0),
        volumes=tuple(draft.volumes[claim] for claim in sorted(draft.volumes)),
    )


def _container(
    draft: PodDraft, name: str, usage: Usage, reused: bool, interval: float | None, sampled: bool, only: bool
) -> ContainerFact:
    inside = draft.containers[name]
    rows, own = rows_of(draft, name, usage)
    restarted = bool(inside.restarts)
    begins = [
        row.values["container_start_time_seconds"] for row in rows if "container_start_time_seconds" in row.values
    ]
    started = inside.started if inside.started is not None and not restarted else min(begins, default=inside.started)
    finished = draft.finished if only and not inside.init else None
    life = _span(started if started is not None else draft.begin, draft.finished or draft.last_seen)
    periods = _total(rows, "container_cpu_cfs_periods_total")
    throttled = _total(rows, "container_cpu_cfs_throttled_periods_total")
    oom = _total(rows, "container_oom_events_total")
    killed = bool(oom) and own and not restarted
    if OOM_KILLED in inside.reasons | inside.last_reasons:
        oom = max(oom or 0.0, 1.0)
    samples = _total(rows, "samples")
    expected = max(1, int(life / interval)) if life is not None and interval else None
    succeeded = draft.phases == {"Succeeded"}
    return ContainerFact(
        name=name,
        image=inside.spec_image or max(inside.images, key=lambda text: (len(text), text), default=None),
        init=inside.init and not inside.sidecar,
        sidecar=inside.sidecar,
        started=started,
        finished=finished,
        # A reason seen earlier in the window may belong to a start before the one that succeeded.
        reason=None if succeeded else _reason(inside.reasons, killed),
        cpu_request=inside.requests.get("cpu"),
        cpu_limit=inside.limits.get("cpu"),
        memory_request=inside.requests.get("memory"),
        memory_limit=inside.limits.get("memory"),
        cpu_seconds=_total(rows, "container_cpu_usage_seconds_total"),
        cpu_sampled_seconds=_sampled(rows, started, draft.finished, interval),
        cpu_peak_cores=_most(rows, "burst"),
        throttled_share=None if throttled is None or not periods else min(1.0, throttled / periods),
        memory_sampled_peak=_most(rows, "peak"),
        memory_kernel_peak=_most(rows, "container_memory_max_usage_bytes"),
        samples=int(samples) if samples is not None else 0 if sampled and (inside.sidecar or not inside.init) else None,
        expected_samples=None if inside.init and not inside.sidecar else expected,
        oom_events=oom,
        cpu_waiting_seconds=_total(rows, "container_pressure_cpu_waiting_seconds_total"),
        io_waiting_seconds=_total(rows, "container_pressure_io_waiting_seconds_total"),
        fs_read_bytes=_total(rows, "container_fs_reads_bytes_total"),
        fs_write_bytes=_total(rows, "container_fs_writes_bytes_total"),
        storage_request=inside.requests.get("ephemeral_storage"),
        storage_limit=inside.limits.get("ephemeral_storage"),
        storage_peak=_most(rows, "storage"),
        ambiguous=bool(rows) and not own and (reused or restarted or len(rows) > 1),
        restarted_after_oom=_restarted_after_oom(draft, inside, begins, succeeded),
    )


def _restarted_after_oom(
    draft: PodDraft, inside: ContainerDraft, begins: Sequence[float], succeeded: bool
) -> float | None:
    """When the last start of a container began of which an earlier one was OOM-killed; None where none was."""
    if OOM_KILLED not in (inside.reasons | inside.last_reasons if succeeded else inside.last_reasons):
        return None
    return max([*begins, *([inside.started] if inside.started is not None else [])], default=draft.begin)


def _total(rows: Sequence[UsageRow], metric: str) -> float | None:
    """The sum over all starts of a container, or None when no start was measured."""
    values = [row.values[metric] for row in rows if metric in row.values]
    return sum(values) if values else None


def _most(rows: Sequence[UsageRow], metric: str) -> float | None:
    return max((row.values[metric] for row in rows if metric in row.values), default=None)


def _sampled(
    rows: Sequence[UsageRow], started: float | None, finished: float | None, interval: float | None
) -> float | None:
    """Wall time the CPU counters cover: from each start to its last sample."""
    total = 0.0
    for row in rows:
        begin, last = row.values.get("container_start_time_seconds", started), row.values.get("last")
        if begin is None or last is None:
            return None
        life = math.inf if finished is None else max(0.0, finished - begin)
        total += _until_last(row, max(0.0, last - begin), life, interval)
    return total if rows else None


def _until_last(row: UsageRow, span: float, life: float, interval: float | None) -> float:
    """Seconds from a start to its last sample, from those to the last sample that was found.

    A subquery that steps over more than an interval may step over the last samples: a whole number of them, which is a
    large part of a short life. n samples reach between n - 1 and n intervals, and a life ends within an interval of its
    last sample; starts and ends are whole seconds, so that the number which fits both best is taken.
    """
    samples = row.values.get("samples", 0.0)
    if not interval or not samples or not interval < row.step <= _MAX_SKIPPED * interval:
        return span
    best, missed = 0.0, 0
    for more in range(math.ceil(row.step / interval) + 1):
        reached = span + more * interval
        fit = _overlap(reached - WHOLE_SECOND, (samples - 1.0) * interval, interval)
        fit *= _overlap(life - reached, 0.0, interval) if life < math.inf else 1.0
        if fit > best:
            best, missed = fit, more
    if not best:  # gaps between samples, or an interval that is not quite the real one
        missed = min(math.ceil(row.step / interval), max(0, math.ceil(samples - 1.0 - span / interval)))
    return max(span, min(span + missed * interval, life))


def _overlap(begin: float, low: float, width: float) -> float:
    """How much of the second from ``begin`` lies within ``width`` from ``low``."""
    return max(0.0, min(begin + WHOLE_SECOND, low + width) - max(begin, low))


def _span(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else max(0.0, end - begin)


def _reason(reasons: set[str], killed: bool) -> str | None:
    """Why a container ended. ``killed``: the kernel killed a process of it for lack of memory. Where that was not the first
    process, the container ends by itself, with "Error"."""
    if OOM_KILLED in reasons or (killed and reasons == {"Error"}):
        return OOM_KILLED
    return max(reasons, default=None)
