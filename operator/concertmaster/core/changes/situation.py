"""Inputs and results of checks.

Facts that could not be read are None. A check that needs such a fact blocks and names the missing permission or setting: a
change never rests on an assumption.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from concertmaster.core.changes.admission.model import LimitRange, ResourceQuota
from concertmaster.core.changes.plan import Plan
from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.model.policy import Policy


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check. ``waiting``: a decision or time resolves the block, so that the plan may be proposed
    meanwhile. ``check`` is set by ``run_checks``."""

    passed: bool
    message: str
    waiting: bool = False
    check: str = ""


@dataclass(frozen=True, slots=True)
class PastChange:
    """An earlier change of the same workflow: when it was applied and, if so, rolled back (unix seconds)."""

    applied: float
    restored: float | None = None


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """The state of the target in the cluster. None: it could not be read, ``unknown`` has the reason by topic.

    ``owners``: sentences about other writers of the object; ``controllers``: about autoscalers that target it;
    ``shared_by``: other workflows that use it. ``pods``: how many pods of the step may run concurrently; ``secure``:
    whether Argo compares stored templates with the runs that use them; ``active_runs``: number of active runs.
    ``definition`` determines the pods; ``pod_refused``: the API server's rejection in a dry run of the changed pod, if it
    accepts the current one; ``admission``: what else decides about new pods where none may be tried.
    """

    owners: tuple[str, ...] | None = ()
    controllers: tuple[str, ...] | None = ()
    shared_by: tuple[str, ...] | None = ()
    ranges: tuple[LimitRange, ...] | None = ()
    quotas: tuple[ResourceQuota, ...] | None = ()
    pod_spec_patch: bool = False
    secure: bool | None = False
    active_runs: int | None = 0
    pods: int | None = 1
    write_access: bool | None = True
    definition: WorkflowDefinition | None = None
    pod_refused: str | None = None
    admission: tuple[str, ...] | None = ()
    unknown: Mapping[str, str] = field(default_factory=dict)

    def why(self, topic: str) -> str:
        """Why a topic is unknown, as text."""
        return self.unknown.get(topic, "it could not be asked")


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a check sees besides the plan. Times are unix seconds.

    ``in_flight``: changes of this workflow under verification; ``in_the_way``: those on the same object, of other workflows
    or of the same fields.
    ``baseline_runs``: number of runs available as baseline; ``coverage``: share of executions of the step (0 to 1) with
    samples; ``withdrawn``: why the rule lost the right to change this workflow automatically; ``unsure``: why a verification
    may miss harm. ``approved``: whether the plan was approved. ``writes_left``: writes the rate limit allows now.
    """

    now: float
    policy: Policy = field(default_factory=Policy)
    facts: ClusterFacts = field(default_factory=ClusterFacts)
    past: tuple[PastChange, ...] = ()
    in_flight: tuple[str, ...] = ()
    in_the_way: tuple[str, ...] = ()
    data_until: float | None = None
    baseline_runs: int = 30
    coverage: float | None = None
    withdrawn: str | None = None
    unsure: str | None = None
    approved: bool = False
    writes_left: int = 1


Check = Callable[[Plan, Situation], CheckResult]
"""A pure function. Users see its name, with hyphens for underscores."""


def passed(message: str, *, waiting: bool = False) -> CheckResult:
    """A result without objection to the plan."""
    return CheckResult(True, message, waiting)


def blocked(message: str, *, waiting: bool = False) -> CheckResult:
    """A result that blocks the plan."""
    return CheckResult(False, message, waiting)
