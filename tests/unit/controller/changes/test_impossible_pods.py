"""A change that would keep the pods of the next run from being created is not made, and one that did is rolled back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from concertmaster.api.conditions import ConditionType as C
from concertmaster.controller.collection.gaps import Outages
from concertmaster.core.model import Edit, WorkflowKey
from concertmaster.core.model.enums import Verdict
from concertmaster.kube import errors
from concertmaster.kube.objects import ADMISSION, LIMIT_RANGES, PODS, RESOURCE_QUOTAS
from tests.support.controller.change_steps import HOUR, applied, later
from tests.support.controller.changes_bed import DAY, MEMORY, PROFILES, Bed, cheaper, wider
from tests.support.core.change_samples import recommended
from tests.support.core.verification_runs import run as one_run
from tests.support.resources import CRONJOB


def limit_range(bed: Bed, **row: Any) -> None:
    bed.client.put(LIMIT_RANGES, "demo", "limits", spec={"limits": [{"type": "Container", **row}]})


def quota(bed: Bed, hard: dict[str, str], used: dict[str, str]) -> None:
    bed.client.put(RESOURCE_QUOTAS, "demo", "quota", spec={"hard": hard}, status={"hard": hard, "used": used})


HARD: dict[str, Callable[[Bed], None]] = {
    "default limit": lambda bed: limit_range(bed, default={"cpu": "2"}),
    "ratio": lambda bed: limit_range(bed, default={"cpu": "8"}, maxLimitRequestRatio={"cpu": "3"}),
    "quota in use": lambda bed: quota(bed, {"requests.cpu": "10"}, {"requests.cpu": "8"}),
    "both its names": lambda bed: quota(bed, {"cpu": "9", "requests.cpu": "20"}, {"cpu": "8", "requests.cpu": "8"}),
    "its short name": lambda bed: quota(bed, {"cpu": "10"}, {"cpu": "8"}),
}


@pytest.mark.parametrize("how", HARD)
@pytest.mark.parametrize("mode", ["Auto", "Approve"])
def test_a_raise_that_would_make_pods_impossible_is_not_made(how: str, mode: str) -> None:
    bed = Bed(mode=mode)
    bed.items = [cheaper(proposed="2500m")]
    HARD[how](bed)
    if how == "ratio":
        bed.items = [cheaper(proposed="1500m")]
    bed.run()
    assert (bed.cpu(), bed.all()) == ("2", [])
    assert bed.counted("refused", check="namespace-limits") == 1.0


def test_a_limit_range_that_came_after_the_approval_holds_the_change() -> None:
    bed = Bed(mode="Approve")
    bed.items = [cheaper(proposed="2500m")]
    bed.run()
    bed.decide("Approve")
    HARD["default limit"](bed)
    bed.run()
    assert bed.cpu() == "2"
    assert "namespace-limits: cpu 2500m is above the limit 2 that LimitRange limits sets" in bed.message(C.APPLIED)


def test_a_quota_in_use_holds_back_a_higher_parallelism() -> None:
    for used, made in (("5", 0), ("4", 1)):
        bed = Bed()
        bed.cronjob(parallelism=2, completions=6)
        bed.items = [wider("2", "3")]
        quota(bed, {"requests.cpu": "10"}, {"requests.cpu": used})
        bed.run()
        assert len(bed.client.target_writes) == made


def test_the_changed_pod_is_tried_where_the_operator_may_and_a_refusal_of_it_alone_counts() -> None:
    for refused_now, made in ((False, 0), (True, 1)):
        bed = Bed()
        asked: list[str] = []

        def answer(method: str, path: str, bed: Bed = bed, asked: list[str] = asked, now: bool = refused_now) -> None:
            body = bed.client.calls[-1][2]
            if method == "POST" and path == PODS.path("demo") and body is not None:
                cpu = body["spec"]["containers"][0]["resources"]["requests"]["cpu"]
                asked.append(cpu)
                if cpu == "1500m" or now:
                    raise errors.Forbidden("policy small-pods says no", status=403)

        bed.client.trial = answer
        bed.run()
        assert asked[:2] == ["1500m", "2"]
        assert len(bed.client.target_writes) == made


def test_without_the_right_to_create_pods_none_is_tried() -> None:
    bed = Bed()
    bed.client.allows = lambda attributes: attributes["resource"] != "pods"  # type: ignore[method-assign]
    bed.run()
    assert bed.cpu() == "1500m"
    assert not [c for c in bed.client.calls if c[1] == PODS.path("demo")]


def test_where_the_trial_of_a_pod_gets_no_answer_no_other_is_tried_in_the_namespace_in_this_cycle() -> None:
    """Each of several plans waited for the time limit of a webhook that hangs."""
    bed, asked = Bed(), list[str]()
    bed.items = [cheaper(), recommended(Edit(MEMORY, "1Gi", "768Mi"), id="memory-request.job", step="job")]

    def hang(_: str, path: str) -> None:
        asked.append(path)
        raise errors.Undecided('failed calling webhook "guard": context deadline exceeded', status=500)

    bed.client.trial = hang
    for cycle in (1, 2):
        bed.run()
        assert (len(asked), bed.all()) == (cycle, [])
    bed.client.trial = lambda *_: None
    bed.run()
    assert bed.cpu() == "1500m"


WEBHOOKS = next(r for r in ADMISSION if r.kind == "ValidatingWebhookConfiguration")


def with_webhook(bed: Bed) -> None:
    """A webhook that is asked about new pods of all namespaces."""
    rule = {"apiGroups": [""], "operations": ["CREATE"], "resources": ["pods"]}
    bed.client.put(WEBHOOKS, None, "guard", webhooks=[{"name": "guard.dev", "rules": [rule]}])


def test_where_no_pod_may_be_tried_and_a_webhook_decides_a_person_is_asked() -> None:
    bed = Bed()
    bed.client.allows = lambda attributes: attributes["resource"] != "pods"  # type: ignore[method-assign]
    with_webhook(bed)
    bed.run()
    said = "new pods are up to ValidatingWebhookConfiguration guard too"
    assert (bed.cpu(), bed.one().phase) == ("2", "Proposed")
    assert said in bed.message(C.APPROVED)
    bed.run()
    assert bed.cpu() == "2"
    bed.decide("Approve")
    bed.run()
    assert bed.cpu() == "1500m"


def test_a_webhook_that_comes_while_a_change_waits_is_asked_about() -> None:
    bed = Bed(mode="Approve")
    bed.client.allows = lambda attributes: attributes["resource"] != "pods"  # type: ignore[method-assign]
    bed.run()
    assert "webhook" not in bed.message(C.APPROVED).lower()
    with_webhook(bed)
    bed.run()
    assert "new pods are up to ValidatingWebhookConfiguration guard too" in bed.message(C.APPROVED)


def test_a_webhook_is_asked_with_a_trial_where_pods_may_be_tried() -> None:
    bed = Bed()
    with_webhook(bed)
    bed.run()
    assert bed.cpu() == "1500m"
    assert not [c for c in bed.client.calls if c[1] == WEBHOOKS.path()]


def test_a_higher_parallelism_makes_no_other_pods_and_asks_nobody() -> None:
    bed = Bed()
    bed.client.allows = lambda attributes: attributes["resource"] != "pods"  # type: ignore[method-assign]
    with_webhook(bed)
    bed.cronjob(parallelism=2, completions=6)
    bed.items = [wider("2", "3")]
    bed.run()
    assert len(bed.client.target_writes) == 1


@pytest.mark.parametrize("denied", [True, False])
def test_admission_that_cannot_be_listed_changes_nothing_by_itself(denied: bool) -> None:
    bed = Bed()
    rights = {"pods"} | ({WEBHOOKS.plural} if denied else set())
    bed.client.allows = lambda attributes: attributes["resource"] not in rights  # type: ignore[method-assign]
    if not denied:
        bed.client.lists[WEBHOOKS.path()] = errors.Busy("overloaded", status=503)
    bed.run()
    assert bed.cpu() == "2"
    if denied:
        assert "admission that it may not list (validatingwebhookconfigurations)" in bed.message(C.APPROVED)
        return
    assert (bed.all(), bed.counted("refused", check="pod-admission")) == ([], 1.0)
    bed.client.lists.clear()
    bed.run()
    assert bed.cpu() == "1500m"


def test_no_run_although_some_were_due_is_a_harm_and_rolled_back() -> None:
    bed = applied()
    bed.run(HOUR)
    assert bed.one().phase == "Verifying"
    bed.run(HOUR)
    done = bed.one()
    assert (done.phase, done.verdict, bed.cpu()) == ("Completed", Verdict.WORSE, "2")
    assert "although the schedule had 2 due" in bed.message(C.VERIFIED)


def beside(bed: Bed, count: int, *, pause: tuple[float, float]) -> None:
    """Other CronJobs that nobody changed, with a run of ten minutes in each hour until now, but none in the ``pause``."""
    now = int(bed.now / HOUR)
    for number in range(count):
        name, minute = f"other-{number}", 60.0 * (7 * number % 60)
        spec = {"workflowRef": {"apiVersion": "batch/v1", "kind": "CronJob", "name": name}}
        bed.client.put(CRONJOB, "demo", name, spec=bed.target["spec"])
        bed.client.put(PROFILES, "demo", name, spec=spec)
        starts = [hour * HOUR + minute for hour in range(now - 30, now + 1)]
        ended = [t for t in starts if t + 600.0 < bed.now and not pause[0] <= t < pause[1]]
        bed.history.runs_of[name] = [one_run(i, t, 600.0) for i, t in enumerate(ended)]


@pytest.mark.parametrize(("others", "shared"), [(8, True), (4, False)])
def test_no_run_is_missed_while_other_workflows_do_not_run_either(others: int, shared: bool) -> None:
    """The engine is down for three hours, in which the starts of its schedules are lost."""
    bed = applied()
    at = bed.one().applied or 0.0
    bed.items = []
    down = at + 300.0, at + 3 * HOUR
    for _ in range(16):
        bed.now += 720.0
        beside(bed, others, pause=down)
        bed.run(0.0)
    assert (bed.one().phase, bed.cpu()) == (("Verifying", "1500m") if shared else ("Completed", "2"))
    if shared:
        later(bed, 12, cpu=0.75)
        assert bed.one().verdict is Verdict.IMPROVED


def test_a_run_is_missed_while_other_workflows_run_and_after_the_engine_is_back() -> None:
    for hours in (0.0, 3.0):
        bed = applied()
        at = bed.one().applied or 0.0
        bed.items = []
        bed.now += (2.5 + hours) * HOUR
        beside(bed, 8, pause=(at + 300.0, at + hours * HOUR))
        bed.run(0.0)
        assert (bed.one().verdict, bed.cpu()) == (Verdict.WORSE, "2"), hours


def test_no_run_is_missed_while_the_metrics_source_saw_no_pods() -> None:
    """kube-state-metrics was down for two starts of the schedule: whether runs came is not known."""
    bed = applied()
    at = bed.one().applied or 0.0
    bed.outages = ((at + 60.0, at + 3 * HOUR),)
    bed.run(3 * HOUR + 900.0)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    bed.run(2 * HOUR)
    assert (bed.one().phase, bed.cpu()) == ("Completed", "2"), "no run comes afterwards either"


@pytest.mark.parametrize("restarted", [True, False])
def test_a_restart_in_an_outage_does_not_take_its_silence_for_harm(restarted: bool) -> None:
    bed = applied()
    at = bed.one().applied or 0.0
    outages = Outages(lambda: bed.history, 300.0)
    outages.spans("default", at + 60.0, ok=True, read=at + 60.0)
    bed.outages = outages.spans("default", at + 360.0, ok=False, read=at + 360.0)
    bed.run(HOUR)
    if restarted:
        outages = Outages(lambda: bed.history, 300.0)
    bed.outages = outages.spans("default", at + 3 * HOUR, ok=True, read=at + 3 * HOUR)
    assert bed.outages == ((at + 60.0, at + 3 * HOUR),)
    bed.run(2 * HOUR + 900.0)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    bed.run(2 * HOUR)
    assert (bed.one().phase, bed.cpu()) == ("Completed", "2"), "no run comes afterwards either"


def test_no_run_is_missed_of_a_workflow_that_is_not_read_down_to_its_change_yet() -> None:
    """Its kind could not be listed for a day, say: its runs meanwhile are read newest first."""
    bed = applied()
    at = bed.one().applied or 0.0
    key = WorkflowKey("demo", "CronJob", "etl")
    bed.unread = {key: at + 60.0}
    bed.run(3 * HOUR)
    assert (bed.one().phase, bed.cpu()) == ("Verifying", "1500m")
    bed.unread = {key: at - 60.0}
    bed.run(HOUR)
    assert (bed.one().phase, bed.cpu()) == ("Completed", "2")


def test_no_run_is_missed_in_a_namespace_that_is_not_read_in_this_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its runs come with the next reading; other namespaces' metrics are complete meanwhile."""
    bed = applied()
    large = bed.client.put(CRONJOB, "demo", "large", spec=bed.target["spec"])
    ref = {"apiVersion": "batch/v1", "kind": "CronJob", "name": large["metadata"]["name"]}
    bed.client.put(PROFILES, "demo", "large", spec={"workflowRef": ref})
    with monkeypatch.context() as patch:
        patch.setattr(bed.profile_reconciler.shares, "defer_work", lambda entry: entry.name == "large")
        bed.run(HOUR)
        bed.run(HOUR)
        bed.run(HOUR)
        assert bed.one().phase == "Verifying"
    bed.run()
    assert (bed.one().phase, bed.one().verdict) == ("Completed", Verdict.WORSE), "now it is known"


def test_a_suspended_workflow_is_not_taken_for_a_harmed_one() -> None:
    bed = applied()
    bed.edit("/spec/suspend", True)
    bed.run(DAY)
    assert bed.cpu() == "1500m"
