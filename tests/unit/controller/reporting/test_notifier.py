"""Who is notified of what: by the policy in force, to receivers its namespace may use, and once a week."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from concertmaster.api.conditions import ConditionType, ConditionUpdate, Reason
from concertmaster.controller.live.live_runs import LiveRunsReport
from concertmaster.controller.profiles.request import AnalysisRequest, ProfileAnalysis
from concertmaster.controller.reporting.notifier import Notifier, digest_text
from concertmaster.core.model.enums import NotifyEvent
from concertmaster.history import HistoryFull
from concertmaster.kube.events import EventType, Note
from concertmaster.kube.objects import NAMESPACES, POLICIES, PROFILES, ObjectRef
from concertmaster.notify.messages import Message
from concertmaster.settings import Receiver
from tests.support.controller.harness import Bed
from tests.support.controller.in_progress import KEY, ended, going

DAY = 86_400.0
TEAM = Receiver(name="team", url_file="/url")
OPS = Receiver(name="ops", url_file="/url", namespace_selector={"matchLabels": {"tier": "ops"}})  # type: ignore[arg-type]


@dataclass
class FakeSender:
    offered: list[tuple[str, Message]] = field(default_factory=list)

    def offer(self, name: str, message: Message) -> None:
        self.offered.append((name, message))


class Harness:
    """A bed whose cycle tells a sender."""

    def __init__(self) -> None:
        self.sender, self.digests = FakeSender(), dict[str, float]()
        self.notifier = Notifier(
            [TEAM, OPS],
            self.sender,
            lambda: self.bed.now,
            last=self.digests.get,
            sent=self.digests.__setitem__,  # type: ignore[arg-type]
        )
        self.bed = Bed(notifier=self.notifier)
        self.bed.cronjob()
        self.bed.profile()
        self.bed.history.runs_of["etl"] = [ended(n) for n in range(20)][::-1]

    def reported(self) -> list[tuple[str, NotifyEvent, str]]:
        found = [(name, m.event, m.subject) for name, m in self.sender.offered]
        self.sender.offered.clear()
        return found

    def late_run(self) -> None:
        self.bed.live.seen = [LiveRunsReport(running={KEY: (going(4 * 3600.0),)})]
        self.bed.run(seconds=60.0)


@pytest.fixture
def harness() -> Harness:
    return Harness()


def test_a_late_run_reaches_the_receiver_of_the_policy_in_force(harness: Harness) -> None:
    harness.bed.policy(notify=[{"receiver": "team"}])
    harness.bed.run()
    harness.late_run()
    assert harness.reported() == [("team", NotifyEvent.RUN_LATE, "etl-now")]
    harness.late_run()
    assert harness.reported() == []


def test_without_a_policy_that_asks_nobody_is_reported(harness: Harness) -> None:
    harness.bed.policy()
    harness.bed.run()
    harness.late_run()
    assert harness.reported() == []


def test_only_events_that_were_asked_for_are_reported(harness: Harness) -> None:
    harness.bed.policy(notify=[{"receiver": "team", "events": ["RolledBack", "ApprovalRequired"]}])
    harness.bed.run()
    harness.late_run()
    assert harness.reported() == []
    uid = next(e.uid for e in harness.bed.cache.snapshot().profiles)
    ref = ObjectRef(PROFILES, "demo", "etl", uid)
    for reason in ("ChangeRolledBack", "ApprovalRequired", "ChangeApplied", "Missed"):
        harness.notifier.note(Note(ref, EventType.WARNING, reason, "etl-7f: because of that"))
    assert harness.reported() == [
        ("team", NotifyEvent.ROLLED_BACK, "etl-7f"),
        ("team", NotifyEvent.APPROVAL_REQUIRED, "etl-7f"),
    ]


def test_each_step_of_a_change_is_reported_by_default(harness: Harness) -> None:
    harness.bed.policy(notify=[{"receiver": "team"}])
    harness.bed.run()
    uid = next(e.uid for e in harness.bed.cache.snapshot().profiles)
    for reason in ("ChangeApplied", "ChangeKept", "ChangeRolledBack", "ChangeOrphaned", "ChangeConflict"):
        note = Note(ObjectRef(PROFILES, "demo", "etl", uid), EventType.NORMAL, reason, "etl-7f: because of that")
        harness.notifier.note(note)
    assert harness.reported() == [
        ("team", event, "etl-7f")
        for event in (NotifyEvent.APPLIED, NotifyEvent.KEPT, NotifyEvent.ROLLED_BACK, NotifyEvent.ORPHANED)
    ]


def test_a_regression_and_a_missed_objective_are_reported_once_they_are_in_the_status(harness: Harness) -> None:
    """From the analysis over the written status to the receiver, with the Events in between."""
    harness.bed.policy(notify=[{"receiver": "team", "events": ["Degraded", "ObjectiveMissed"]}])
    harness.bed.run()
    well = harness.bed.analyzer

    def worse(request: AnalysisRequest) -> ProfileAnalysis:
        found = well(request)
        slower = [{"id": "degradation.job", "action": "Investigate regression in job"}]
        missed = ConditionUpdate(ConditionType.OBJECTIVES_MET, False, Reason.MISSED, "duration p95 is 2h, target 1h")
        return replace(found, document={**found.document, "recommendations": slower}, objectives=missed)

    harness.bed.analyze = worse
    harness.bed.history.runs_of["etl"] += [ended(-n) for n in (2, 3, 4)]
    harness.bed.sources.changed.add(KEY)
    harness.bed.run(seconds=4 * 3600.0)
    told = harness.reported()
    assert sorted((name, event) for name, event, _ in told) == [
        ("team", NotifyEvent.DEGRADED),
        ("team", NotifyEvent.OBJECTIVE_MISSED),
    ]
    harness.bed.run(seconds=60.0)
    assert harness.reported() == []


def test_a_receiver_the_namespace_may_not_use_is_not_reported_and_the_policy_says_so(harness: Harness) -> None:
    harness.bed.policy(notify=[{"receiver": "ops"}, {"receiver": "nobody"}])
    harness.bed.run()
    harness.late_run()
    assert harness.reported() == []
    message = harness.bed.message("Ready", POLICIES, "team")
    assert "namespace demo may not use receiver ops" in message
    assert "nobody is no receiver of the operator's configuration (it has: ops, team)" in message
    harness.bed.client.put(NAMESPACES, None, "demo", metadata={"labels": {"tier": "ops"}})
    harness.bed.run(seconds=60.0)
    assert "may not use" not in harness.bed.message("Ready", POLICIES, "team")


def test_the_digest_comes_once_a_week_from_monday_on(harness: Harness) -> None:
    harness.bed.policy(notify=[{"receiver": "team"}])
    harness.bed.run()  # a Thursday: nothing of a week to tell yet
    days = []
    for day in range(1, 16):
        harness.bed.run(seconds=DAY)
        days += [day for _ in harness.reported()]
    assert days == [4, 11]  # Mondays; the clock stands at 08:53 UTC


def test_a_history_that_does_not_keep_when_a_digest_was_sent_costs_no_status(harness: Harness) -> None:
    """A full disk, or a database server that is away: one policy with a digest must not end the cycle of all."""
    harness.bed.policy(notify=[{"receiver": "team", "events": ["WeeklyDigest"]}])

    def full(_uid: str, _at: float) -> None:
        raise HistoryFull("no space left")

    harness.notifier._sent = full
    harness.bed.run()
    assert harness.bed.status(POLICIES, "team")["conditions"]
    assert harness.reported() == []


def test_the_digest_says_what_the_policy_s_status_says() -> None:
    status: dict[str, Any] = {
        "matchedProfiles": 14,
        "changesInFlight": 2,
        "totals": {"recommendations": 9, "workflows": 7, "moneyPerMonth": "124 USD", "runHoursPerMonth": "210"},
        "top": [f"demo/w{n}: do this" for n in range(8)],
    }
    assert digest_text(status).splitlines() == [
        "14 workflows, 9 open recommendations for 7 of them; 2 changes under verification.",
        "Savings available per month: 124 USD, 210 run-hours.",
        *(f"- demo/w{n}: do this" for n in range(5)),
    ]
    assert digest_text({}).startswith("0 workflows")
    assert digest_text({"matchedProfiles": 3}) == "3 workflows, none analyzed yet; 0 changes under verification."
    unread = {"type": "MetricsAvailable", "status": "False", "message": "source default cannot be reached"}
    known = {"type": "Ready", "status": "True", "message": "in force as written"}
    written = digest_text({**status, "conditions": [known, unread]}).splitlines()
    assert written.pop(2) == "MetricsAvailable is False: source default cannot be reached."
    assert written == digest_text(status).splitlines()


def test_the_digest_counts_one_as_one_and_leaves_out_sums_of_nothing() -> None:
    totals = {"recommendations": 1, "workflows": 1, "runHoursPerMonth": "1", "failedRunsPerMonth": "0"}
    assert digest_text({"matchedProfiles": 1, "changesInFlight": 1, "totals": totals}).splitlines() == [
        "1 workflow, 1 open recommendation for 1 of them; 1 change under verification.",
        "Savings available per month: 1 run-hour.",
    ]
    nothing = {"recommendations": 0, "runHoursPerMonth": "0", "failedRunsPerMonth": "0", "workflows": 0}
    assert len(digest_text({"matchedProfiles": 2, "totals": nothing}).splitlines()) == 1
