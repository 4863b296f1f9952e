"""Hostile objects beside healthy workflows: do these still get recommendations, and does the operator stay within its
memory limit?"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.chaos.bed import HEALTHY, LIMIT, Bed, Operator, operator, started
from benchmarks.chaos.corpus import corpus, victim
from benchmarks.chaos.crowds import bulk, children, pods
from benchmarks.chaos.objects import ARGO, SPACE, TEKTON
from benchmarks.scale.fleet_workflows import NAMESPACE

_PATIENCE = 420.0  # seconds for the operator to publish recommendations for all healthy workflows
_LEFT_OUT = re.compile(r"note: |left out|ignored|cannot|only the first|no workflow|only starts|does not|larger|nested")
KINDS = [
    {"apiVersion": api, "kind": kind}
    for api, kind in (
        (ARGO, "WorkflowTemplate"),
        (ARGO, "ClusterWorkflowTemplate"),
        (ARGO, "CronWorkflow"),
        (TEKTON, "Pipeline"),
        ("batch/v1", "CronJob"),
    )
]


def measure(seed: int = 1) -> dict[str, Any]:
    """Run the campaign. ``seed`` has no effect: the corpus is fixed."""
    del seed
    with started(discover=KINDS) as bed:
        with operator(bed, name="healthy") as op:
            alone = _until_recommended(bed, op)
        bed.cluster.kubectl("delete", "wfp", "--all", "-n", NAMESPACE)
        accepted, refused, crowds = _plant(bed)
        with operator(bed, name="poisoned") as op:
            poisoned = _until_recommended(bed, op)
            poisoned["later_cycles_s"] = [c["seconds"] for c in op.wait_cycles(3, 300)]
            poisoned["peak_before_bulk_mib"] = op.memory()["peak_rss_mib"]
            large = sum(bed.create(item.path, item.body)[0] == 201 for item in bulk())
            poisoned["with_bulk_s"] = [c["seconds"] for c in op.wait_cycles(3, 400)]
            poisoned |= _survival(op)
            sums = _by_result(bed)
    return {
        "healthy": HEALTHY,
        "limit_mib": LIMIT >> 20,
        "hostile": accepted,
        "refused_by_api_server": refused,
        "children": crowds,
        "bulk": large,
        "alone": alone,
        "poisoned": poisoned,
        "said": sums,
    }


def _plant(bed: Bed) -> tuple[int, dict[str, int], dict[str, int]]:
    """Create all hostile objects; returns the number of accepted objects, the status codes of the others, and the numbers
    of children."""
    bed.namespace(SPACE)
    bed.cluster.apply(victim(), namespace=SPACE)
    refused: dict[str, int] = {}
    accepted = 0
    for item in corpus():
        status, text = bed.create(item.path, item.body, item.status)
        accepted += status == 201
        if status != 201:
            refused[item.name] = status
            print(f"  {item.name}: {status} {text[:150]}", flush=True)
    with ThreadPoolExecutor(8) as pool:
        made = sum(status == 201 for status, _ in pool.map(lambda c: bed.create(*c), children()))
        sent = list(pool.map(lambda p: bed.create(p.path, p.body, p.status), pods()))
    crowd = sum(status == 201 for status, _ in sent)
    print(f"  {accepted} hostile objects, {made} TaskRuns, {crowd} pods {sent[-1]}", flush=True)
    return (
        accepted,
        refused,
        {"TaskRuns": made - 2, "pods": crowd - 1},
    )  # without a Pipeline, its PipelineRun and the Job


def _until_recommended(bed: Bed, op: Operator) -> dict[str, Any]:
    """Wait until every healthy workflow has a score: cycles, seconds, and liveness probes that failed meanwhile."""
    failed = 0
    while (
        (done := bed.with_recommendations()) < HEALTHY
        and time.monotonic() - op.began < _PATIENCE
        and op.process.running
    ):
        failed += not op.alive()
        time.sleep(1)
    cycles = op.cycles()
    return {
        "advised": done,
        "seconds": round(time.monotonic() - op.began),
        "cycles": cycles_until(analyzed(bed.profiles()), cycles),
        "failed_probes": failed,
        "longest_cycle_s": round(max((c["seconds"] for c in cycles), default=0.0), 1),
        **op.memory(),
    }


def analyzed(profiles: Iterable[Mapping[str, Any]]) -> str:
    """When the last of these profiles was analyzed, to the second; empty while one is not."""
    found = []
    for item in profiles:
        conditions = (item.get("status") or {}).get("conditions") or ()
        ready = next((c for c in conditions if c["type"] == "Ready" and c["status"] == "True"), None)
        if ready is None:
            return ""
        found.append(str(ready["lastTransitionTime"]))
    return max(found, default="")


def cycles_until(moment: str, ended: Sequence[Mapping[str, Any]]) -> int:
    """The number of the cycle in which that was: a status is written before the log line of its cycle, and the next cycle
    may have begun when somebody looks. Where the moment is not known, of the cycle under way at the most."""
    return 1 + (sum(str(cycle["ts"])[:19] < moment[:19] for cycle in ended) if moment else len(ended))


def _survival(op: Operator) -> dict[str, Any]:
    usage = op.usage()
    return {
        "restarts": 0 if op.process.running else 1,
        "ready": op.alive(),
        "failed_cycles": sum("failed as a whole" in str(line.get("msg")) for line in op.lines()),
        "oom_kills": usage.oom_kills if usage is not None else None,
        **op.memory(),
    }


def _by_result(bed: Bed) -> dict[str, int]:
    """Profiles of hostile objects by result: accepted completely, with reported problems, without any status."""
    found = {"analyzed": 0, "explained": 0, "mute": 0}
    for item in bed.profiles(SPACE):
        found[_verdict(item)] += 1
    return found


def _verdict(item: Mapping[str, Any]) -> str:
    conditions = {c["type"]: c for c in (item.get("status") or {}).get("conditions") or ()}
    if any(_LEFT_OUT.search(c["message"]) for c in conditions.values()):
        return "explained"
    return "analyzed" if conditions else "mute"


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The section of the page."""
    alone, poisoned, sums, crowds = found["alone"], found["poisoned"], found["said"], found["children"]
    yield f"### Poison corpus: {found['hostile']} hostile objects beside {found['healthy']} healthy workflows"
    yield ""
    yield "| | healthy alone | with the corpus |"
    yield "|---|---|---|"
    for name, key in (
        ("healthy workflows with recommendations", "advised"),
        ("cycles until then", "cycles"),
        ("seconds until then", "seconds"),
        ("failed liveness probes", "failed_probes"),
        ("peak memory, MiB", "peak_rss_mib"),
    ):
        yield f"| {name} | {alone[key]} | {poisoned[key]} |"
    ends = ", ".join(str(poisoned[key]) for key in ("restarts", "oom_kills", "failed_cycles"))
    yield f"| restarts, OOM kills, failed cycles | - | {ends} |"
    yield ""
    pods_too = f", a Job with {crowds['pods']:,} pods" if "pods" in crowds else ""
    later, bulky = (max(poisoned[k], default=0.0) for k in ("later_cycles_s", "with_bulk_s"))
    yield (
        f"The operator ran in a control group of {found['limit_mib']} MiB. Beside them: a PipelineRun with"
        f" {crowds['TaskRuns']:,} TaskRuns{pods_too}; at the end {found['bulk']} templates of 1.2 MB each. Later cycles took"
        f" up to {later:.1f} s, with the large templates {bulky:.1f} s. Of the profiles of hostile objects"
        f" {sums['analyzed']} were analyzed as they are, {sums['explained']} name what is left out or wrong, {sums['mute']}"
        " say nothing."
    )
