"""LimitRanges, ResourceQuotas, nodes, and the bounds of the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.graphs.draws import Rng
from benchmarks.resources.law import CPU, GI, MEMORY, MI, Container, Cpu, Memory, Step
from benchmarks.resources.manifests import NAMESPACE
from benchmarks.resources.plant import (
    FAILURES,
    MONEY,
    Kind,
    Plant,
    between,
    excess,
    fitted,
    flow,
    healthy,
    killed_twice,
    shortage,
    whole,
)
from concertmaster.core.model.policy import AnalysisSettings, ApplySettings, Bounds, Policy, Range


def _range(**rows: Mapping[str, str]) -> dict[str, Any]:
    """A LimitRange for containers."""
    meta = {"name": "limits", "namespace": NAMESPACE}
    return {"kind": "LimitRange", "metadata": meta, "spec": {"limits": [{"type": "Container", **rows}]}}


def _quota(**hard: str) -> dict[str, Any]:
    amounts = {k.replace("_", "."): v for k, v in hard.items()}
    return {"kind": "ResourceQuota", "metadata": {"name": "team", "namespace": NAMESPACE}, "spec": {"hard": amounts}}


def _mebi(amount: float) -> str:
    return f"{round(amount / MI)}Mi"


def _work(rng: Rng) -> Container:
    mean, usual = between(rng, 0.3, 2.0), whole(between(rng, 0.4, 3.0) * GI)
    return fitted(Container(cpu=Cpu(((1.0, mean),)), memory=Memory(usual)))


def _steps(work: Container) -> tuple[Step, ...]:
    return Step("load"), Step("work", (work,), seconds=1500.0)


def default_requests(rng: Rng, name: str) -> Plant:
    """A container declares nothing; the LimitRange's defaults are a multiple of its use."""
    right = _work(rng)
    cpu, memory = 4 * right.requests[CPU], 4 * right.requests[MEMORY]
    amounts = {"cpu": f"{round(1000 * cpu)}m", "memory": _mebi(memory)}
    made = _range(default={"cpu": "16", "memory": "32Gi"}, defaultRequest=amounts)
    bare = replace(right, requests={}, limits={})
    now = replace(flow(rng, name, _steps(bare)), namespace=(made,))
    return excess(now, "work", "main", right.requests)


def default_limit_kills(rng: Rng, name: str) -> Plant:
    """A container declares nothing; the LimitRange's default limit kills a quarter of its runs."""
    own = replace(_work(rng), memory=Memory(whole(between(rng, 0.4, 3.0) * GI), spread=0.1, alike=False))
    limit = _mebi(1.07 * own.memory.usual)
    made = _range(default={"cpu": "8", "memory": limit}, defaultRequest={"cpu": "1", "memory": limit})
    now = replace(flow(rng, name, _steps(replace(own, requests={}, limits={})), 20, 120), namespace=(made,))
    enough = own.asking(**{MEMORY: 2 * own.memory.usual}).limited(**{MEMORY: 2 * own.memory.usual, CPU: 8.0})
    plant = shortage(now, "work", "main", enough, ("memory-request",), FAILURES)
    also = ("failing-step", "retry-policy", "objective-at-risk", "right-size")
    return replace(plant, also=also, shown=killed_twice("work"))


def least_of_the_namespace(rng: Rng, name: str) -> Plant:
    """Requests are three times the use, which is the least that the LimitRange admits."""
    right = _work(rng)
    large = right.asking(**{CPU: round(3 * right.requests[CPU], 2), MEMORY: whole(3 * right.requests[MEMORY])})
    load = Step("load", (Container(requests=large.requests, cpu=right.cpu, memory=right.memory),))
    least = {"cpu": f"{round(1000 * large.requests[CPU])}m", "memory": _mebi(large.requests[MEMORY])}
    now = replace(flow(rng, name, (load, _steps(large)[1])), namespace=(_range(min=least),))
    return healthy(now)


def ratio_of_the_namespace(rng: Rng, name: str) -> Plant:
    """Requests and limits are a multiple of the use, and the LimitRange keeps limits below twice the requests."""
    right = _work(rng)
    large = right.asking(**{CPU: round(5 * right.requests[CPU], 2), MEMORY: whole(5 * right.requests[MEMORY])})
    bound = large.limited(**{r: 1.6 * v for r, v in large.requests.items()})
    load = Container().limited(**{r: 1.5 * v for r, v in Container().requests.items()})
    made = _range(maxLimitRequestRatio={"cpu": "2", "memory": "2"})
    now = replace(flow(rng, name, (Step("load", (load,)), _steps(bound)[1])), namespace=(made,))
    small = right.limited(**{r: 1.6 * v for r, v in right.requests.items()})
    fixed = now.having(now.step("work").having("main", small))
    return Plant(now, fixed, ("right-size",), "work", "main", MONEY)


def quota_too_small(rng: Rng, name: str) -> Plant:
    """Runs are killed for lack of memory, and the ResourceQuota has no room for more than a sixth above the limit."""
    usual = whole(between(rng, 1.0, 4.0) * GI)
    own = fitted(Container(memory=Memory(usual, spread=0.12, alike=False))).limited(**{CPU: 2.0})
    limit = whole(1.06 * usual)
    bound = own.asking(**{MEMORY: limit}).limited(**{MEMORY: limit})
    load = Container().limited(**Container().requests)
    hard = _mebi(1.17 * limit)
    steps = (Step("load", (load,)), Step("work", (bound,), seconds=1500.0))
    now = replace(flow(rng, name, steps, 20, 120), namespace=(_quota(limits_memory=hard, requests_memory=hard),))
    enough = own.asking(**{MEMORY: 2 * usual}).limited(**{MEMORY: 2 * usual})
    plant = shortage(now, "work", "main", enough, ("memory-request",), FAILURES)
    return replace(plant, also=("failing-step", "retry-policy", "objective-at-risk"), shown=killed_twice("work"))


def largest_node(rng: Rng, name: str) -> Plant:
    """A step has requested what its burst of memory needs, which is nearly all of the largest node."""
    own = fitted(Container(cpu=Cpu(((1.0, 3.0),)), memory=Memory(22 * GI, spread=0.03)))
    now = replace(flow(rng, name, _steps(own)), node={CPU: 7.8, MEMORY: 31 * GI})
    return healthy(now)


def least_of_the_policy(rng: Rng, name: str) -> Plant:
    """Requests are six times the use, and the policy lets them be lowered to half."""
    right = _work(rng)
    large = right.asking(**{CPU: round(6 * right.requests[CPU], 2), MEMORY: whole(6 * right.requests[MEMORY])})
    cpu, memory = large.requests[CPU] / 2, large.requests[MEMORY] / 2
    bounds = Bounds(cpu=Range(cpu, 64.0), memory=Range(memory, 256 * GI))
    now = replace(flow(rng, name, _steps(large)), policy=Policy(apply=ApplySettings(bounds=bounds)))
    return excess(now, "work", "main", {CPU: cpu, MEMORY: whole(memory)})


def most_of_the_policy(rng: Rng, name: str) -> Plant:
    """A step uses more CPU and memory than the policy lets it request, and requests three times that."""
    own = fitted(
        Container(cpu=Cpu(((1.0, between(rng, 9, 20)),)), memory=Memory(between(rng, 34, 60) * GI, spread=0.08))
    )
    large = own.asking(**{CPU: round(3 * own.requests[CPU], 2), MEMORY: whole(3 * own.requests[MEMORY])})
    return excess(flow(rng, name, _steps(large)), "work", "main", own.requests)


def strict_bound(rng: Rng, name: str) -> Plant:
    """The policy accepts one failure in a thousand for lack of memory, of a step that requests five times its need."""
    own = replace(_work(rng), memory=Memory(between(rng, 0.5, 3) * GI, spread=0.12))
    large = own.asking(**{MEMORY: whole(5 * own.memory.usual)})
    policy = Policy(analysis=AnalysisSettings(max_failure=0.001))
    now = replace(flow(rng, name, _steps(large)), policy=policy)
    return excess(now, "work", "main", {MEMORY: whole(1.5 * own.memory.usual)})


KINDS: tuple[Kind, ...] = (
    default_requests, default_limit_kills, least_of_the_namespace, ratio_of_the_namespace, quota_too_small, largest_node,
    least_of_the_policy, most_of_the_policy, strict_bound,
)  # fmt: skip
