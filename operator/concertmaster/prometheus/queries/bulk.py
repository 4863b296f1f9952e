"""The bulk queries: a fixed number per shard and cycle, whatever the number of workflows. Pure text building.

Every query is evaluated at a pinned time T over a window that reaches back to a little before the watermark. What the
pieces are for:

* A pod is reported when it has **ended since the watermark**: it is terminal or gone now and was not seen terminal at the
  watermark. Going by the first sight of the end, not by its time, means that nothing is lost while kube-state-metrics
  is down, and that a sidecar still running beside a finished container does not end the pod early.
* Or when it has **vanished**: seen in the window, not at T, never seen terminal.
* ``last_over_time`` on a dead container's counter is its total; rates over a short pod are nonsense.
* ``max by`` over every label that matters: two replicas of kube-state-metrics, and duplicate scrapes, count once.
* cAdvisor has no pod uid. Its ``id`` (the cgroup path) carries it, hence ``id`` in every grouping.

Stores that refuse regular expressions on metric names get the same queries with one selector per name, each marked by
a ``series`` label, because set operators ignore the name itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from concertmaster.prometheus.queries import recording_rule as recorded
from concertmaster.prometheus.queries.promql import among, equalities, matcher, quote, selector, selector_of
from concertmaster.prometheus.queries.scope import MOVED, QueryScope, TimeRange

OVERHEAD = ("kube_pod_overhead_cpu_cores", "kube_pod_overhead_memory_bytes")  # of a RuntimeClass, where it has any
TIMELINE = (
    "kube_pod_info",
    "kube_pod_created",
    "kube_pod_status_scheduled_time",
    "kube_pod_start_time",
    "kube_pod_completion_time",
    "kube_pod_container_state_started",
    "kube_pod_container_info",
    "kube_pod_container_status_restarts_total",
    "kube_pod_init_container_info",
    *OVERHEAD,
)
READY = "kube_pod_status_ready_time"  # gone with the condition, before the pod has ended
CLAIMS = "kube_pod_spec_volumes_persistentvolumeclaims_info"
STATES = ("kube_pod_status_phase", "kube_pod_status_reason")
REASONS = (
    "kube_pod_container_status_terminated_reason",
    "kube_pod_container_status_last_terminated_reason",
    "kube_pod_init_container_status_terminated_reason",
    "kube_pod_init_container_status_last_terminated_reason",
)
ENDS = (*STATES, *REASONS)
RESOURCES = (
    "kube_pod_container_resource_requests",
    "kube_pod_container_resource_limits",
    "kube_pod_init_container_resource_requests",
    "kube_pod_init_container_resource_limits",
)
JOBS = (
    "kube_job_owner",
    "kube_job_complete",
    "kube_job_failed",
    "kube_job_spec_parallelism",
    "kube_job_status_start_time",
    "kube_job_status_completion_time",
)
# Resources of containers as kube-state-metrics writes them (nvidia.com/gpu, nvidia.com/mig-1g.5gb, gpu.intel.com/i915 ...);
# the empty one lets series without the label through.
KINDS = "cpu|memory|ephemeral_storage|(nvidia|amd|gpu_intel)_com_(gpu|mig|i915|xe).*|"
WORKING_SET = "container_memory_working_set_bytes"

POD = ("namespace", "pod", "uid")


def pods(scope: QueryScope, window: TimeRange, keys: Sequence[str], names: Sequence[str]) -> str:
    """Series of kube-state-metrics about the pods named: times (unix seconds), node, owner, images and restarts; requests
    and limits (cores, bytes, GPUs); claims of volumes; labels by ``keys`` as labels of series of value 1; phases and
    reasons, 1 each.

    Families share what is put between ``by``: a label that none of a family has splits nothing.
    """
    metrics, matchers, ends = _families(scope, keys)
    reported = last_values(scope, window, metrics, scope.of_pods(scope.state, names, *matchers))
    return _of_pods(scope, keys, reported, last_values(scope, window, ENDS, scope.of_pods(scope.state, names, *ends)))


def pods_at(scope: QueryScope, window: TimeRange, keys: Sequence[str], moments: Mapping[int, Sequence[str]]) -> str:
    """The same of pods that had ended at a moment, in seconds before the pinned time, and were still there: one sample of
    each series, however long they stay. When they were ready and the reasons of earlier starts of a container are gone by
    then: those are looked for in the whole window.
    """
    metrics, matchers, ends = _families(scope, keys)
    groups = sorted(moments.items())
    reported, states = (
        _either([_values_at(scope, back, of, scope.of_pods(scope.state, names, *where)) for back, names in groups])
        for of, where in ((metrics, matchers), (STATES, ends))
    )
    everyone = [name for names in moments.values() for name in names]
    reasons = last_values(scope, window, REASONS, scope.of_pods(scope.state, everyone, *ends))
    # Marked by its name, which ``or`` does not compare: it has no more labels than the times of ``reported``.
    ready = last_values(replace(scope, per_metric=True), window, (READY,), scope.of_pods(scope.state, everyone))
    return _of_pods(scope, keys, reported, f"{states} or {reasons} or {ready}")


def _families(scope: QueryScope, keys: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Metrics that describe a pod, their matchers, and those of ``ENDS``."""
    scheme = scope.state
    metrics = (*TIMELINE, READY, *RESOURCES, CLAIMS, *(("kube_pod_labels",) if _exported(scope, keys) else ()))
    ends = (scheme.match("phase", "=~", "Failed|Succeeded|"), scheme.match("reason", "!=", "Completed"))
    return metrics, (scheme.match("resource", "=~", KINDS),), ends


def _exported(scope: QueryScope, keys: Sequence[str]) -> list[str]:
    """Labels of series that carry the pod labels ``keys`` and those of the scope."""
    return sorted({scope.state.pod_label(key) for key in (*keys, *scope.run_labels)})


def _of_pods(scope: QueryScope, keys: Sequence[str], reported: str, ends: str) -> str:
    scheme = scope.state
    labels = (
        *POD,
        "node",
        "created_by_kind",
        "created_by_name",
        "container",
        "image",
        "image_spec",
        "restart_policy",
        "resource",
        "persistentvolumeclaim",
    )
    by = ", ".join((*scheme.columns(*labels), *_exported(scope, keys)))
    ended = scheme.names((*POD, "phase", "container", "reason"))
    return f"max by (__name__, series, {by}) ({reported}) or max by (__name__, series, {ended}) ({ends}) > 0"


def jobs(scope: QueryScope, window: TimeRange, named: Sequence[str] = ()) -> str:
    """Owners, conditions, sizes and times of Jobs; of those ``named``, or of all.

    In a long window all are read at moments of it: of a Job that was gone soon after its end, this knows less than there
    is to know, and of one that never was there at such a moment only a failure.
    """
    scheme = scope.state
    names = scheme.names(("namespace", "job_name", "owner_kind", "owner_name"))
    where = [*scope.of(scheme, scheme.match("condition", "=~", "true|")), *among(scheme.name("job_name"), named)]
    if named or not window.long:
        series = last_values(scope, window, JOBS, where)
    else:
        failed = last_values(scope, window, ("kube_job_failed",), where)
        series = f"{last_values(scope, window, JOBS, where, window.sparse)} or {failed}"
    return f"max by (__name__, series, {names}) ({series})"


def targets(scope: QueryScope, window: TimeRange, within: str = "", *, timed: bool = True) -> str:
    """What exposes pods: per scrape target whether it is up, and how many pods it exposed in the window.
    ``within``: the range by which the window is read (default: sparse where it is long).

    The ``stat`` label says which: ``up`` (of all jobs: a join with those that expose pods would read all of these once
    more), ``seen``. A vanished pod is believed only when this is available. With ``timed``, ``interval`` is the
    smallest interval in seconds at which any container of the metrics source is sampled; ``records`` is there where
    recording rules are evaluated."""
    info = selector("kube_pod_info", scope.of(scope.state))
    up = selector("up", equalities(scope.extra_matchers))
    memory = selector(WORKING_SET, [*equalities(scope.extra_matchers), scope.usage.match("container", "!=", "")])
    parts = {
        "up": f"max by (job, instance) ({up})",
        "seen": f"count by (job, instance) (last_over_time({info}{within or window.sparse}))",
        "records": f"min({recorded.marker(equalities(scope.extra_matchers))})",
    }
    if timed:
        parts["interval"] = f"300 / max(count_over_time({memory}[300s]))"
    return by_stat(**parts)


def records(scope: QueryScope) -> str:
    """How often recording rules were evaluated in each of so many seconds, which ``stat`` says.

    Not a part of ``targets``: a metrics source looks for every selector of a query in all blocks of its longest span, and
    finding the pods of ten minutes in those of a day took 1.5 instead of 0.1 s.
    """
    where = equalities(scope.extra_matchers)
    return by_stat(**{str(span): recorded.evaluations(where, span) for span in recorded.SPANS})


def exposing(scope: QueryScope) -> str:
    """The targets that expose pods at the pinned time (``stat="now"``): the next best evidence where ``up`` is hidden."""
    return by_stat(now=f"count by (job, instance) ({selector('kube_pod_info', scope.of(scope.state))})")


def shape(scope: QueryScope, window: TimeRange) -> str:
    """One series each, with all its labels, of pods and containers whose namespace a scrape moved to
    ``exported_namespace`` (``stat`` is ``pod``, ``placed`` of one on a node, ``container`` or ``usage``), and whether there
    are pods at all (``any``).
    """
    usage = replace(scope, usage=scope.usage.over(MOVED))
    queries = {
        **_moved_pods(scope),
        "container": selector("kube_pod_container_info", _moved(scope)),
        "usage": selector(WORKING_SET, usage.of(usage.usage, usage.usage.match("container", "!=", ""))),
    }
    some = selector("kube_pod_info", equalities(scope.extra_matchers))
    return by_stat(
        any=f"group (last_over_time({some}{window.range}))",
        **{stat: f"topk(1, last_over_time({text}{window.range}))" for stat, text in queries.items()},
    )


def moved_labels(scope: QueryScope) -> str:
    """The same of pods alone, at the pinned time: it takes next to nothing where no scrape moved anything."""
    return by_stat(**{stat: f"topk(1, {text})" for stat, text in _moved_pods(scope).items()})


def kept_labels(scope: QueryScope) -> str:
    """One pod on a node whose labels no scrape moved, at the pinned time."""
    kept = scope.of(scope.state, scope.state.match("node", "!=", ""), matcher("exported_namespace", "=", ""))
    return f"topk(1, {selector('kube_pod_info', kept)})"


def _moved_pods(scope: QueryScope) -> dict[str, str]:
    placed = _moved(scope, matcher("exported_node", "!=", ""))
    return {"pod": selector("kube_pod_info", _moved(scope)), "placed": selector("kube_pod_info", placed)}


def _moved(scope: QueryScope, *matchers: str) -> list[str]:
    """Matchers of series of kube-state-metrics whose namespace a scrape moved."""
    return scope.of(scope.state.over(MOVED), *matchers)


def last_values(
    scope: QueryScope, window: TimeRange, metrics: Sequence[str], matchers: Sequence[str], within: str = ""
) -> str:
    """The last value of each series of several metrics, still distinguished by ``__name__`` or ``series``."""
    return _each(scope, metrics, matchers, lambda text: f"last_over_time({text}{within or window.range})")


def _values_at(scope: QueryScope, back: int, metrics: Sequence[str], matchers: Sequence[str]) -> str:
    """The values of several metrics so many seconds before the pinned time."""
    return _each(scope, metrics, matchers, lambda text: f"{text} offset {back}s" if back else text)


def _either(parts: Sequence[str]) -> str:
    """One ``or`` of many parts, nested in halves: a chain of them takes everything so far in hand at each part."""
    half = len(parts) // 2
    return f"({_either(parts[:half])} or {_either(parts[half:])})" if half else parts[0]


def _each(scope: QueryScope, metrics: Sequence[str], matchers: Sequence[str], read: Callable[[str], str]) -> str:
    """What ``read`` makes of the selector of several metrics, or of one selector for each."""
    if not scope.per_metric:
        return read(selector(metrics[0], matchers) if len(metrics) == 1 else selector_of(metrics, matchers))
    marked = [f'label_replace({read(selector(name, matchers))}, "series", {quote(name)}, "", "")' for name in metrics]
    return f"({' or '.join(marked)})"


def by_stat(**parts: str) -> str:
    """Several results in one query, distinguished by the label ``stat``."""
    return " or ".join(f'label_replace({text}, "stat", {quote(name)}, "", "")' for name, text in parts.items())
