"""Pods that have other requests than their definition declares: recommendations are about what pods have, and nothing is
changed where it would have no effect."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from concertmaster.core.analysis.workflow import Analysis, analyze
from concertmaster.core.changes.admission.capacity import UNBOUND, Capacity
from concertmaster.core.changes.admission.model import LimitRange
from concertmaster.core.changes.fields import Refused
from concertmaster.core.changes.plan import plan
from concertmaster.core.model import ContainerFact, Recommendation
from concertmaster.core.model.policy import Bounds, Policy
from concertmaster.core.rules import Evidence, recommend
from concertmaster.engines import PATCHABLE
from concertmaster.engines.argo.config_maps import CONFIG_MAP
from concertmaster.engines.argo.definition import define as define_argo
from tests.support.builders import MI, NOW, container
from tests.support.core.scenario_builder import (
    Manifest,
    Pod,
    Work,
    argo,
    cron_job,
    define,
    history,
    pipeline,
    shared_task,
    task,
)

GI = 1024 * MI
DECLARED = {"requests": {"cpu": "1", "memory": "1Gi"}}


class Seen:
    """The analysis of ``count`` runs whose pods are ``work(i)``, all of the definition in force unless ``template`` says
    of which one run i was."""

    def __init__(
        self,
        manifest: Manifest,
        work: Callable[[int], Work],
        *others: Manifest,
        count: int = 24,
        template: Callable[[int], str | None] | None = None,
        capacity: Capacity = UNBOUND,
    ) -> None:
        definition = define(manifest, *others)
        of = template or (lambda _: definition.fingerprint)
        runs = [replace(run, fingerprint=of(i)) for i, run in enumerate(history(definition, count, work))]
        self.analysis: Analysis = analyze(definition, runs, now=NOW, policy=Policy())
        self.evidence = Evidence(self.analysis, "wfp", capacity=capacity)

    def rule(self, name: str) -> list[Recommendation]:
        return [r for r in recommend(self.evidence) if r.id == name or r.id.startswith(f"{name}.")]

    def one(self, name: str = "right-size") -> Recommendation:
        (found,) = self.rule(name)
        return found


def pods(step: str, *facts: ContainerFact, seconds: float = 600.0) -> Callable[[int], Work]:
    return lambda _: {step: Pod(seconds, containers=facts)}


def has(name: str = "main", **values: object) -> ContainerFact:
    """A container of one core, most of which it uses, and 600Mi used."""
    full = {"name": name, "cpu_seconds": 540.0, "cpu_sampled_seconds": 600.0, "memory_sampled_peak": 600 * MI}
    return container(**{**full, **values})


def patched(manifest: Manifest, patch: str) -> Manifest:
    return {**manifest, "spec": {**manifest["spec"], "podSpecPatch": patch}}


PATCH = '{"containers":[{"name":"main","resources":{"requests":{"memory":"8Gi"}}}]}'
ARGO = argo(task("work"))


@pytest.mark.parametrize(
    ("manifest", "step", "name", "kind", "by"),
    [
        (pipeline(DECLARED), "work", "step-main", "Pipeline", "such as taskRunSpecs of the PipelineRun, a mutating"),
        (patched(ARGO, PATCH), "work", "main", "WorkflowTemplate", "podSpecPatch sets it"),
        (ARGO, "work", "main", "WorkflowTemplate", "such as a podSpecPatch of the run or of workflowDefaults, a mut"),
        (cron_job(), "job", "report", "CronJob", "such as a mutating webhook or policy, or a VerticalPodAuto"),
    ],
    ids=["taskRunSpecs", "podSpecPatch", "workflowDefaults that are not read", "webhook"],
)
def test_what_pods_have_is_what_is_sized_and_paid(manifest: Manifest, step: str, name: str, kind: str, by: str) -> None:
    """1Gi is declared and suits; 8Gi is what every pod reserves."""
    item = Seen(manifest, pods(step, has(name, memory_request=8 * GI))).one()
    (row,) = item.items
    assert (row.field, row.old) == ("requests.memory", "8Gi")
    assert 690 <= int(row.new.removesuffix("Mi")) <= 1024
    assert "peaked at 600Mi of 8Gi (1Gi is declared)" in item.because
    (line,) = [line for line in item.evidence if "declares" in line]
    assert f"the {kind} declares a request of 1Gi, but pods had 8Gi in the newest 24 runs: " in line and by in line
    assert item.saving_per_month is not None and item.saving_per_month.likely == pytest.approx(
        (8192 - int(row.new.removesuffix("Mi"))) / 1024 * 0.004 * 600 / 3600 * 3 * 30.4, rel=0.05
    )
    assert (item.edits, item.automatic, item.kustomize) == ((), False, None)
    assert item.how.startswith("kubectl concertmaster explain")
    assert "set elsewhere than in the definition, change it there" in item.expected


def test_nothing_is_lowered_that_pods_do_not_have() -> None:
    """8Gi is declared, and a VerticalPodAutoscaler gives the pods what suits them, a little more in each run."""

    def work(i: int) -> Work:
        return {"job": Pod(600.0, containers=(has("report", memory_request=(700 + i) * MI),))}

    declared = {"requests": {"cpu": "1", "memory": "8Gi"}}
    assert Seen(cron_job(resources=declared), work).rule("right-size") == []
    (of,) = Seen(cron_job(resources=declared), work).analysis.steps[0].containers
    assert (of.memory_request, of.utilization("memory")) == (723 * MI, pytest.approx(600 / 723))


def test_defaults_of_the_controller_that_are_read_are_named() -> None:
    config = {"data": {"workflowDefaults": f"spec:\n  podSpecPatch: '{PATCH}'\n"}}
    definition = define_argo(ARGO, lambda kind, name: config if kind == CONFIG_MAP else None)
    runs = [
        replace(run, fingerprint=definition.fingerprint)
        for run in history(definition, 24, pods("work", has(memory_request=8 * GI)))
    ]
    (item,) = (r for r in recommend(Evidence(analyze(definition, runs, now=NOW), "wfp")) if r.rule == "right-size")
    assert "podSpecPatch sets it" in " ".join(item.evidence) and not item.edits


@pytest.mark.parametrize(
    ("default", "says"),
    [
        (8 * GI, "memory of work: 8Gi is the default of a LimitRange"),
        (2 * GI, "no request is declared, but pods had 8Gi in the newest 24 runs: something else sets it, such as a"),
        (None, "where that replaces what is declared, the command has no effect"),
    ],
)
def test_a_request_that_is_not_declared_is_what_pods_have(default: float | None, says: str) -> None:
    """A declared one takes the place of a default, so that the command has it; a person decides."""
    resources = {"resources": {"requests": {"cpu": "1"}}}
    manifest = argo(task("work"), templates={"work": {"container": {"image": "i", "command": ["work"], **resources}}})
    ranges = () if default is None else (LimitRange("l", "Container", default_request={"memory": default}),)
    seen = Seen(manifest, pods("work", has(memory_request=8 * GI)), capacity=Capacity(ranges=ranges))
    item = seen.one()
    assert [(row.field, row.old) for row in item.items] == [("requests.memory", "8Gi")]
    assert says in " ".join(item.evidence)
    assert [(e.pointer.rsplit("/", 1)[1], e.current) for e in item.edits] == [("memory", None)]
    assert "patch workflowtemplate" in item.how and not item.automatic


def test_an_edit_after_the_newest_run_is_what_the_next_runs_have() -> None:
    """The pods had 8Gi since that was declared: what is declared now is the present request."""
    seen = Seen(ARGO, pods("work", has(memory_request=8 * GI)), template=lambda _: "before")
    assert seen.analysis.steps[0].containers[0].memory_request == GI
    assert seen.rule("right-size") == []
    back = Seen(ARGO, pods("work", has(memory_request=8 * GI)), template=lambda i: None if i < 20 else "before")
    assert back.analysis.steps[0].containers[0].memory_request == GI


def test_runs_of_unknown_templates_do_not_tell() -> None:
    """Of runs before the operator came nothing shows whether the definition was edited since."""
    work = pods("work", has(memory_request=8 * GI))
    assert Seen(ARGO, work, template=lambda _: None).analysis.steps[0].containers[0].memory_request == GI
    own = define(ARGO).fingerprint
    one = Seen(ARGO, work, template=lambda i: own if i == 23 else None).analysis.steps[0].containers[0]
    assert (one.memory_request, one.overrides["requests", "memory"].runs) == (8 * GI, 24)
    # A podSpecPatch says by itself that the template does not decide.
    known = Seen(patched(ARGO, PATCH), work, template=lambda _: None).analysis.steps[0].containers[0]
    assert known.memory_request == 8 * GI


def unmarked(manifest: Manifest, work: Callable[[int], Work]) -> Evidence:
    """A manifest of a file, and runs of which nothing shows that they are of it."""
    definition = replace(define(manifest), fingerprint=None)
    runs = [replace(run, fingerprint=None) for run in history(definition, 24, work)]
    return Evidence(analyze(definition, runs, now=NOW, policy=Policy()), "wfp")


def test_without_a_cluster_the_requests_of_pods_count_and_an_edit_since_is_named() -> None:
    (item,) = (r for r in recommend(unmarked(ARGO, pods("work", has(memory_request=8 * GI)))) if r.rule == "right-size")
    assert [(row.field, row.old) for row in item.items] == [("requests.memory", "8Gi")] and not item.edits
    said = "the WorkflowTemplate declares a request of 1Gi, but pods had 8Gi in the newest 24 runs: the definition was"
    assert f"memory of work: {said} edited since, or something else sets it, such as a podSpecPatch" in str(
        item.evidence
    )
    assert "change it there, unless that was edited since" in item.expected
    known = Seen(ARGO, pods("work", has(memory_request=8 * GI))).one()
    assert "edited since" not in f"{item.because} {known.expected} {known.evidence}"
    killed = has(memory_request=GI, memory_limit=GI, memory_sampled_peak=1000 * MI)

    def work(i: int) -> Work:
        return {"work": Pod(600.0, containers=(killed,), failures=((300.0, "OOMKilled"),) if i % 4 == 0 else ())}

    main = {"image": "i", "command": ["work"], "resources": {"limits": {"memory": "4Gi"}}}
    raised = unmarked(argo(task("work"), templates={"work": {"container": main}}), work)
    (item,) = (r for r in recommend(raised) if r.rule == "memory-request")
    assert item.expected.endswith("change it there, unless the WorkflowTemplate was edited since")


@pytest.mark.parametrize("newest", [GI, 2 * GI])
def test_without_a_cluster_what_some_runs_have_leaves_what_is_declared(newest: float) -> None:
    def work(i: int) -> Work:
        return {"work": Pod(600.0, containers=(has(memory_request=8 * GI if i < 22 else newest),))}

    (of,) = unmarked(ARGO, work).analysis.steps[0].containers
    assert of.memory_request == (GI if newest == GI else 2 * GI)


def test_a_change_under_verification_is_no_override() -> None:
    """The operator has lowered 8Gi to 1Gi: runs before it had 8Gi, those since have what is declared."""
    own = define(ARGO).fingerprint

    def work(i: int) -> Work:
        return {"work": Pod(600.0, containers=(has(memory_request=8 * GI if i < 22 else GI),))}

    for count in (22, 23, 24):
        seen = Seen(ARGO, work, count=count, template=lambda i: "before" if i < 22 else own)
        assert seen.analysis.steps[0].containers[0].overrides == {}


@pytest.mark.parametrize("every", [2, 3, 5])
def test_runs_that_are_started_with_values_of_their_own_leave_what_is_declared(every: int) -> None:
    def work(i: int) -> Work:
        return {"work": Pod(600.0, containers=(has(memory_request=GI if i % every == 0 else 8 * GI),))}

    for count in range(20, 26):
        assert Seen(ARGO, work, count=count).analysis.steps[0].containers[0].memory_request == GI


def test_it_takes_three_runs_to_begin_and_one_to_end() -> None:
    def had(*newest: float) -> float | None:
        sizes = [GI] * 20 + list(newest)

        def work(i: int) -> Work:
            return {"work": Pod(600.0, containers=(has(memory_request=sizes[i]),))}

        return Seen(ARGO, work, count=len(sizes)).analysis.steps[0].containers[0].memory_request

    assert had(8 * GI, 8 * GI) == GI
    assert had(8 * GI, 8 * GI, 8 * GI) == 8 * GI
    assert had(8 * GI, 8 * GI, 8 * GI, GI) == GI


def test_pods_of_one_run_that_differ_have_no_row() -> None:
    """A podSpecPatch with a parameter for each item: no size of these is the one to change."""

    def work(_: int) -> Work:
        sizes = (2, 4, 16)
        return {"work": [Pod(600.0, containers=(has(memory_request=size * GI),)) for size in sizes]}

    seen = Seen(patched(ARGO, PATCH.replace("8Gi", "{{inputs.parameters.memory}}")), work)
    assert seen.analysis.steps[0].containers[0].overrides["requests", "memory"].varies
    assert seen.rule("right-size") == []


SMALL = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}
LIMITED = argo(task("work"), templates={"work": {"container": {"image": "i", "command": ["work"], "resources": SMALL}}})


def of_size(size: float, peak: float) -> Pod:
    return Pod(600.0, containers=(has(memory_request=size, memory_limit=size, memory_sampled_peak=peak),))


def test_what_is_declared_is_not_raised_for_pods_that_are_given_more() -> None:
    """One item in three has 8Gi of its own, or every third run is started with it, and uses 6Gi: a limit of 1Gi suits the
    others, and no pod that has it could have peaked at 6Gi."""
    usual, large = of_size(GI, 700 * MI), of_size(8 * GI, 6 * GI)
    items = Seen(LIMITED, lambda _: {"work": [usual, usual, large]})
    runs = Seen(LIMITED, lambda i: {"work": large if i % 3 == 0 else usual})
    for seen in (items, runs, Seen(LIMITED, lambda i: {"work": large if i == 20 else usual})):
        assert seen.rule("right-size") == []
        (of,) = seen.analysis.steps[0].containers
        assert of.utilization("memory") == pytest.approx(700 / 1024)


def test_what_is_declared_saves_nothing_in_runs_that_are_given_something_else() -> None:
    large, small = has(memory_request=8 * GI), has(memory_request=4 * GI)
    declared = cron_job(resources={"requests": {"cpu": "1", "memory": "8Gi"}})

    def seen(other: int) -> Recommendation:
        pod = [replace(of, name="report") for of in (large, small)]
        return Seen(declared, lambda i: {"job": Pod(600.0, containers=(pod[i % 4 == other],))}).one()

    whole, part = (seen(other).saving_per_month for other in (-1, 0))
    assert whole is not None and part is not None
    assert part.likely == pytest.approx(0.75 * whole.likely, rel=0.05)
    assert "memory of report: sized by the pods with what is declared" in " ".join(seen(0).evidence)


def test_kills_of_pods_that_are_given_less_ask_for_no_more_than_is_declared() -> None:
    """Small items have 512Mi of their own and are killed there; those with the declared 1Gi are not."""
    lean = has(memory_request=512 * MI, memory_limit=512 * MI, memory_sampled_peak=500 * MI)
    killed = Pod(600.0, containers=(lean,), failures=((300.0, "OOMKilled"),))
    assert Seen(LIMITED, lambda _: {"work": [killed, of_size(GI, 600 * MI)]}).rule("memory-request") == []


@pytest.mark.parametrize("since", [3, 8])
def test_without_a_cluster_runs_before_the_first_as_declared_count(since: int) -> None:
    """Nothing shows whether they were given something else, or the definition was edited after them."""
    work = [of_size(8 * GI, 6 * GI), of_size(GI, 700 * MI)]
    evidence = unmarked(LIMITED, lambda i: {"work": work[i >= 24 - since]})
    assert evidence.analysis.steps[0].containers[0].declared_runs == {}


def _two_tasks() -> Sequence[Manifest]:
    """A Pipeline that runs one Task twice."""
    found, body = shared_task("job", {"requests": {"cpu": "1", "memory": "8Gi"}})
    again = copy.deepcopy(found)
    first = again["spec"]["tasks"][0]
    again["spec"]["tasks"] = [{**first, "name": "small"}, {**first, "name": "large", "runAfter": ["small"]}]
    return again, body


def test_a_task_is_sized_by_the_runs_that_have_its_requests() -> None:
    """taskRunSpecs give one of two pipeline tasks 16Gi: the Task is lowered for the other, which it concerns."""

    def work(_: int) -> Work:
        return {
            "small": Pod(600.0, containers=(has("step-main", memory_request=8 * GI),)),
            "large": Pod(600.0, containers=(has("step-main", memory_request=16 * GI, memory_sampled_peak=12 * GI),)),
        }

    item = Seen(*_two_tasks()[:1], work, *_two_tasks()[1:]).one()
    assert [(row.step, row.old) for row in item.items] == [("small", "8Gi")]
    assert [e.holder for e in item.edits] == ["job"] and item.automatic


def test_what_both_pipeline_tasks_have_from_their_task_is_sized_once() -> None:
    """taskRunSpecs give one of them other memory, and no other CPU: of CPU, the Task has what the larger one needs."""

    def work(_: int) -> Work:
        small = has("step-main", cpu_request=4.0, cpu_seconds=300.0, memory_request=8 * GI)
        large = replace(small, cpu_seconds=900.0, memory_request=16 * GI, memory_sampled_peak=12 * GI)
        return {"small": Pod(600.0, containers=(small,)), "large": Pod(600.0, containers=(large,))}

    found, body = _two_tasks()
    body["spec"]["steps"][0]["computeResources"]["requests"]["cpu"] = "4"
    item = Seen(found, work, body).one()
    assert [(row.step, row.field) for row in item.items] == [("small", "requests.cpu"), ("small", "requests.memory")]
    (cpu,) = (e for e in item.edits if e.pointer.endswith("/cpu"))
    assert cpu.proposed == "1750m"


@pytest.mark.parametrize("larger", ["work", "again"])
def test_steps_of_one_template_with_other_amounts_than_none_declared_are_sized_once(larger: str) -> None:
    """A VerticalPodAutoscaler gives each step its own: the template, which declares none, can have one alone."""
    main = {"image": "i", "command": ["work"], "resources": {"requests": {"cpu": "1"}}}
    manifest = argo(task("work"), {"name": "again", "template": "work"}, templates={"work": {"container": main}})

    def work(_: int) -> Work:
        peaks = {step: (3 if step == larger else 1) * GI for step in ("work", "again")}
        return {
            step: Pod(600.0, containers=(has(memory_request=8 * GI + peak, memory_sampled_peak=peak),))
            for step, peak in peaks.items()
        }

    (edit,) = Seen(manifest, work).one().edits
    assert edit.proposed == "3584Mi"


@pytest.mark.parametrize("missing", [1, 5])
def test_newest_runs_of_which_the_metrics_miss_requests_end_nothing(missing: int) -> None:
    """8Gi is declared, something else gives 700Mi: nothing is lowered when a short pod was not scraped in time."""
    amounts = {"cpu_request": 1.0, "memory_request": 700 * MI, "memory_limit": 800 * MI}

    def work(i: int) -> Work:
        of = amounts if i < 24 - missing else dict.fromkeys(amounts)
        return {"job": Pod(600.0, containers=(has("report", **of),))}

    declared = {"requests": {"cpu": "1", "memory": "8Gi"}, "limits": {"memory": "8Gi"}}
    seen = Seen(cron_job(resources=declared), work)
    (of,) = seen.analysis.steps[0].containers
    assert (of.memory_request, of.memory_limit) == (700 * MI, 800 * MI)
    assert seen.rule("right-size") == []


def test_a_change_sets_only_what_has_an_effect() -> None:
    """CPU follows the template, memory does not: the change makes the part that it promises."""
    pod = has(cpu_request=4.0, memory_request=8 * GI)
    manifest = argo(
        task("work"),
        templates={
            "work": {
                "container": {
                    "image": "i",
                    "command": ["work"],
                    "resources": {"requests": {"cpu": "4", "memory": "2Gi"}},
                }
            }
        },
    )
    item = Seen(manifest, pods("work", pod)).one()
    assert {(row.field, row.old) for row in item.items} == {("requests.cpu", "4"), ("requests.memory", "8Gi")}
    assert {e.pointer.rsplit("/", 1)[1] for e in item.edits} == {"cpu"}
    assert "memory of work/main: set elsewhere than in the definition, change it there" in item.expected
    assert "not set by the command" not in item.expected
    made = plan(item, manifest, PATCHABLE, profile="wfp", namespace="demo", bounds=Bounds(), monthly_cost=10.0)
    assert {s.resource for s in made.settings} == {"cpu"} and not made.whole
    assert item.saving_per_month is not None and made.predicted is not None
    assert 0 < -made.predicted.likely * 10.0 < item.saving_per_month.likely


def test_a_plan_of_what_is_set_elsewhere_is_refused() -> None:
    item = Seen(ARGO, pods("work", has(memory_request=8 * GI))).one()
    with pytest.raises(Refused, match="cannot be applied automatically"):
        plan(item, ARGO, PATCHABLE, profile="wfp", namespace="demo", bounds=Bounds())


def test_kills_below_the_declared_limit_are_reported() -> None:
    """4Gi is declared, a policy caps pods at 1Gi, and a quarter of the runs is killed there."""

    def work(i: int) -> Work:
        pod = has("report", memory_request=GI, memory_limit=GI, memory_sampled_peak=1000 * MI)
        return {"job": Pod(600.0, containers=(pod,), failures=((300.0, "OOMKilled"),) if i % 4 == 0 else ())}

    declared = {"requests": {"cpu": "1", "memory": "4Gi"}, "limits": {"memory": "4Gi"}}
    item = Seen(cron_job(resources=declared), work).one("memory-request")
    assert [(row.field, row.old) for row in item.items] == [("requests.memory", "1Gi"), ("limits.memory", "1Gi")]
    assert item.edits == () and "it is set elsewhere than in the CronJob: change it there" in item.expected
    assert sum("declares a" in line for line in item.evidence) == 2


@pytest.mark.parametrize("count", [23, 24])
def test_memory_that_each_retry_doubles_is_raised_from_where_it_was_too_little(count: int) -> None:
    """The first attempt of every other run is killed at 1Gi, its retry has 2Gi: of the newest run, or of the one before."""
    main = {"image": "i", "command": ["work"], "resources": {"requests": {"cpu": "1"}}}
    definition = define(patched(argo(task("work"), templates={"work": {"container": main}}), PATCH))

    def work(i: int) -> Work:
        return {"work": Pod(600.0, containers=(has(),), failures=((300.0, "OOMKilled"),) if i % 2 == 0 else ())}

    def of(attempt: int, fact: ContainerFact) -> ContainerFact:
        size, peak = (attempt + 1) * GI, (1200 if attempt else 1000) * MI
        return replace(fact, memory_request=size, memory_limit=size, memory_sampled_peak=peak)

    runs = [
        replace(
            run,
            fingerprint=definition.fingerprint,
            steps=tuple(replace(e, containers=tuple(of(e.attempt, c) for c in e.containers)) for e in run.steps),
        )
        for run in history(definition, count, work)
    ]
    found = recommend(Evidence(analyze(definition, runs, now=NOW), "wfp"))
    (item,) = (r for r in found if r.rule == "memory-request")
    assert (item.current, item.proposed) == ("1Gi", "1536Mi")
    assert ("but pods had up to 2Gi in the newest" in " ".join(item.evidence)) is (count % 2 == 1)


def test_throttling_by_a_limit_that_is_not_the_declared_one_is_reported() -> None:
    pod = has("report", cpu_request=0.5, cpu_limit=0.5, cpu_seconds=290.0, throttled_share=0.4)
    declared = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "4"}}
    item = Seen(cron_job(resources=declared), pods("job", pod)).one("cpu-request")
    assert item.action.startswith("Raise CPU limit of report: 500m -> ")
    assert item.edits == () and "it is set elsewhere than in the CronJob: change it there" in item.expected
    assert "declares a limit of 4, but pods had 500m" in " ".join(item.evidence)


def test_a_first_request_of_a_starved_step_is_left_to_a_person() -> None:
    """No CPU is declared, and a webhook gives 500m: what gives it may replace a declared one as well."""
    pod = has("report", cpu_request=0.5, cpu_seconds=400.0, cpu_waiting_seconds=300.0)
    item = Seen(cron_job(resources={"requests": {"memory": "1Gi"}}), pods("job", pod)).one("cpu-request")
    assert item.action.startswith("Raise CPU request of report: 500m -> ") and "patch cronjob" in item.how
    assert not item.automatic
    declared = Seen(cron_job(resources={"requests": {"cpu": "500m", "memory": "1Gi"}}), pods("job", pod))
    assert declared.one("cpu-request").automatic


def test_gpus_that_pods_have_in_spite_of_another_number_are_not_set() -> None:
    gpus = {"limits": {"nvidia.com/gpu": 2}, **DECLARED}
    pod = has("report", gpu_resource="nvidia.com/gpu", gpu_request=4.0, gpu_used=0.5, gpus_active=1.0)
    item = Seen(cron_job(resources=gpus), pods("job", pod)).one("gpu-request")
    assert item.action.startswith("Lower GPU request of report: 4 -> 1") and item.edits == ()
    assert "declares a request of 2, but pods had 4 in the newest 24 runs" in " ".join(item.evidence)
