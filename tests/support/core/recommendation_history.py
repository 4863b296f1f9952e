"""A workflow with a history: recommendations that were partly implemented, dismissed, or removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from concertmaster.core.changes.ledger import Ledger, LedgerEntry
from concertmaster.core.lifecycle import commands
from concertmaster.core.lifecycle.history import (
    ImplementationResult,
    RecommendationHistory,
    RelativeEffect,
    TrackedRecommendation,
)
from concertmaster.core.lifecycle.implementation import Field
from concertmaster.core.model.enums import RecommendationState, Verdict
from concertmaster.report.result import current
from concertmaster.report.status.document import document
from tests.support.builders import DAY, NOW
from tests.support.core.cases import cases


def lived() -> dict[str, object]:
    """Its status."""
    case = next(c for c in cases() if c.name == "over-requested")
    result = replace(case, name="lived").analysed()
    path = "/spec/templates/{}/container/resources/requests/{}"
    cheaper = RelativeEffect("Cost", -0.3, -0.35, -0.25)

    def standing(
        id_: str, state: RecommendationState, days: float, words: Mapping[str, str], **more: object
    ) -> TrackedRecommendation:
        reported = {"effort": "Low", "risk": "Low", "severity": "Medium", **words}
        found = TrackedRecommendation(id_, state, NOW - days * DAY, reported, cheaper)
        return replace(found, **more)  # type: ignore[arg-type]

    load = (Field(path.format("load", "memory"), "2Gi", "832Mi"),)
    limit = (Field("/spec/parallelism", "2", "6"),)
    faster = RelativeEffect("Duration", -0.2, -0.25, -0.15)
    lower = {
        "action": "Lower the memory request of load from 2Gi to 832Mi",
        "because": "the largest peak in 30 runs (14d) was 754Mi, 37% of the request",
        "category": "Cost",
        "current": "2Gi",
        "expected": "1.2Gi less reserved for 50s of pod time in each run",
        "how": commands.explain("lived", "demo", "memory-request.load"),
        "proposed": "832Mi",
    }
    wider = {
        "action": "Raise the limit of parallel pods from 2 to 6",
        "because": "the limit held 4 pods back in 30 of 30 runs (14d)",
        "category": "Performance",
        "current": "2",
        "expected": "each run 15 to 25% shorter, likely 20% (1m23s)",
        "how": commands.explain("lived", "demo", "parallelism"),
        "proposed": "6",
    }
    limited = {
        "action": "Set a time limit of 12m for load",
        "because": "1 of 30 executions hung, the longest for 2h10m, where the others took 54s at most (14d)",
        "category": "Reliability",
        "current": "no limit",
        "expected": "a hang ends after 12m instead of 2h10m",
        "how": commands.explain("lived", "demo", "timeout.load"),
        "proposed": "12m",
    }
    cached = {
        "action": "Cache the results of extract",
        "because": "20 of 30 runs (14d) had inputs seen before",
        "category": "Performance",
        "current": "no cache",
        "expected": "each run 10% shorter (41s)",
        "how": commands.explain("lived", "demo", "cache-step.extract"),
        "proposed": "a cache by inputs",
    }
    gone = "condition cleared in recent runs"
    decision = "we watch it by hand, until 2025-12-01T00:00:00Z"
    unknown = RelativeEffect("Failures")
    tracked = (
        *(
            TrackedRecommendation(g.id, RecommendationState.ACTIVE, NOW - 2 * DAY, g.words, g.promised)
            for g in current(result)[:2]
        ),
        standing("memory-request.load", RecommendationState.IMPLEMENTED, 1, lower, fields=load),
        standing("parallelism", RecommendationState.IMPLEMENTED, 9, wider, fields=limit, promised=faster),
        standing("timeout.load", RecommendationState.DISMISSED, 4, limited, promised=unknown, dismissal=decision),
        standing(
            "cache-step.extract",
            RecommendationState.OBSOLETE,
            3,
            cached,
            promised=RelativeEffect("Duration", -0.1),
            note=gone,
        ),
    )
    outcomes = (
        ImplementationResult(
            "memory-request.load",
            lower["action"],
            "kustomize-controller",
            NOW - DAY,
            load,
            cheaper,
            "9f2c41d07be3",
            RelativeEffect("Cost", -0.28, -0.31, -0.25),
            before=30,
            after=2,
        ),
        ImplementationResult(
            "parallelism",
            wider["action"],
            "kubectl-edit",
            NOW - 9 * DAY,
            limit,
            faster,
            None,
            RelativeEffect("Duration", -0.18, -0.22, -0.14),
            Verdict.IMPROVED,
            NOW - 4 * DAY,
            30,
            12,
        ),
    )
    ledger = Ledger(
        LedgerEntry("demo/x", "memory-request", Verdict.IMPROVED, NOW, -0.3, -0.27 if i < 12 else 0.05, -0.4, -0.25)
        for i in range(14)
    )
    records = {"memory-request": str(ledger.record("memory-request", "demo/lived"))}
    memory = RecommendationHistory(tracked, outcomes)
    return document(result, memory, policy="OptimizationPolicy/team-data", data_until=NOW, records=records)
