"""The queries that find which pods of runs ended or vanished. Pure text building.

What the pieces are for stands in ``bulk``, whose queries name the pods that these find.
"""

from __future__ import annotations

from collections.abc import Sequence

from concertmaster.prometheus.queries.bulk import POD, by_stat
from concertmaster.prometheus.queries.promql import among, matcher, selector
from concertmaster.prometheus.queries.scope import QueryScope, TimeRange

_TERMINAL = "Failed|Succeeded"


def finished(scope: QueryScope, window: TimeRange, *, phased: bool = False) -> str:
    """Pods of runs that ended or vanished, by namespace, name and uid: the one query that reads every pod of the
    namespaces. All others name the pods it found.

    Of the window it reads one series of each pod. Those that had ended at its beginning, and those that are there at its
    end without having ended, are known from two moments. Where an allow-list drops the phase, the end of the last container
    stands in for it. With ``phased``, phases alone are asked: 5 instead of 8 series of each pod. A pod without a phase is
    then among the answer, whether it has ended or not.

    A long window also gives the time of the end (``stat="ended"``) of pods that were there for a while after it, those of
    other owners among them: ``pods_at`` asks for what they were then.
    """
    key = scope.state.names(POD)
    seen = _relevant(scope, window.range)
    if phased:
        terminal = selector("kube_pod_status_phase", scope.of(scope.state, scope.state.match("phase", "=~", _TERMINAL)))
        before, going = f"{terminal} offset {window.known}s == 1", f"max by ({key}) ({terminal}) == 0"
    else:
        before = _ended(scope, f" offset {window.known}s")
        going = f"({_relevant(scope)}) unless on ({key}) ({_ended(scope)})"
    times = f"group by ({key}) (({seen}) unless on ({key}) ({before}) unless on ({key}) ({going}))"
    if not window.long:
        return times
    done = selector("kube_pod_completion_time", scope.of(scope.state))
    ends = f"max by ({key}) (last_over_time({done}{window.sparse})) > time() - {window.length}"
    return f'{times} or label_replace({ends}, "stat", "ended", "", "")'


def presence(scope: QueryScope, window: TimeRange, pods: Sequence[str]) -> str:
    """Which targets exposed pods (``stat="by"``), when they last did (``seen``), when pods were first seen terminal
    (``ended``), and which are exposed at the pinned time (``there``).

    Times come from a subquery: a series that lived between two of its steps, where staleness markers end it at the
    next scrape, is missed by it. Hence the fine step, and ``by``, which misses nothing.
    """
    info = selector("kube_pod_info", scope.of_pods(scope.state, pods))
    phase = selector(
        "kube_pod_status_phase", scope.of_pods(scope.state, pods, scope.state.match("phase", "=~", _TERMINAL))
    )
    key = scope.state.names(POD)
    steps = window.subquery(finest=5, points=20_000)
    return by_stat(
        by=f"group by ({key}, job, instance) (last_over_time({info}{window.range}))",
        seen=f"max by ({key}, job, instance) (max_over_time(timestamp({info}){steps}))",
        ended=f"min by ({key}) (min_over_time(timestamp({phase} == 1){steps}))",
        there=f"group by ({key}) ({info})",
    )


def completed(scope: QueryScope, window: TimeRange, pods: Sequence[str]) -> str:
    """Containers of the pods named that ended with success, which ``bulk.pods`` leaves out: only where a pod's phase is not
    exposed does it say anything."""
    reason = scope.state.match("reason", "=", "Completed")
    done = selector("kube_pod_container_status_terminated_reason", scope.of_pods(scope.state, pods, reason))
    key = scope.state.names((*POD, "container"))
    return f"max by ({key}) (last_over_time({done}{window.range})) > 0"


def namespaces(scope: QueryScope, window: TimeRange) -> str:
    """Namespaces that had pods of runs in the window, with their number: how to split a scope that is too large."""
    return f"count by ({scope.state.name('namespace')}) ({_relevant(scope, window.range)})"


def _relevant(scope: QueryScope, within: str = "") -> str:
    """Pods that are part of runs: by the kind of their controller, by a label of a declared graph, or by name; at the
    pinned time, or seen ``within`` a range."""
    scheme = scope.state
    series = []
    if scope.owner_kinds:
        kinds = among(scheme.name("created_by_kind"), scope.owner_kinds)
        series.append(selector("kube_pod_info", scope.of(scheme, *kinds)))
    labels = sorted({scheme.pod_label(key) for key in scope.run_labels})
    series += [selector("kube_pod_labels", scope.of(scheme, matcher(name, "!=", ""))) for name in labels]
    if scope.named:
        series.append(selector("kube_pod_info", scope.of(scheme, *among(scheme.name("pod"), scope.named))))
    parts = [f"last_over_time({text}{within})" if within else text for text in series]
    return f" or on ({scheme.names(POD)}) ".join(parts)


def _ended(scope: QueryScope, back: str = "") -> str:
    """Pods that have ended at a moment: by their phase, whose series kube-state-metrics has for each phase, 0 or 1."""
    scheme = scope.state
    by = f"max by ({scheme.names(POD)})"
    terminal = selector("kube_pod_status_phase", scope.of(scheme, scheme.match("phase", "=~", _TERMINAL)))
    done = selector("kube_pod_completion_time", scope.of(scheme))
    return f"({by} ({terminal}{back}) or {by} ({done}{back}) > bool 0) == 1"
