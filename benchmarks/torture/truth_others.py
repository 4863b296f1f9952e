"""Tekton, Jobs and JobSets: runs from their objects and pods."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from benchmarks.torture.bed import SCRAPE_SECONDS
from benchmarks.torture.truth import SECOND, Key, Leaf, Object, Truth, unix

_REF = re.compile(r"\$\(tasks\.([^.]+)\.")


def _condition(thing: Object, kind: str = "Succeeded") -> Object:
    return next((c for c in thing.get("status", {}).get("conditions") or () if c["type"] == kind), {})


def pipeline_run(raw: Object, task_runs: Sequence[Object], workflow: str) -> Truth:
    """A PipelineRun: its TaskRuns are the items, retriesStatus has earlier attempts."""
    status = raw["status"]
    outcome = {"True": "Succeeded", "False": "Failed"}.get(_condition(raw).get("status", ""), "Running")
    found = Truth(workflow, raw["metadata"]["name"], outcome)
    spec = status.get("pipelineSpec") or raw["spec"].get("pipelineSpec")
    edges = {t["name"]: set(t.get("runAfter") or ()) | set(_REF.findall(json.dumps(t))) for t in spec["tasks"]}
    last = {t["name"] for t in spec.get("finally") or ()}
    fanned = {t["name"] for t in (*spec["tasks"], *(spec.get("finally") or ())) if "matrix" in t}
    own: list[tuple[str, str | None, Object, list[Object]]] = []
    for thing in task_runs:
        labels = thing["metadata"]["labels"]
        if labels.get("tekton.dev/pipelineRun") != found.run:
            continue
        name = labels["tekton.dev/pipelineTask"]
        item = thing["metadata"]["name"].rsplit("-", 1)[-1] if name in fanned else None
        own.append((name, item, thing, list(thing["status"].get("retriesStatus") or ())))
    keys: dict[str, list[Key]] = {}
    for name, item, _, earlier in own:
        keys.setdefault(name, []).extend((name, item, k) for k in range(len(earlier) + 1))
    for skipped in status.get("skippedTasks") or ():
        keys.setdefault(skipped["name"], [(skipped["name"], None, 0)])
    everything = frozenset(k for name, rows in keys.items() if name not in last for k in rows)
    for name, item, thing, earlier in own:
        before = everything if name in last else frozenset(k for d in edges.get(name, ()) for k in keys.get(d, ()))
        for attempt, part in enumerate([*earlier, thing["status"]]):
            waits = before if attempt == 0 else frozenset({(name, item, attempt - 1)})
            outcome = "Succeeded" if _condition({"status": part}).get("status") == "True" else "Failed"
            found.add(Leaf(name, item, attempt, outcome, unix(part.get("startTime")), unix(part.get("completionTime")),
                           part.get("podName"), waits))  # fmt: skip
    for skipped in status.get("skippedTasks") or ():
        name = skipped["name"]
        if (name, None, 0) not in found.leaves:
            waits = frozenset(k for d in edges.get(name, ()) for k in keys.get(d, ()))
            found.add(Leaf(name, None, 0, "Skipped", None, None, None, waits, ran=False))
    return found


def _pods_of_job(job: str, pods: Sequence[Object]) -> list[Object]:
    owned = [
        p
        for p in pods
        if any(o["kind"] == "Job" and o["name"] == job for o in p["metadata"].get("ownerReferences") or ())
    ]
    return sorted(owned, key=lambda p: (p["metadata"]["creationTimestamp"], p["metadata"]["name"]))


def ended(pod: Object) -> float | None:
    """End of the last container of a pod in unix seconds; None if unknown, as of one that was deleted while some of its
    containers ran."""
    states = [c.get("state", {}) for c in pod["status"].get("containerStatuses") or ()]
    if pod["status"].get("phase") not in ("Succeeded", "Failed") and not all("terminated" in s for s in states):
        return None
    ends = [unix(s["terminated"]["finishedAt"]) for s in states if "terminated" in s]
    return max((e for e in ends if e is not None), default=None)


def _pod_leaf(pod: Object, step: str, item: str | None, attempt: int, before: frozenset[Key]) -> Leaf:
    # A pod that was deleted while it ran never said how it ended.
    outcome = {"Succeeded": "Succeeded", "Failed": "Failed"}.get(pod["status"].get("phase", ""), "Unknown")
    return Leaf(
        step,
        item,
        attempt,
        outcome,
        unix(pod["metadata"]["creationTimestamp"]),
        ended(pod),
        pod["metadata"]["name"],
        before,
    )


def resumed_run(raw: Object, pods: Sequence[Object], workflow: str, gone: Mapping[str, float] | None = None) -> Truth:
    """A Job that may have been suspended: its controller deletes the pods that run, and does not count them; the Job
    starts anew when it is resumed. What had succeeded before stays. ``gone``: when pods were, by uid."""
    start = unix(raw["status"].get("startTime"))
    own = _pods_of_job(raw["metadata"]["name"], pods)
    later = [p for p in own if start is None or (asked := deleted(p)) is None or asked > start]
    if start is None or len(later) == len(own) or not later or not _condition(raw, "Suspended"):
        return job_run(raw, pods, workflow)
    found = job_run(raw, later, workflow)
    found.whole = job_run(raw, pods, workflow)
    made = {p["metadata"]["name"]: unix(p["metadata"]["creationTimestamp"]) or 0.0 for p in own}
    for leaf in found.whole.leaves.values():
        pod = next((p for p in own if p not in later and p["metadata"]["name"] == leaf.pod), None)
        if pod is not None and ended(pod) is None:
            asked = deleted(pod) or 0.0
            leaf.ended = (gone or {}).get(pod["metadata"]["uid"], asked)
            # Its containers ended between the two moments; the scrape in which they did has no sample of them any more, and
            # the one before it is less than two scrapes old.
            found.whole.sampled = max(found.whole.sampled, leaf.ended - asked + 2 * SCRAPE_SECONDS)
    before = [leaf for leaf in found.whole.leaves.values() if made[leaf.pod or ""] < start - SECOND]
    stopped = [leaf.ended for leaf in before if leaf.ended is not None]
    begun = [at for at in made.values() if at >= start - SECOND]
    found.whole.idle = [(max(stopped), min(begun))] if stopped and begun else []
    return found


def deleted(pod: Object) -> float | None:
    """When the deletion of a pod was asked for; None if it was not."""
    meta = pod["metadata"]
    at = unix(meta.get("deletionTimestamp"))
    return None if at is None else at - float(meta.get("deletionGracePeriodSeconds") or 0)


def job_run(raw: Object, pods: Sequence[Object], workflow: str) -> Truth:
    """A Job: each index is an item, a later pod of it the next attempt; without indexes pods cannot be
    distinguished."""
    done = {"Complete": "Succeeded", "Failed": "Failed"}
    over: Object = next(
        (c for c in raw["status"].get("conditions") or () if c["type"] in done and c["status"] == "True"), {}
    )
    outcome = done.get(over.get("type", ""), "Running")
    found = Truth(workflow, raw["metadata"]["name"], outcome)
    indexed = raw["spec"].get("completionMode") == "Indexed"
    several = (
        raw["spec"].get("completions") or raw["spec"].get("parallelism") or 1
    ) > 1  # without completions: a queue
    found.alike = not indexed
    for position, pod in enumerate(_pods_of_job(found.run, pods)):
        index = (
            pod["metadata"].get("annotations", {}).get("batch.kubernetes.io/job-completion-index") if indexed else None
        )
        item = index if indexed else (str(position) if several else None)
        attempt = sum(1 for k in found.leaves if k[1] == item)
        before = frozenset({("job", item, attempt - 1)}) if attempt else frozenset[Key]()
        leaf = _pod_leaf(pod, "job", item, attempt, before)
        if leaf.ended is None:  # deleted while it ran: the Job is over once all its pods are gone
            leaf.ended = unix(over.get("lastTransitionTime"))
        found.add(leaf)
    return found


def set_run(raw: Object, pods: Sequence[Object], workflow: str) -> Truth:
    """A JobSet: each replicated Job is a step, its replica and completion index the item."""
    outcome = {"Completed": "Succeeded", "Failed": "Failed"}.get(raw["status"].get("terminalState", ""), "Running")
    name = raw["metadata"]["name"]
    ready = [d for part in raw["spec"]["replicatedJobs"] for d in part.get("dependsOn") or () if d["status"] == "Ready"]
    found = Truth(workflow, name, outcome, early=_in_order(raw["spec"]) or bool(ready))
    leaves: dict[str, list[Key]] = {}
    rows: list[tuple[Object, str, str]] = []
    for part in raw["spec"]["replicatedJobs"]:
        for replica in range(part.get("replicas", 1)):
            for pod in _pods_of_job(f"{name}-{part['name']}-{replica}", pods):
                index = pod["metadata"].get("annotations", {}).get("batch.kubernetes.io/job-completion-index")
                indexed = part["template"]["spec"].get("completionMode") == "Indexed"
                item = f"{replica} / {index}" if indexed else str(replica)
                earlier = sum(1 for _, own, _ in leaves.get(part["name"], ()) if own == item)
                rows.append((pod, part["name"], item))
                leaves.setdefault(part["name"], []).append((part["name"], item, earlier))
    waits, serving = _waits(raw["spec"])
    for pod, step, item in rows:
        before = frozenset(k for d in waits[step] for k in leaves.get(d, ()))
        attempt = sum(1 for k in found.leaves if k[:2] == (step, item))
        if attempt:
            before = frozenset({(step, item, attempt - 1)})
        found.add(_pod_leaf(pod, step, item, attempt, before))
    for key, leaf in found.leaves.items():
        begun = [o.begun for o in found.leaves.values() if key in o.before and o.begun is not None]
        if leaf.step in serving and begun:
            found.free[key] = min(*begun, leaf.ended or min(begun))
    return found


def _waits(spec: Object) -> tuple[dict[str, list[str]], set[str]]:
    """The replicated Jobs that each waits for, and those that are only awaited Ready and need not end. One that has to
    end for the set to succeed is awaited by the set alone."""
    parts = spec["replicatedJobs"]
    policy = spec.get("successPolicy") or {}
    targets = policy.get("targetReplicatedJobs") or [p["name"] for p in parts]
    needed = set(targets) if policy.get("operator", "All") == "All" else set()
    waits: dict[str, list[str]] = {}
    serving: set[str] = set()
    for at, part in enumerate(parts):
        pairs = [(d["name"], d["status"]) for d in part.get("dependsOn") or ()]
        if at and _in_order(spec):
            pairs.append((parts[at - 1]["name"], "Ready"))
        waits[part["name"]] = [name for name, status in pairs if status == "Complete" or name not in needed]
        serving |= {name for name, status in pairs if status == "Ready" and name not in needed}
    return waits, serving


def _in_order(spec: Object) -> bool:
    return (spec.get("startupPolicy") or {}).get("startupPolicyOrder") == "InOrder"
