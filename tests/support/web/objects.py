"""WorkflowProfiles and WorkflowChanges as returned by the API server, for pages and reports."""

from __future__ import annotations

from typing import Any

Raw = dict[str, Any]

# Names and texts of an attacker: each must be rendered as text, wherever it appears.
HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "'><svg onload=document.title='owned'>",
    "javascript:document.title='owned'",
    "</textarea></pre></style><script>document.title='owned'</script>",
    "{{ 7919 * 7907 }}{% raw %}${7919*7907}",
    "&lt;script&gt;\u202e\x00",
)


def recommendation(number: int = 0, **overrides: object) -> Raw:
    """An Active recommendation of a status."""
    return {
        "action": "Right-size CPU request of transform: 2 -> 1150m",
        "because": "transform used at most 1 core of 2 in 30 runs (14d)",
        "category": "Cost",
        "confidence": "90",
        "current": "transform/main cpu 2",
        "effort": "Low",
        "expected": "2 core-hours less reserved per run (12.5 USD a month)",
        "how": "kubectl -n etl patch workflowtemplate nightly --type=json -p '[]'",
        "id": f"right-size.s{number}",
        "impact": "12.5 USD (10 to 15) a month",
        "proposed": "transform/main cpu 1150m",
        "risk": "Low",
        "severity": "Medium",
        "state": "Active",
        **overrides,
    }


def profile(number: int = 0, *, namespace: str = "etl", name: str | None = None, **status: object) -> Raw:
    """A profile with an analysis."""
    name = name or f"nightly-{number}"
    return {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "WorkflowProfile",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{namespace}-{name}",
            "labels": {"team": "data" if number % 2 == 0 else "ml"},
        },
        "spec": {"workflowRef": {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "name": name}},
        "status": {
            "advice": ["1 recommendation from 30 runs in 14d, worth 12.5 USD a month in total."],
            "conditions": [{"type": "Ready", "status": "True", "reason": "Analysed", "message": "analysed"}],
            "dataUntil": "2027-01-31T00:40:00Z",
            "insights": ["The next run will take about 21m04s"],
            "minor": 2,
            "objectives": ["duration p95: Met, 7m11s (target <= 10m00s), steady"],
            "recommendations": [recommendation()],
            "runs": {
                "failed": 1,
                "firstStart": "2027-01-17T00:00:00Z",
                "lastEnd": "2027-01-31T00:00:00Z",
                "nextExpected": "2027-02-01T00:00:00Z",
                "observed": 29,
                "succeeded": 28,
                "unknown": 0,
            },
            "score": 74,
            "scoreParts": ["success: 38 of 40, 97% of 30 runs"],
            "steps": ["transform: 30 executions; mean 4m10s"],
            "summary": {
                "costPerMonth": "30",
                "costPerRun": "0.5",
                "impact": 12,
                "open": 1,
                "p50": "20m00s",
                "p95": "34m10s",
                "runsPerMonth": "60",
                "successPercent": "96.7",
                "target": f"WorkflowTemplate/{name}",
                "top": "Right-size CPU request of transform: 2 -> 1150m",
            },
            **status,
        },
    }


def running(**overrides: object) -> Raw:
    """A run in progress with the forecast of its end."""
    return {
        "deadline": "2027-01-31T00:50:00Z",
        "earliestEnd": "2027-01-31T01:00:00Z",
        "expectedEnd": "2027-01-31T01:10:00Z",
        "late": False,
        "latestEnd": "2027-01-31T01:20:00Z",
        "name": "nightly-x7k2p",
        "startTime": "2027-01-31T00:00:00Z",
        "step": "transform",
        **overrides,
    }


def result(**overrides: object) -> Raw:
    """An implemented recommendation with a measured effect."""
    return {
        "action": "Lower the memory request of transform",
        "by": "kustomize-controller",
        "id": "right-size.transform",
        "measured": "Cost -50% (-60 to -40%)",
        "promised": "Cost -55% (-60 to -50%)",
        "since": "2027-01-20T00:00:00Z",
        "verdict": "Improved",
        **overrides,
    }


def change(number: int = 0, *, namespace: str = "etl", profile: str = "nightly-0", **status: object) -> Raw:
    """A change that waits for approval."""
    return {
        "apiVersion": "concertmaster.dev/v1alpha1",
        "kind": "WorkflowChange",
        "metadata": {"name": f"change-{number}", "namespace": namespace, "creationTimestamp": "2027-01-30T00:00:00Z"},
        "spec": {"profileRef": {"name": profile}, "recommendation": "right-size.transform", "planDigest": "0" * 64},
        "status": {
            "phase": "Proposed",
            "plan": {"patch": '[{"op":"replace","path":"/spec/parallelism","value":8}]'},
            "predicted": {"measure": "Cost", "likely": "-15.2", "text": "12 to 19% cheaper"},
            "conditions": [
                {"type": "Approved", "status": "False", "reason": "Waiting", "message": "waits for approval"}
            ],
            **status,
        },
    }


def hostile() -> list[Raw]:
    """Profiles whose texts are all hostile, one profile per attack."""
    found = []
    for number, attack in enumerate(HOSTILE):
        item = recommendation() | dict.fromkeys(
            ("action", "because", "current", "expected", "how", "proposed", "severity", "risk"), attack
        )
        made = profile(number, name=f"hostile-{number}")
        made["metadata"]["labels"] = {"team": attack, attack: attack}
        made["spec"]["workflowRef"] = {"kind": attack, "name": attack}
        made["status"] |= {
            "advice": [attack],
            "insights": [attack, f"{attack} (demand-forecast)"],
            "objectives": [f"{attack[:70]}: Missed, {attack}"],
            "recommendations": [item, item | {"id": "degradation.x", "severity": "High", "risk": "Low"}],
            "results": [result(action=attack, by=attack, measured=attack, promised=attack)],
            "scoreParts": [attack],
            "steps": [attack],
            "policy": attack,
        }
        made["status"]["summary"] |= {"target": f"{attack}/{attack}", "top": attack}
        found.append(made)
    return found
