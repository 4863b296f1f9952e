"""Requests and limits that pods have instead of those that the definition declares for them.

The definition has not the last word: a podSpecPatch, ``taskRunSpecs`` of a PipelineRun, defaults of a controller or of the
namespace, a mutating webhook or policy, and a VerticalPodAutoscaler set what a pod asks for after it. That pods had another
request may as well mean that the definition was edited since, so that what counts are runs of the definition in force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from operator import attrgetter

from concertmaster.core.analysis.runs.usage import ContainerInRun, RunUsage
from concertmaster.core.model import ContainerFact, ContainerSpec
from concertmaster.core.model.amounts import same_amount

ResourceField = tuple[str, str]
"""Section and resource, such as ``("requests", "memory")``; GPUs of any kind are ``("requests", "gpu")``."""

NAMES: Mapping[ResourceField, str] = {
    ("requests", "cpu"): "cpu_request",
    ("limits", "cpu"): "cpu_limit",
    ("requests", "memory"): "memory_request",
    ("limits", "memory"): "memory_limit",
    ("requests", "gpu"): "gpu_request",
}
_amounts = attrgetter(*NAMES.values())
_MIN_RUNS = 3  # fewest runs in a row that have something else: one may have been started with a value of its own


@dataclass(frozen=True, slots=True)
class Override:
    """What pods ``have`` (cores, bytes or GPUs) and the definition has ``declared`` (None: nothing), in the newest ``runs``.
    ``varies``: whether pods of one run differ, of which ``have`` is the largest. ``edited``: whether the definition may have
    been edited since, as nothing shows that any of the runs is of the one at hand."""

    have: float
    declared: float | None
    runs: int
    varies: bool = False
    edited: bool = False


def overrides(
    declared: ContainerSpec, runs: Sequence[ContainerInRun], template: str | None
) -> dict[ResourceField, Override]:
    """By field, where pods of the newest ``runs`` (oldest first) of the definition whose fingerprint is ``template`` have
    something else than ``declared``. Without a fingerprint (None) all of them may be of the definition, as far as none is
    known to be of another one than the newest. A limit that is not declared counts where no request is either, or another
    one."""
    newest = runs[-1]
    whole = not newest.unlike and not newest.ambiguous  # without what is declared, a run was not seen in full
    rows = zip(NAMES.items(), _amounts(newest.usage), _amounts(declared), strict=True)
    other = [at for at, had, own in rows if not (whole and (had == own or _alike(had, own)))]  # nearly always none
    found = {field: o for field, name in other if (o := _of(declared, name, runs, template)) is not None}
    for resource in ("cpu", "memory"):
        limit = found.get(("limits", resource))
        if limit is not None and limit.declared is None and ("requests", resource) not in found:
            del found["limits", resource]
    return found


def as_declared(
    declared: ContainerSpec, runs: Sequence[ContainerInRun], template: str | None, resource: str
) -> tuple[RunUsage, ...] | None:
    """The usage in ``runs`` (oldest first) without pods that have something else of the ``resource`` than is declared, where
    others of the same definition have that; None where there are none of either. What some are given beside it, as items or
    retries that need more, says nothing about what is declared."""
    amounts = attrgetter(NAMES["requests", resource], NAMES["limits", resource])
    own = amounts(declared)
    if own[0] is None:
        return None

    def fits(of: ContainerFact | RunUsage) -> bool:
        return all(
            had is None or value is None or _alike(had, value) for had, value in zip(amounts(of), own, strict=True)
        )

    kept: list[RunUsage] = []
    begun, left_out = template is not None, False  # without a fingerprint, earlier ones may be of an earlier definition
    for run in runs:
        found = run.usage_where(fits) if run.usage.template == template else run.usage
        begun = begun or found is not None
        left_out = left_out or (begun and found is not run.usage)
        if found is not None or not begun:
            kept.append(found or run.usage)
    owned = any(usage.template == template and fits(usage) for usage in kept)
    return tuple(kept) if left_out and owned else None


def _of(declared: ContainerSpec, name: str, runs: Sequence[ContainerInRun], template: str | None) -> Override | None:
    own: float | None = getattr(declared, name)
    had = [(run.usage.template, values) for run in runs if (values := _values(run, name))]
    since = list(takewhile(lambda row: not any(_alike(value, own) for value in row[1]), reversed(had)))
    last = next((of for of, _ in since if of is not None), template)
    current = last if template is None else template
    known = [values for of, values in since if _is_own(declared, of, current)]
    if len(since) < _MIN_RUNS or not known or last != current:
        return None
    before = had[: len(had) - len(since)]
    if any(of == current and not any(_alike(value, own) for value in values) for of, values in before):
        return None  # some runs are started with values of their own, others are not
    have, least = max(known[0]), min(known[0])
    return Override(have, own, len(since), not _alike(least, have), template is None and declared.set_by is None)


def _is_own(declared: ContainerSpec, of: str | None, template: str | None) -> bool:
    """Whether a run of the template ``of`` is one of the definition in force. Which it was matters less where the
    definition itself says that something else comes after it."""
    return of == template or (of is None and declared.set_by is not None)


def _values(run: ContainerInRun, name: str) -> list[float]:
    """The known values of its executions in a run, once each."""
    if run.unlike:
        return list({value for fact, _ in run.unlike if (value := getattr(fact, name)) is not None})
    value = getattr(run.usage, name)
    return [] if value is None else [value]


def _alike(had: float | None, own: float | None) -> bool:
    return had is not None and own is not None and same_amount(had, own)
