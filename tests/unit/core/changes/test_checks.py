"""Every policy check both ways, with a sentence that says what to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from concertmaster.core.changes.admission.model import LimitRange, ResourceQuota
from concertmaster.core.changes.checks import CHECKS, blocking, run_checks
from concertmaster.core.changes.checks_cluster import owners
from concertmaster.core.changes.plan import Plan
from concertmaster.core.changes.situation import (
    CheckResult,
    ClusterFacts,
    PastChange,
    Situation,
)
from concertmaster.core.model import Edit, Level
from concertmaster.core.model.enums import ApplyMode, ChangeKind, GitOps
from concertmaster.core.model.policy import ApplySettings, Bounds, ChangeWindow, Policy, PolicyRef, Range
from concertmaster.core.schedules.windows import WindowUnusable, next_opening, opened
from tests.support.core.change_samples import TRAIN, cpu, faster, planned, recommended, template
from tests.support.counting import all_calls

NOW = datetime(2026, 3, 4, 23, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()  # a Wednesday
AUTO = Policy(PolicyRef("OptimizationPolicy", "demo", "team"), apply=ApplySettings(mode=ApplyMode.AUTO))
GOOD = Situation(NOW, AUTO, data_until=NOW - 60.0, coverage=0.9)
GI = 1024.0**3


def result_of(check: str, plan: Plan | None = None, **more: Any) -> CheckResult:
    """What ``check`` returns; keys of the policy, its ``apply`` and ClusterFacts are put where they belong."""
    apply = {k: more.pop(k) for k in list(more) if k in ApplySettings.__dataclass_fields__}
    own = {k: more.pop(k) for k in list(more) if k in Policy.__dataclass_fields__}
    policy = replace(AUTO, apply=replace(AUTO.apply, **apply), **own)
    facts = {k: more.pop(k) for k in list(more) if k in ClusterFacts.__dataclass_fields__}
    situation = replace(GOOD, policy=policy, facts=replace(GOOD.facts, **facts), **more)
    return next(v for v in run_checks(plan or planned(), situation) if v.check == check)


def test_a_good_candidate_passes_every_check() -> None:
    verdicts = run_checks(planned(), GOOD)
    assert len(verdicts) == len(CHECKS) == len({v.check for v in verdicts})
    assert [v for v in verdicts if not v.passed] == []
    assert all(v.message for v in verdicts)


THREE = ChangeWindow("0 3 * * *", "Europe/Berlin", 3600.0)
MARS = ChangeWindow("0 0 * * *", "Mars/Base", 3600.0)
RAISED = planned(recommended(cpu("2", "3")))
WIDER = planned(faster())


@pytest.mark.parametrize(
    ("check", "words", "more"),
    [
        ("suspended", "spec.suspend", {"suspended": True}),
        ("mode", "apply.mode", {"mode": ApplyMode.RECOMMEND}),
        ("mode", "no policy", {"source": None}),
        ("mode", "waits for a decision", {"mode": ApplyMode.APPROVE}),
        ("mode", "never acts by itself", {"plan": replace(planned(), automatic=False)}),
        ("mode", "vary by 40%; it waits", {"unsure": "runs vary by 40%"}),
        ("mode", "3 of the last 5", {"withdrawn": "3 of the last 5 were worse"}),
        ("kind", "Resources", {"allow": frozenset({ChangeKind.PARALLELISM})}),
        ("kind", "Parallelism", {"allow": frozenset({ChangeKind.RESOURCES}), "plan": WIDER}),
        ("risk", "Medium", {"plan": replace(planned(), risk=Level.MEDIUM)}),
        ("bounds", "1500m is outside 2 to 8", {"bounds": Bounds(cpu=Range(2.0, 8.0))}),
        ("bounds", "outside 50m to 1", {"bounds": Bounds(cpu=Range(0.05, 1.0))}),
        ("bounds", "min 4 is above max 2", {"bounds": Bounds(cpu=Range(4.0, 2.0))}),
        ("bounds", "parallelism 3", {"bounds": Bounds(parallelism=Range(1, 2)), "plan": WIDER}),
        ("largest-step", "25% in one step, at most 20%", {"bounds": Bounds(max_step=0.2)}),
        ("minimum-change", "25%, less than 30%", {"min_change": 0.3}),
        ("data", "nothing is known", {"data_until": None}),
        ("data", "end at 2026-03-03 22:00 UTC", {"data_until": NOW - 86400.0}),
        ("data", "4 runs since the last change, 5 are needed", {"baseline_runs": 4}),
        ("data", "40%", {"coverage": 0.4}),
        ("data", "unknown share", {"coverage": None}),
        ("owner", "Helm release x owns it", {"owners": ("Helm release x",)}),
        ("owner", "not known", {"owners": None}),
        ("controllers", "VerticalPodAutoscaler v", {"controllers": ("VerticalPodAutoscaler v",)}),
        ("controllers", "list hpa", {"controllers": None, "unknown": {"controllers": "no right to list hpa"}}),
        ("shared-task", "2 other workflows (a and b) run WorkflowTemplate", {"shared_by": ("a", "b")}),
        ("shared-task", "no right", {"shared_by": None, "unknown": {"shared_by": "no right to list pipelines"}}),
        ("namespace-limits", "cannot be read", {"ranges": None}),
        ("namespace-limits", "cannot be read", {"quotas": None}),
        ("namespace-limits", "cannot be read", {"quotas": None, "plan": WIDER}),
        ("namespace-limits", "policy x says no", {"pod_refused": "policy x says no"}),
        ("namespace-limits", "below 1600m", {"ranges": (LimitRange("r", "Container", {"cpu": 1.6}),)}),
        ("namespace-limits", "above 1", {"ranges": (LimitRange("r", "Container", {}, {"cpu": 1.0}),)}),
        ("namespace-limits", "above 1", {"ranges": (LimitRange("r", "Pod", {}, {"cpu": 1.0}),)}),
        (
            "namespace-limits",
            "4 x 3 is more than the 10 of ResourceQuota q",
            {"quotas": (ResourceQuota("q", {"cpu": 10.0}),), "pods": 4, "plan": RAISED},
        ),
        ("pod-admission", "up to webhook w too", {"admission": ("webhook w",)}),
        (
            "pod-admission",
            "not known here, and new pods are up to webhook w too; without a trial it waits for a decision",
            {"admission": ("webhook w",), "unknown": {"trials": "whether it may try a pod is not known here"}},
        ),
        ("pod-admission", "not known: timed out", {"admission": None, "unknown": {"admission": "timed out"}}),
        ("pod-spec-patch", "or may by a parameter, and has the last word", {"pod_spec_patch": True}),
        ("write-access", "WriteAccess", {"write_access": False}),
        ("write-access", "could not be asked", {"write_access": None}),
        ("secure-reference", "would fail", {"secure": True, "active_runs": 2}),
        ("secure-reference", "not known", {"secure": None, "active_runs": 1}),
        ("secure-reference", "not known", {"secure": True, "active_runs": None}),
        ("cooldown", "lasts until 2026-03-05 21:00 UTC (apply.cooldown)", {"past": (PastChange(NOW - 3600.0),)}),
        ("in-flight", "1 change of this workflow", {"in_flight": ("etl-cpu-1",)}),
        ("in-flight", "another change of WorkflowTemplate etl", {"in_the_way": ("b.cpu-1 of profile b",)}),
        ("in-flight", "changesPerMinute", {"writes_left": 0}),
        ("window", "Thursday 2026-03-05 02:00 UTC", {"windows": (THREE,)}),
        ("window", "Bad day-of-month", {"windows": (ChangeWindow("0 0 31 2 *", "UTC", 3600.0),)}),
        ("window", "Mars/Base is not known", {"windows": (MARS,)}),
        ("window", "Bad hour", {"windows": (ChangeWindow("0 99 * * *", "UTC", 3600.0),)}),
    ],
)  # fmt: skip
def test_a_blocked_check_says_why(check: str, words: str, more: dict[str, Any]) -> None:
    found = result_of(check, **more)
    assert not found.passed
    assert words in found.message


def test_a_person_may_change_a_task_that_others_run_and_nobody_may_while_it_is_not_known_who_does() -> None:
    shared = result_of("shared-task", shared_by=("nightly",), approved=True)
    assert shared.passed
    assert "1 other workflow (nightly) runs WorkflowTemplate" in shared.message
    unknown = result_of("shared-task", shared_by=None, approved=True)
    assert (unknown.passed, unknown.waiting) == (False, False)


@pytest.mark.parametrize(
    ("check", "more"),
    [
        ("mode", {"mode": ApplyMode.APPROVE, "approved": True}),
        ("mode", {"withdrawn": "3 of the last 5", "approved": True}),
        ("mode", {"unsure": "runs vary by 40%", "approved": True}),
        ("owner", {"owners": ("Helm release x",), "git_ops": GitOps.APPLY}),
        ("data", {"coverage": None, "plan": WIDER}),
        ("namespace-limits", {"ranges": (LimitRange("r", "Pod", {"cpu": 5.0}),)}),
        ("namespace-limits", {"ranges": None, "plan": WIDER}),
        ("namespace-limits", {"quotas": (ResourceQuota("q", {"cpu": 1.0}),)}),  # lowering is never held back by a quota
        ("pod-spec-patch", {"pod_spec_patch": True, "plan": WIDER}),
        ("secure-reference", {"secure": True, "active_runs": 0}),
        ("secure-reference", {"secure": None, "active_runs": 0}),
        ("cooldown", {"past": (PastChange(NOW - 90_000.0),)}),
        ("in-flight", {"in_flight": ("a",), "max_in_flight": 2}),
        ("window", {"windows": (ChangeWindow("0 22 * * 1-5", "Europe/Berlin", 21600.0),)}),
        ("window", {"windows": (ChangeWindow("0 0 31 2 *", "UTC", 60.0), ChangeWindow("0 * * * *", "UTC", 60.0))}),
    ],
)
def test_a_blocked_check_passes_again(check: str, more: dict[str, Any]) -> None:
    assert result_of(check, **more).passed


def test_a_first_value_is_set_by_a_person() -> None:
    raw = template(resources={})
    assert result_of("largest-step", planned(recommended(cpu(None, "1")), raw)).message.startswith("nothing is set at")


def test_a_request_never_passes_the_limit_beside_it() -> None:
    raw = template(resources={"requests": {"memory": "1Gi"}, "limits": {"memory": "1200Mi"}})
    plan = planned(recommended(Edit(f"{TRAIN}/memory", "1Gi", "1400Mi")), raw)
    assert result_of("bounds", plan).message.endswith("above the limit 1200Mi beside it")


def test_one_mebibyte_of_rounding_is_no_larger_step() -> None:
    raw = template(resources={"requests": {"memory": "1001Mi"}})
    plan = planned(recommended(Edit(f"{TRAIN}/memory", "1001Mi", "501Mi")), raw)
    assert result_of("largest-step", plan).passed


@pytest.mark.parametrize(("restores", "times"), [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16), (9, 16)])
def test_the_cooldown_doubles_after_each_restore_up_to_sixteen_times(restores: int, times: int) -> None:
    past = tuple(PastChange(NOW - 1000.0 * (i + 2), NOW - 1000.0 * (i + 1)) for i in range(restores)) or (
        PastChange(NOW - 1000.0),
    )
    end = 1000.0 * times
    just = result_of("cooldown", past=past, cooldown_seconds=end / times, now=NOW - 1000.0 + end - 1.0)
    assert not just.passed
    assert result_of("cooldown", past=past, cooldown_seconds=end / times, now=NOW - 1000.0 + end).passed


def test_a_change_that_stayed_ends_the_doubling() -> None:
    past = (PastChange(NOW - 900.0), PastChange(NOW - 5000.0, NOW - 4000.0))
    assert not result_of("cooldown", past=past, cooldown_seconds=1000.0).passed
    assert result_of("cooldown", past=past, cooldown_seconds=800.0).passed


def at(*moment: int, zone: str = "Europe/Berlin", fold: int = 0) -> float:
    return datetime(*moment, tzinfo=ZoneInfo(zone), fold=fold).timestamp()  # type: ignore[arg-type,misc]


NIGHT = ChangeWindow("0 22 * * 1-5", "Europe/Berlin", 6 * 3600.0)


@pytest.mark.parametrize(
    ("moment", "open_"),
    [
        (at(2026, 3, 4, 21, 59, 59), False),
        (at(2026, 3, 4, 22, 0), True),
        (at(2026, 3, 5, 3, 59, 59), True),
        (at(2026, 3, 5, 4, 0), False),
        (at(2026, 3, 7, 22, 0), False),  # Saturday
        (at(2026, 3, 7, 3, 0), True),  # Friday's window reaches into Saturday
    ],
)
def test_a_window_opens_on_the_minute_and_stays_open_for_its_time(moment: float, open_: bool) -> None:
    assert (opened(NIGHT, moment) is not None) is open_


def test_windows_follow_their_own_zone_through_both_changes_of_the_clock() -> None:
    spring = ChangeWindow(
        "30 2 * * *", "Europe/Berlin", 3600.0
    )  # 02:30 does not exist on 2026-03-29: it opens at 03:00
    assert opened(spring, at(2026, 3, 29, 3, 0)) == at(2026, 3, 29, 3, 0)
    assert opened(spring, at(2026, 3, 29, 3, 59)) is not None
    assert opened(spring, at(2026, 3, 29, 4, 0)) is None
    autumn = ChangeWindow("30 2 * * *", "Europe/Berlin", 3600.0)  # 02:30 comes twice on 2026-10-25: once is enough
    assert opened(autumn, at(2026, 10, 25, 2, 30)) == at(2026, 10, 25, 2, 30)
    assert opened(autumn, at(2026, 10, 25, 2, 29, fold=1)) is not None
    assert opened(autumn, at(2026, 10, 25, 2, 31, fold=1)) is None
    long = ChangeWindow("0 22 * * *", "Europe/Berlin", 6 * 3600.0)  # six hours are six hours, whatever the clock says
    assert opened(long, at(2026, 10, 25, 2, 59, fold=1)) is not None
    assert opened(long, at(2026, 10, 25, 3, 0)) is None
    assert opened(long, at(2026, 3, 29, 4, 59)) is not None
    assert opened(long, at(2026, 3, 29, 5, 0)) is None


def test_the_next_opening_is_reported_and_nonsense_raises() -> None:
    assert next_opening(NIGHT, at(2026, 3, 4, 22, 0)) == at(2026, 3, 5, 22, 0)
    with pytest.raises(WindowUnusable, match="not known"):
        opened(ChangeWindow("0 0 * * *", "No/Where", 60.0), NOW)


def test_a_proposal_may_wait_for_a_decision_and_for_a_window_but_for_nothing_else() -> None:
    shut = (ChangeWindow("0 3 * * *", "Europe/Berlin", 3600.0),)
    approve = replace(GOOD, policy=replace(AUTO, apply=replace(AUTO.apply, mode=ApplyMode.APPROVE, windows=shut)))
    verdicts = run_checks(planned(), approve)
    assert {v.check for v in blocking(verdicts, proposing=False)} == {"mode", "window"}
    assert blocking(verdicts, proposing=True) == []
    owned = run_checks(planned(), replace(approve, facts=ClusterFacts(owners=("Helm",))))
    assert [v.check for v in blocking(owned, proposing=True)] == ["owner"]


def applied(fields: dict[str, Any], manager: str = "argocd-controller", operation: str = "Apply") -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": fields}


ARGO_CD = ("Argo CD application shop",)
BY_MANAGER = ("Argo CD (field manager argocd-controller)",)
APPLIED = ("field manager team (server-side apply)",)
HELM = {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {"meta.helm.sh/release-name": "r"}}
BY_LABEL = {
    "labels": {"app.kubernetes.io/instance": "shop"},
    "managedFields": [applied({"f:metadata": {"f:labels": {}}}, operation="Update")],
}
TRACKED = "shop:argoproj.io/WorkflowTemplate:demo/etl"
TRACKED_BY_ANNOTATION = {"annotations": {"argocd.argoproj.io/tracking-id": TRACKED}}


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({}, ()),
        (TRACKED_BY_ANNOTATION, ARGO_CD),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, ARGO_CD),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, ("Flux Kustomization apps",)),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "etl"}}, ("Flux HelmRelease etl",)),
        (HELM, ("Helm release r",)),
        ({"ownerReferences": [{"kind": "Factory", "name": "f"}]}, ("Factory f",)),
        ({"managedFields": [applied({"f:spec": {}}, "team")]}, APPLIED),
        ({"managedFields": [applied({"f:spec": {"f:templates": {}}}, "team")]}, APPLIED),
        ({"managedFields": [applied({"f:spec": {"f:entrypoint": {}}}, "team")]}, ()),
        ({"managedFields": [applied({"f:spec": {"f:entrypoint": {}}})]}, BY_MANAGER),  # the field was changed meanwhile
        ({"managedFields": [applied({"f:spec": {}})]} | TRACKED_BY_ANNOTATION, ARGO_CD),
        ({"managedFields": [applied({"f:spec": {}}, manager="kubectl-client-side-apply", operation="Update")]}, ()),
        (BY_LABEL, BY_MANAGER),
        (BY_LABEL | TRACKED_BY_ANNOTATION, ARGO_CD),
        ({"managedFields": [applied({"f:spec": {}}, manager="concertmaster")]}, ()),
        ({"managedFields": [{"manager": "x", "operation": "Apply"}, "odd"], "labels": None}, ()),
    ],
)  # fmt: skip
def test_owners_are_found(meta: dict[str, Any], expected: tuple[str, ...]) -> None:
    raw = template()
    raw["metadata"] |= meta
    assert owners(raw, [f"{TRAIN}/cpu"], "concertmaster") == expected


def test_keyed_lists_are_owned_member_by_member() -> None:
    pod = {"containers": [{"name": "main"}, {"name": "side"}]}
    raw = {"kind": "CronJob", "metadata": {}, "spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}}}
    fields: dict[str, Any] = {'k:{"name":"main"}': {".": {}, "f:resources": {"f:requests": {"f:cpu": {}}}}}
    for part in ("containers", "spec", "template", "spec", "jobTemplate", "spec"):
        fields = {f"f:{part}": fields}
    raw["metadata"] = {"managedFields": [applied(fields, "kubectl")]}
    base = "/spec/jobTemplate/spec/template/spec/containers"
    assert owners(raw, [f"{base}/0/resources/requests/cpu"], "concertmaster")
    assert not owners(raw, [f"{base}/0/resources/requests/memory"], "concertmaster")
    assert not owners(raw, [f"{base}/1/resources/requests/cpu"], "concertmaster")


def test_a_candidate_is_planned_and_judged_in_some_thousand_calls() -> None:
    """Of functions: a cycle may have a thousand of them."""
    raw = template()
    raw["spec"]["templates"] += [
        {"name": f"t{i}", "container": {"resources": {"requests": {"cpu": "2"}}}} for i in range(50)
    ]
    apply = replace(AUTO.apply, windows=(NIGHT, ChangeWindow("0 3 * * *", "UTC", 60.0)))
    situation = replace(GOOD, policy=replace(AUTO, apply=apply))
    change = recommended(cpu(pointer="/spec/templates/51/container/resources/requests/cpu"))
    assert len(run_checks(planned(change, raw), situation)) == len(CHECKS)
    assert all_calls(lambda: run_checks(planned(change, raw), situation)) < 30_000
