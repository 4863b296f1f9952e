"""Prediction of API server admission for the pods of a changed workflow. Pure.

None of this is validated when a template is written, only when its next run creates pods. The computation follows the order
of the server: requests default to limits, a LimitRange fills in what is missing, then no request may exceed its limit, each
container and each pod must satisfy every LimitRange, and all pods together every ResourceQuota on top of its current usage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from concertmaster.core.changes.admission.model import (
    ByResource,
    Container,
    LimitRange,
    Pod,
    PodChange,
    Refusal,
    ResourceQuota,
)
from concertmaster.core.text import count, resource_amount

_UP, _DOWN = 1 + 1e-9, 1 - 1e-9


def refusals(
    changes: Iterable[PodChange], ranges: Sequence[LimitRange], quotas: Sequence[ResourceQuota]
) -> list[Refusal]:
    """What the server would reject about the pods after a change, except omissions it already rejected before."""
    rejected: dict[Refusal, None] = {}
    for change in changes:
        for order in _orders(ranges):
            before = defaulted(change.before, order)
            after = defaulted(change.after, order)
            omitted = {r for r in (*_limited(before, order), *_unspecified(before, quotas)) if r.missing}
            present = (*_limited(after, order), *_unspecified(after, quotas))
            rejected |= dict.fromkeys(r for r in present if r not in omitted)
            rejected |= dict.fromkeys(_raised_beside(before, after))
            rejected |= dict.fromkeys(_exceeded(replace(change, before=before, after=after), quotas))
    return list(rejected)


def refused_anew(
    changes: Iterable[PodChange], ranges: Sequence[LimitRange], quotas: Sequence[ResourceQuota]
) -> list[Refusal]:
    """What the server would certainly reject about the pods after a change whose present pods it takes. Of quotas for all
    pods, what a single pod exceeds: one that waits until others have ended is not refused for good."""
    whole, rejected = [replace(q, used={}) for q in quotas if not q.scoped], dict[Refusal, None]()
    for change in changes:
        before, after = (_certain(pod, ranges, whole) for pod in (change.before, change.after))
        rejected |= dict.fromkeys(() if before else after)
    return list(rejected)


def _certain(pod: Pod, ranges: Sequence[LimitRange], quotas: Sequence[ResourceQuota]) -> Sequence[Refusal]:
    """What rejects one pod for the values it has; empty when it would pass with the defaults of another LimitRange."""
    found: list[Refusal] = []
    for order in _orders(ranges):
        completed = defaulted(pod, order)
        found = [r for r in _limited(completed, order) if not r.missing]
        found += _exceeded(PodChange(Pod(()), completed), quotas)
        if not found:
            break
    return found


def _orders(ranges: Sequence[LimitRange]) -> Iterator[Sequence[LimitRange]]:
    """Orders in which defaults may apply: with several LimitRanges any of them can be first."""
    filling = [r for r in ranges if r.scope == "Container" and (r.default or r.default_request)]
    if len(filling) < 2:
        yield ranges
        return
    for first in filling:
        yield [first, *(r for r in ranges if r is not first)]


def defaulted(pod: Pod, ranges: Sequence[LimitRange]) -> Pod:
    """The pod with the server's defaults."""
    containers = []
    for container in pod.containers:
        requests, limits = {**container.limits, **container.requests}, dict(container.limits)
        for limit_range in ranges:
            if limit_range.scope == "Container":
                limits = {**limit_range.default, **limits}
                requests = {**limit_range.default_request, **requests}
        containers.append(replace(container, requests=requests, limits=limits))
    return replace(pod, containers=tuple(containers))


def _limited(pod: Pod, ranges: Sequence[LimitRange]) -> Iterator[Refusal]:
    for container in pod.containers:
        for limits in ranges:
            if limits.scope == "Container":
                yield from _within(limits, container.requests, container.limits)
        for resource, limit in container.limits.items():
            request = container.requests.get(resource)
            if request is not None and request > limit * _UP:
                amounts = f"{resource} {_show(resource, request)} is above the limit {_show(resource, limit)}"
                setter = next(
                    (r.name for r in ranges if r.scope == "Container" and r.default.get(resource) == limit), None
                )
                whose = f" that LimitRange {setter} sets where none is written" if setter is not None else ""
                yield Refusal("LimitRange" if setter is not None else "AboveLimit", f"{amounts}{whose}")
    if pod.level is not None:
        yield from _beside(pod, pod.level)
    if pod.complete or len(pod.containers) == 1:
        for limits in ranges:
            if limits.scope == "Pod":
                known = limits if pod.complete else replace(limits, least={}, ratio={})
                yield from _within(known, pod.total("requests"), pod.total("limits"))


def _raised_beside(before: Pod, after: Pod) -> Iterator[Refusal]:
    """Containers raised within pod-level resources, of which the engine's own containers use an unknown part."""
    unknown = [c.name for c in after.containers if not (c.known or c.init)]
    if after.level is None or not unknown:
        return
    were = before.together("requests")
    for resource, amount in after.together("requests").items():
        most = after.level.requests.get(resource)
        if most is not None and were.get(resource, 0.0) * _UP < amount <= most * _UP:
            both = f"the containers would request {_show(resource, amount)} of {resource} together, and {unknown[0]}"
            text = f"{both} of the engine an unknown part, of the {_show(resource, most)} of their pod"
            yield Refusal("AbovePod", f"{text} (pod-level resources)")


def _beside(pod: Pod, level: Container) -> Iterator[Refusal]:
    """Containers against pod-level resources: the sum of their requests, and each limit by itself."""
    for resource, amount in pod.together("requests").items():
        most = level.requests.get(resource)
        if most is not None and amount > most * _UP:
            text = f"the containers request {_show(resource, amount)} of {resource} together"
            yield Refusal(
                "AbovePod", f"{text}, more than the {_show(resource, most)} of their pod (pod-level resources)"
            )
    for container in pod.containers:
        for resource, amount in container.limits.items():
            most = level.limits.get(resource)
            if most is not None and amount > most * _UP:
                text = f"the {resource} limit {_show(resource, amount)} of a container is above the"
                yield Refusal("AbovePod", f"{text} {_show(resource, most)} of its pod (pod-level resources)")
    for resource, limit in level.limits.items():
        request = level.requests.get(resource, 0.0)
        if request > limit * _UP:
            text = f"{resource} {_show(resource, request)} of the pod is above its limit {_show(resource, limit)}"
            yield Refusal("AboveLimit", text)


def _within(limits: LimitRange, requests: ByResource, bounds: ByResource) -> Iterator[Refusal]:
    """One container, or a whole pod, checked against one entry of a LimitRange."""
    for resource, least in limits.least.items():
        edge = f"below {_show(resource, least)}, the least"
        if resource not in requests:
            yield _omitted(limits, resource, "request")
        for amount in (requests.get(resource), bounds.get(resource)):
            if amount is not None and amount < least * _DOWN:
                yield _outside(limits, resource, amount, edge)
    for resource, most in limits.most.items():
        edge = f"above {_show(resource, most)}, the most"
        for amount in (requests.get(resource), bounds.get(resource)):
            if amount is not None and amount > most * _UP:
                yield _outside(limits, resource, amount, edge)
        if resource not in bounds:
            yield _omitted(limits, resource, "limit")
    yield from _ratios(limits, requests, bounds)


def _ratios(limits: LimitRange, requests: ByResource, bounds: ByResource) -> Iterator[Refusal]:
    for resource, ratio in limits.ratio.items():
        request, limit = requests.get(resource), bounds.get(resource)
        if not request or not limit:
            yield _omitted(limits, resource, "limit" if request else "request")
        elif limit / request > ratio * _UP:
            times = f"{limit / request:.3g} times the request {_scope(limits)}{_show(resource, request)}"
            most_times = f"LimitRange {limits.name} allows {ratio:g} times (maxLimitRequestRatio)"
            yield Refusal("LimitRange", f"the {resource} limit {_show(resource, limit)} is {times}; {most_times}")


def _outside(limits: LimitRange, resource: str, amount: float, edge: str) -> Refusal:
    text = f"{resource} {_scope(limits)}{_show(resource, amount)} is {edge} LimitRange {limits.name} allows"
    return Refusal("LimitRange", text)


def _omitted(limits: LimitRange, resource: str, what: str) -> Refusal:
    return Refusal("LimitRange", f"LimitRange {limits.name} asks for a {resource} {what}, and none is set", True)


def _scope(limits: LimitRange) -> str:
    return "" if limits.scope == "Container" else "of the pod "


def _unspecified(pod: Pod, quotas: Sequence[ResourceQuota]) -> Iterator[Refusal]:
    """A quota on CPU or memory requires every container to set it; quotas on anything else count what is set."""
    for quota in (q for q in quotas if q.kind == "ResourceQuota") if pod.complete and pod.level is None else ():
        for resource in quota.hard:
            side, kind = ("limits", resource.removeprefix("limits.")) if "." in resource else ("requests", resource)
            if kind in ("cpu", "memory") and any(kind not in getattr(c, side) for c in pod.containers):
                text = f"ResourceQuota {quota.name} asks every container for a {kind} {side[:-1]}, and one has none"
                yield Refusal("ResourceQuota", text, True)


def _exceeded(change: PodChange, quotas: Sequence[ResourceQuota]) -> Iterator[Refusal]:
    """Only values raised by the change are checked against quotas: lowering a value never exceeds one."""
    before, after = _demand(change.before), _demand(change.after)
    for quota in quotas:
        for resource, hard in quota.hard.items():
            each, earlier = after.get(resource, 0.0), before.get(resource, 0.0)
            count_before, count_after = (1, 1) if quota.each else (change.count_before, change.count_after)
            if count_after is None:
                if each > earlier * _UP:
                    text = f"how many pods run at a time is not known, and {quota.kind} {quota.name} limits {resource}"
                    yield Refusal(quota.kind, f"{text}: set a parallelism")
                continue
            pods, used = count_after, quota.used.get(resource, 0.0)
            raised = each * pods > earlier * (count_before or 0) * _UP
            if raised and used + each * pods > hard * _UP:
                kind = resource.rpartition(".")[2]
                beside = f" beside {_show(kind, used)} in use" if used else ""
                wanted = count(pods, "pod") if resource == "pods" else f"{pods} x {_show(kind, each)}"
                limit = f"the {_show(kind, hard)} of {quota.kind} {quota.name}"
                yield Refusal(quota.kind, f"{resource}: {wanted}{beside} is more than {limit}")


def _demand(pod: Pod) -> dict[str, float]:
    return {**pod.total("requests"), **{f"limits.{r}": v for r, v in pod.total("limits").items()}, "pods": 1.0}


def _show(resource: str, amount: float) -> str:
    return resource_amount(resource, amount)
