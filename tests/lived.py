"""A workflow with a past: advice that was partly followed, dismissed, or has gone."""

from __future__ import annotations

from dataclasses import replace

from concertmaster.core.followed import Field
from concertmaster.core.ledger import Ledger, Line
from concertmaster.core.lifecycle import Effect, Memory, Outcome, Standing, State
from concertmaster.core.verdict import Verdict
from tests.builders import DAY, NOW
from tests.cases import cases


def lived() -> dict[str, object]:
    """Its status."""
    case = next(c for c in cases() if c.name == "over-requested")
    advice = case.advice()
    words = {g.id: g.words for g in advice.given()}["memory-request.transform"]
    path = "/spec/templates/{}/container/resources/requests/{}"

    def standing(id_: str, action: str, state: State, days: float, because: str, **more: object) -> Standing:
        told = {**words, "action": action, "because": because, "expected": "20 % of each run", "current": "2"}
        found = Standing(id_, state, NOW - days * DAY, told, Effect("Cost", -0.3, -0.35, -0.25))
        return replace(found, **more)  # type: ignore[arg-type]

    load = (Field(path.format("load", "memory"), "2Gi", "832Mi"),)
    limit = (Field("/spec/parallelism", "2", "6"),)
    faster = Effect("Duration", -0.2, -0.25, -0.15)
    lower, wider = "Lower the memory request of load from 2Gi to 832Mi", "Raise the limit of parallel pods from 2 to 6"
    idle, held = "30 runs in 14d peaked at 790Mi", "the limit held 4 pods back in 30 of 30 runs (14d)"
    gone = "the runs no longer show what it rested on"
    decision = "we watch it by hand, until 2025-12-01T00:00:00Z"
    unknown = Effect("Cost")
    standings = (
        *(Standing(g.id, State.ACTIVE, NOW - 2 * DAY, g.words, g.promised) for g in advice.given()[:2]),
        standing("memory-request.load", lower, State.IMPLEMENTED, 1, idle, fields=load),
        standing("parallelism", wider, State.IMPLEMENTED, 9, held, fields=limit, promised=faster),
        standing(
            "timeout.load",
            "Set a time limit of 12m for load",
            State.DISMISSED,
            4,
            held,
            promised=unknown,
            dismissal=decision,
        ),
        standing("cache-step.extract", "Cache extract", State.OBSOLETE, 3, idle, note=gone),
    )
    outcomes = (
        Outcome(
            "memory-request.load",
            standings[2].words["action"],
            "kustomize-controller",
            NOW - DAY,
            load,
            standings[2].promised,
            "9f2c41d07be3",
            Effect("Cost", -0.28, -0.31, -0.25),
            before=30,
            after=2,
        ),
        Outcome(
            "parallelism",
            standings[3].words["action"],
            "kubectl-edit",
            NOW - 9 * DAY,
            limit,
            faster,
            None,
            Effect("Duration", -0.18, -0.22, -0.14),
            Verdict.IMPROVED,
            NOW - 4 * DAY,
            30,
            12,
        ),
    )
    ledger = Ledger(
        Line("demo/x", "memory-request", Verdict.IMPROVED, NOW, -0.3, -0.27 if i < 12 else 0.05, -0.4, -0.25)
        for i in range(14)
    )
    records = {"memory-request": str(ledger.record("memory-request", "demo/lived"))}
    memory = Memory(standings, outcomes)
    return advice.status(policy="OptimizationPolicy/team-data", data_until=NOW, memory=memory, records=records)
