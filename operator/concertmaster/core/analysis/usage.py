"""Container usage over runs: the basis of sizing and of the utilization flags.

The unit is the run, not the sample; usage within one run is computed in ``runs.usage``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import takewhile
from operator import itemgetter
from typing import Any, TypeVar

from concertmaster.core.analysis.pod_level import governed
from concertmaster.core.analysis.runs.overrides import NAMES, Override, ResourceField, as_declared, overrides
from concertmaster.core.analysis.runs.usage import ContainerInRun, RunUsage
from concertmaster.core.fast_init import fast_init
from concertmaster.core.known import known, upper_median
from concertmaster.core.model import POD, ContainerFact, ContainerSpec, StepSpec
from concertmaster.core.model.amounts import STORAGE, is_gpu, same_amount

T = TypeVar("T")

UsageColumns = Mapping[str, tuple[Any, ...]]
"""By the name of a figure of ``RunUsage``, its values in several runs, in their order; None where one is unknown."""


# By resource, the figure of a run that counts as use of it (mean CPU, peak memory, mean of busy GPUs, peak storage), and the
# request.
_USED = {
    "cpu": ("mean_cores", "cpu_request"),
    "memory": ("memory_peak", "memory_request"),
    "gpu": ("gpus_used", "gpu_request"),
    STORAGE: ("storage_peak", "storage_request"),
}


def _columns(runs: Sequence[RunUsage]) -> UsageColumns:
    if not runs:
        return dict.fromkeys(RunUsage._fields, ())
    return dict(zip(RunUsage._fields, zip(*runs, strict=True), strict=True))


@fast_init
@dataclass(frozen=True)
class ContainerUsage:
    """A container of a step over runs: current requests, per-run usage, and sample coverage.

    ``coverage``: share of executions (0 to 1) with usable memory samples; ``ambiguous`` and ``unsampled`` count the others.
    ``unsampled_before``: those of the unsampled before the first run with samples, when nothing was collected yet or of
    which the metrics have expired. ``overrides``: where requests and limits are those of the pods, since the definition
    declares others. ``declared_runs``: by resource, the usage of pods that have what is declared, where others of the
    definition have something else; ``partial``: whether ``runs`` are these.
    """

    name: str
    image: str | None
    cpu_request: float | None
    cpu_limit: float | None
    memory_request: float | None
    memory_limit: float | None
    place: str | None  # where the definition sets its resources
    executions: int
    ambiguous: int
    unsampled: int
    coverage: float | None
    runs: tuple[RunUsage, ...]
    gpu_resource: str | None = None
    gpu_request: float | None = None
    storage_request: float | None = None  # ephemeral storage, bytes
    storage_limit: float | None = None
    unsampled_before: int = 0
    overrides: Mapping[ResourceField, Override] = field(default_factory=dict)
    declared_runs: Mapping[str, tuple[RunUsage, ...]] = field(default_factory=dict)
    partial: bool = False
    init: bool = False  # ends before the others start

    def as_declared(self, resource: str) -> ContainerUsage:
        """Only of pods that have what is declared of the ``resource``, where there are others; else itself."""
        runs = self.declared_runs.get(resource)
        return self if runs is None or self.partial else replace(self, runs=runs, partial=True)

    def overridden(self, section: str, resource: str) -> Override | None:
        """What pods have in spite of another value that the definition declares; None where they have what it declares, or
        it declares nothing. ``resource`` as in a manifest."""
        if is_gpu(resource):
            section, resource = "requests", "gpu"
        found, request = (self.overrides.get((part, resource)) for part in (section, "requests"))
        forced = request is not None and request.declared is not None  # what sets it also sets the limit beside it
        return found if found is not None and (found.declared is not None or forced) else None

    def varies(self, resource: str) -> bool:
        """Whether the request or the limit of the ``resource``, cpu or memory, was not the same in all ``runs``."""
        return any(len(set(self.columns[NAMES[section, resource]])) > 1 for section in ("requests", "limits"))

    @cached_property
    def columns(self) -> UsageColumns:
        """The figures of ``runs`` by their names."""
        return _columns(self.runs)

    @cached_property
    def _known(self) -> dict[str, list[float]]:
        return {}

    def known(self, name: str) -> Sequence[float]:
        """The known values of a figure of ``runs``."""
        if name not in self._known:
            self._known[name] = known(self.columns[name])
        return self._known[name]

    @cached_property
    def _remembered(self) -> dict[Hashable, Any]:
        return {}

    def remembered(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` returns, worked out once for a ``key``: several rules ask the same of a container."""
        if key not in self._remembered:
            self._remembered[key] = make()
        found: T = self._remembered[key]
        return found

    def where_known(self, *names: str) -> UsageColumns:
        """``columns`` of those runs of which these figures are known."""
        if all(len(self.known(name)) == len(self.runs) for name in names):
            return self.columns
        return _columns([r for r in self.runs if all(getattr(r, name) is not None for name in names)])

    def runs_with(self, *names: str) -> list[RunUsage]:
        """The runs with the present ``cpu_request``, ``cpu_limit`` or ``gpu_request``, as far as it is known: too little of
        it, or too much, under another value says nothing about this one. What is not declared is that of the newest run."""
        runs = list(self.runs)
        for name in names if runs else ():
            declared: float | None = getattr(self, name)
            column = self.columns[name]
            now = declared if declared is not None else column[-1]
            other = {had for had in set(column) if not _alike(had, now)}  # mostly none: a step has one request or two
            if other:
                runs = [r for r in runs if getattr(r, name) not in other]
        return runs

    def utilization(self, resource: str) -> float | None:
        """Median over the runs of what is used of the ``resource`` (see ``_USED``), divided by the request; None when either
        is unknown."""
        figure, request = _USED[resource]
        asked, used = getattr(self, request), self.as_declared(resource).known(figure)
        return upper_median(used) / asked if asked and used else None

    def covered(self, least: float, least_runs: int) -> bool:
        """Whether at least the share ``least`` (0 to 1) of the executions has usable memory samples, or of those since the
        first run with samples, if ``least_runs`` have some. Pods that leave samples by chance, which long ones do more
        often than short ones, do so all the time; what begins on a day is what was collected."""
        if self.coverage is None or self.coverage >= least:
            return True
        since = self.executions - self.unsampled_before
        return self.coverage * self.executions >= least * since and len(self.known("memory_peak")) >= least_runs

    @property
    def sampled(self) -> bool:
        """Whether any run has samples of its CPU or memory."""
        return bool(self.known("mean_cores") or self.known("memory_peak"))


def _alike(had: float | None, now: float | None) -> bool:
    return had is None or (now is not None and same_amount(had, now))


def unsampled(containers: Sequence[ContainerUsage]) -> bool:
    """Whether containers ran and none of them has a sample: requests cannot be assessed then."""
    return bool(containers) and not any(c.sampled for c in containers)


def utilizations(containers: Sequence[ContainerUsage]) -> dict[str, list[float]]:
    """Used shares of the requests of containers, by resource; unknown ones are left out."""
    return {resource: known(c.utilization(resource) for c in containers) for resource in _USED}


def weighted_utilization(containers: Sequence[ContainerUsage], resource: str) -> float | None:
    """Utilization (0 to 1) of ``cpu`` or ``memory``, weighted by requested amount times duration; None where unknown."""
    weight = used = 0.0
    for container in containers:
        request, share = getattr(container, _USED[resource][1]), container.utilization(resource)
        if request and share is not None:
            held = request * sum(container.columns["seconds"])
            weight += held
            used += held * share
    return used / weight if weight > 0 else None


def container_usage(
    spec: StepSpec | None, containers: Mapping[str, Sequence[ContainerInRun]], template: str | None = None
) -> tuple[ContainerUsage, ...]:
    """Usage of the ``containers`` of a step. Requests come from the definition, whose fingerprint is ``template``, if it
    declares the container and its pods have what it declares, else from the newest executions."""
    declared = {c.name: c for c in spec.sized} if spec else {}
    of_pod = governed(spec.pod) if spec else frozenset[str]()
    return tuple(
        _container(name, declared.get(name), runs_of, of_pod, template)
        for name, runs_of in sorted(containers.items())
        if name == POD or len(of_pod) < 2
    )


def _container(
    name: str,
    declared: ContainerSpec | None,
    runs: Sequence[ContainerInRun],
    of_pod: frozenset[str],
    template: str | None,
) -> ContainerUsage:
    newest = runs[-1].newest
    _, _, *counts, unlike, usages = zip(*runs, strict=True)
    executions, ambiguous, unsampled = map(sum, counts)
    now = declared if declared is not None else newest
    has = {r: not of_pod or (r in of_pod) is (name == POD) for r in ("cpu", "memory")}
    covered = has["memory"]  # memory set at pod level needs no samples of this container
    own = declared if name != POD else None
    other = overrides(own, runs, template) if own is not None else {}
    other = {at: o for at, o in other.items() if has.get(at[1], True)}
    usage = ContainerUsage(
        name=name,
        image=(declared.image if declared else None) or newest.image,
        cpu_request=now.cpu_request if has["cpu"] else None,
        cpu_limit=now.cpu_limit if has["cpu"] else None,
        memory_request=now.memory_request if has["memory"] else None,
        memory_limit=now.memory_limit if has["memory"] else None,
        place=declared.place if declared else None,
        executions=executions,
        ambiguous=ambiguous,
        unsampled=unsampled if covered else 0,
        coverage=(executions - ambiguous - unsampled) / executions if covered and executions else None,
        runs=_in_order(usages),
        unsampled_before=_before(runs) if unsampled and covered else 0,
        init=newest.init,
        **_extended(declared, newest),
    )
    had: dict[str, Any] = {NAMES[at]: o.have for at, o in other.items()}
    forced = {resource for _, resource in other}
    varying = [r for r in has if r not in forced and (any(unlike) or usage.varies(r))]
    kept = {r: _in_order(rows) for r in varying if own is not None and (rows := as_declared(own, runs, template, r))}
    return replace(usage, overrides=other, declared_runs=kept, **had) if other or kept else usage


def _in_order(runs: Sequence[RunUsage]) -> tuple[RunUsage, ...]:
    return tuple(sorted(runs, key=itemgetter(0)))


def _before(runs: Sequence[ContainerInRun]) -> int:
    """Executions in the runs (oldest first) before the first that has samples; 0 where none has."""
    dark = list(takewhile(lambda run: run.unsampled == run.executions, runs))
    return sum([run.executions for run in dark]) if len(dark) < len(runs) else 0


def _extended(declared: ContainerSpec | None, newest: ContainerFact) -> dict[str, Any]:
    """GPUs and ephemeral storage: from the definition if declared, else from the newest execution."""
    names = ("gpu_resource", "gpu_request", "storage_request", "storage_limit")
    values = {name: getattr(newest, name) for name in names}
    return values | {name: value for name in names if (value := getattr(declared, name, None)) is not None}
