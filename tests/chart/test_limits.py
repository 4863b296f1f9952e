"""The largest resources the schemas allow, all at once: the API server takes them, and the operator stays within bounds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.services.prometheus import PrometheusServer
from tests.support.chart.bed import Bed, deployed, source
from tests.support.chart.place import CRONJOBS, FAST, REF, get, namespaces, state, with_recommendations
from tests.support.cluster.operator_bed import apply, cronjob, history, policy, profile, runs_of_cronjob, wait_for

pytestmark = pytest.mark.timeout(600)

LABEL = "l" * 63
LONG = "n" * 63


def bound(bed: Bed, kind: str, *path: str) -> dict[str, Any]:
    """The schema at ``path`` of a kind's spec, as the API server has it."""
    node = bed.cluster.get("crd", f"{kind}.concertmaster.dev")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    node = node["properties"]["spec"]
    for part in path:
        node = node["items"] if part == "[]" else node["properties"][part]
    return dict(node)


def widest_graph(steps: int) -> dict[str, Any]:
    """As many steps as allowed, every one waiting for as many of those before it as allowed."""
    return {
        "podRunLabel": "example.com/run",
        "steps": [
            {
                "name": f"s{i}",
                "podSelector": {"matchLabels": {"app": LABEL, "step": f"s{i}"}},
                "dependsOn": [f"s{j}" for j in range(max(0, i - 20), i)],
            }
            for i in range(steps)
        ],
    }


def hungry_queries(count: int, length: int) -> list[dict[str, Any]]:
    """As many queries as allowed, as long as allowed, of the most expensive shape the guard lets through."""
    selector = 'kube_pod_info{pod=~"(a|b|c|d|e|f)*.*.*.*x"}'
    head, tail = "sum by (run) (last_over_time(", "[$window]))"
    found = []
    for i in range(count):
        alternatives = "|".join(f"p{i}x{k}" for k in range((length - len(head) - len(tail) - len(selector)) // 10))
        body = selector.replace("(a|b|c|d|e|f)", f"({alternatives})")
        found.append({"name": f"q{i}", "query": f"{head}{body[: length - len(head) - len(tail)]}{tail}"})
    return found


def test_the_largest_resources_are_borne(
    bed: Bed, tmp_path: Path, make_prometheus: Callable[..., PrometheusServer]
) -> None:
    with namespaces(bed, "limits") as (place,):
        end = time.time() - 30.0
        prometheus = make_prometheus(history=history(*runs_of_cronjob(place, "etl", 30, end), end))
        bed.install("cm", place, {"sources": [source(prometheus.url)], "config": FAST})
        most_steps = bound(bed, "workflowprofiles", "graph", "steps")["maxItems"]
        queries = bound(bed, "workflowprofiles", "extraMetrics")["maxItems"]
        longest = bound(bed, "workflowprofiles", "extraMetrics", "[]", "query")["maxLength"]
        dismissals = bound(bed, "workflowprofiles", "dismissals")["maxItems"]
        reason = bound(bed, "workflowprofiles", "dismissals", "[]", "reason")["maxLength"]
        huge = [profile(place, f"graph-{i}", graph=widest_graph(most_steps)) for i in range(3)]
        hungry = [
            profile(place, f"hungry-{i}", workflowRef=REF, extraMetrics=hungry_queries(queries, longest))
            for i in range(5)
        ]
        verbose = profile(
            place,
            LONG,
            workflowRef=REF,
            dismissals=[{"recommendation": f"timeout.s{i}", "reason": "r" * reason} for i in range(dismissals)],
        )
        wide = policy(place, "widest", discover=CRONJOBS, analysis={"window": "365d", "minRuns": 2, "maxRuns": 1000})
        longest_window = bound(bed, "optimizationpolicies", "analysis", "window")
        assert longest_window["pattern"], "the window has a pattern that bounds its digits"
        bed.cluster.apply(*huge, *hungry, verbose)
        wanted = bed.cluster.run_kubectl("apply", "-f", "-", input=_json(wide))
        if wanted.returncode != 0:  # the schema refuses so long a window: then the longest it names
            wide["spec"]["analysis"] = {"window": "90d", "maxRuns": 200}
            apply(bed.cluster, wide)
        apply(bed.cluster, cronjob(place, "etl"), profile(place, "modest", workflowRef=REF))
        with deployed(bed, "cm", place, tmp_path) as op:
            begin = time.monotonic()
            wait_for("the modest one's recommendations", lambda: with_recommendations(bed, place, "modest"))
            wait_for("every profile to have a condition", lambda: all(
                state(bed, place, p["metadata"]["name"]) for p in bed.cluster.get("wfp", "-n", place)["items"]
            ))  # fmt: skip
            (cycle,) = op.next_cycles(1)
            took = time.monotonic() - begin
            assert op.get("/healthz")[0] == 200
            print(f"{took:.0f} s, {op.rss():.0f} MiB, longest cycle {max(c['seconds'] for c in op.cycles()):.1f} s")
            assert op.rss() < 300
            assert cycle["seconds"] < 60
            extra = [c["queries"] for c in op.cycles()]
            assert max(extra) <= 15 * 60 + 100, (
                "backfill in pieces, and no more than extraQueriesPerCycle of users' own"
            )
        for item in bed.cluster.get("wfp", "-n", place)["items"]:
            assert len(_json(item.get("status") or {})) <= 20_000
        assert get(bed, "wfp", place, "modest")["status"]["runs"]["observed"] == 30


def _json(value: Any) -> str:

    return json.dumps(value)


@pytest.mark.parametrize(
    "spec",
    [
        {"graph": widest_graph(2000)},
        {"workflowRef": REF, "extraMetrics": hungry_queries(400, 500)},
        {"workflowRef": {**REF, "name": "x" * 300}},
        {"workflowRef": REF, "dismissals": [{"recommendation": "a.b", "reason": "r" * 100_000}]},
    ],
    ids=["steps", "queries", "name", "reason"],
)
def test_what_is_larger_is_refused_by_the_api_server(bed: Bed, spec: dict[str, Any]) -> None:
    with namespaces(bed, "larger") as (place,):
        bed.install("cm", place, {"sources": [source("http://127.0.0.1:9")]})
        answer = bed.cluster.run_kubectl("apply", "--server-side", "-f", "-", input=_json(profile(place, "p", **spec)))
        assert answer.returncode != 0
        assert "Too long" in answer.stderr or "must have at most" in answer.stderr or "invalid" in answer.stderr.lower()
