"""What a policy check sees and returns.

Facts that could not be read are None. A check that needs such a fact blocks and names the missing right or setting: a
change is based on knowledge, never on an assumption.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from concertmaster.core.changes.admission.limits import LimitRange, ResourceQuota
from concertmaster.core.changes.plan import Plan
from concertmaster.core.model import WorkflowDefinition
from concertmaster.core.model.policy import Policy


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one check. ``waiting``: a decision or time lifts the block, so that the plan may be proposed and
    wait for that. ``check`` is filled in by ``run_checks``."""

    passed: bool
    message: str
    waiting: bool = False
    check: str = ""


@dataclass(frozen=True, slots=True)
class PastChange:
    """An earlier change of the same workflow: when it was applied and, if so, rolled back (unix seconds)."""

    applied: float
    restored: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """The state of the target in the cluster. None: it could not be read, ``unknown`` has the reason by topic.

    ``owners`` are sentences about who else writes the object; ``controllers`` about autoscalers that target it;
    ``sharers`` are the other workflows that use it. ``pods`` is how many pods of the step may run at
    a time, ``secure`` whether Argo compares stored templates with the runs that use them, ``active_runs`` the number of
    active runs. ``definition`` says which pods there are, and ``pod_refused`` what the API server answered to a trial of
    the changed pod where it takes the present one.
    """

    owners: tuple[str, ...] | None = ()
    controllers: tuple[str, ...] | None = ()
    sharers: tuple[str, ...] | None = ()
    ranges: tuple[LimitRange, ...] | None = ()
    quotas: tuple[ResourceQuota, ...] | None = ()
    pod_spec_patch: bool = False
    secure: bool | None = False
    active_runs: int | None = 0
    pods: int | None = 1
    write_access: bool | None = True
    definition: WorkflowDefinition | None = None
    pod_refused: str | None = None
    unknown: Mapping[str, str] = field(default_factory=dict)

    def why(self, topic: str) -> str:
        """Why a topic is unknown."""
        return self.unknown.get(topic, "it could not be asked")


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a check sees besides the plan. Times are unix seconds.

    ``in_flight`` names the changes of this workflow under verification, ``elsewhere`` those of other workflows on the
    same object. ``baseline_runs`` are the runs a change could be compared with, ``coverage`` is the share of executions
    of the step with samples; ``withdrawn`` says why the rule lost the right to change this workflow by itself,
    ``unsure`` why a verification could well miss harm. ``approved`` is True once a person approved the plan.
    ``writes_left`` is what the rate limit allows now.
    """

    now: float
    policy: Policy = field(default_factory=Policy)
    facts: ClusterFacts = field(default_factory=ClusterFacts)
    past: tuple[PastChange, ...] = ()
    in_flight: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    data_until: float | None = None
    max_data_age: float = 6 * 3600.0
    baseline_runs: int = 30
    coverage: float | None = None
    min_coverage: float = 0.5
    withdrawn: str | None = None
    unsure: str | None = None
    approved: bool = False
    writes_left: int = 1


Check = Callable[[Plan, Situation], CheckResult]
"""A pure function. Users see its name, with hyphens for underscores."""


def passed(message: str, *, waiting: bool = False) -> CheckResult:
    """The check has no objection to the plan."""
    return CheckResult(True, message, waiting)


def blocked(message: str, *, waiting: bool = False) -> CheckResult:
    """The check holds the plan back."""
    return CheckResult(False, message, waiting)
