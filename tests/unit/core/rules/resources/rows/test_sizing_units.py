"""Steps that run one template share its fields: a recommendation looks at all of them."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from concertmaster.core.analysis.workflow import analyze
from concertmaster.core.model import RunRecord
from concertmaster.core.rules.evidence import Evidence
from concertmaster.core.rules.resources.rows.sizing_units import sizing_units
from concertmaster.core.rules.set_elsewhere import set_elsewhere
from concertmaster.engines import define
from tests.support.builders import MI, NOW, definition, step
from tests.support.core.scenario_builder import Manifest, Pod, Work, argo, cron_job, history, noise, scenario, task
from tests.support.core.scenarios import measured


def _twice() -> Manifest:
    """Steps ``small`` and ``large`` both run the template ``work``."""
    of = copy.deepcopy(argo(task("work"), task("large", "work")))
    tasks = of["spec"]["templates"][0]["dag"]["tasks"]
    tasks[0]["name"] = "small"
    tasks[1].update(template="work", dependencies=["small"])
    del of["spec"]["templates"][2]
    return of


def test_a_request_suits_every_step_that_runs_the_template() -> None:
    value = noise()

    def work(_: int) -> Work:
        return {
            "small": Pod(value(100), containers=measured(memory_sampled_peak=100 * MI)),
            "large": Pod(value(100), containers=measured(memory_sampled_peak=440 * MI)),
        }

    item = scenario(_twice(), 42, work).one("right-size")
    assert "peaked at 440Mi of 1Gi" in item.because
    assert "uses the same template" in item.because
    (row,) = item.items
    assert int(row.new.removesuffix("Mi")) >= 500


def test_a_request_that_one_of_them_needs_stays() -> None:
    value = noise()

    def work(_: int) -> Work:
        return {
            "small": Pod(value(100), containers=measured(memory_sampled_peak=100 * MI)),
            "large": Pod(value(100), containers=measured(memory_sampled_peak=980 * MI)),
        }

    assert scenario(_twice(), 42, work).recommended("right-size") == []


def test_a_missing_time_limit_is_the_larger_one() -> None:
    value = noise()
    item = scenario(_twice(), 42, lambda _: {"small": value(60), "large": value(600)}).one("timeout")
    (edit,) = item.edits
    assert int(edit.proposed or "") > 600


def test_a_hang_in_one_of_them_gets_no_patch_that_hits_the_other() -> None:
    value = noise()

    def work(i: int) -> Work:
        return {"small": Pod(9000, fails="Error") if i == 30 else value(60), "large": value(600)}

    found = scenario(_twice(), 42, work).recommended("timeout")
    assert [r.id for r in found] == ["timeout.small"]
    assert found[0].edits == ()


def test_a_saving_counts_the_runs_of_all_steps_that_run_the_template() -> None:
    """The step that is long and seldom is the first of the unit; the other one runs every time."""
    value = noise()
    sampled = measured(memory_sampled_peak=100 * MI)

    def work(_: int) -> Work:
        return {n: Pod(value(s), containers=sampled) for n, s in (("small", 100.0), ("large", 1600.0))}

    often = scenario(_twice(), 40, work)
    seldom = [
        r if i % 4 == 0 else replace(r, steps=r.steps[:1], end=r.steps[0].finished) for i, r in enumerate(often.runs)
    ]
    always, sometimes = (
        item.saving_per_month
        for item in (often.one("right-size"), replace(often, runs=tuple(seldom)).one("right-size"))
    )
    assert always is not None and sometimes is not None
    assert sometimes.likely == pytest.approx(always.likely * (100 + 1600 / 4) / (100 + 1600), rel=0.05)


def test_what_the_steps_of_a_template_used_is_put_together_once_for_all_resources() -> None:
    value = noise()
    pods = {"small": 100.0, "large": 440.0}
    found = scenario(
        _twice(),
        20,
        lambda _: {n: Pod(value(60), containers=measured(memory_sampled_peak=mi * MI)) for n, mi in pods.items()},
    )
    analysis = analyze(found.definition, found.runs, now=NOW)
    (of_cpu,), (of_memory,) = (list(sizing_units(analysis, resource)) for resource in ("cpu", "memory"))
    assert of_cpu.container is of_memory.container
    assert of_cpu.container.executions == 40
    assert {run.memory_peak for run in of_cpu.container.runs} == {440.0 * MI}


def test_steps_of_a_template_are_sized_by_the_pods_with_what_it_declares_whichever_resource_is_first() -> None:
    """Some pods of the second step are given more memory."""

    def work(i: int) -> Work:
        (usual,) = measured(memory_sampled_peak=100 * MI)
        given = replace(usual, memory_sampled_peak=3000 * MI, memory_request=4096 * MI, memory_limit=4096 * MI)
        return {"small": Pod(60, containers=(usual,)), "large": Pod(60, containers=(usual if i % 4 else given,))}

    of = scenario(_twice(), 1, work).definition
    runs = [replace(run, fingerprint=of.fingerprint) for run in history(of, 24, work)]
    analysis = analyze(of, runs, now=NOW)
    (of_cpu,), (of_memory,) = (list(sizing_units(analysis, resource)) for resource in ("cpu", "memory"))
    assert max(of_cpu.container.known("memory_peak")) == 3000 * MI
    assert max(of_memory.container.known("memory_peak")) == 100 * MI
    evidence = Evidence(analysis, "wfp")
    (said,) = set_elsewhere(evidence, of_memory.step, of_memory.container, "memory")
    assert said.endswith("sized by the pods with what is declared; some are given something else")


def test_a_task_that_two_steps_run_is_one_place_and_two_tasks_are_two() -> None:
    """Steps of different Tasks have the same JSON pointer."""
    requests = {"requests": {"cpu": "1", "memory": "1Gi"}}
    shared = {"spec": {"steps": [{"name": "go", "image": "x", "computeResources": requests}]}}
    rows = [{"name": n, "taskRef": {"name": t}} for n, t in (("a", "compile"), ("b", "compile"), ("c", "deploy"))]
    meta = {"name": "ci", "namespace": "demo"}
    raw = {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": meta, "spec": {"tasks": rows}}
    of = define(raw, lambda kind, name: shared)
    assert of is not None
    containers = tuple(replace(c, name="step-go") for c in measured(memory_sampled_peak=100 * MI))
    runs = history(of, 10, lambda _: {n: Pod(60.0, containers=containers) for n in "abc"})
    found = [(p.container.place, {p.step.step, *p.others}) for p in sizing_units(analyze(of, runs, now=NOW), "memory")]
    pointer = "/spec/steps/0/computeResources"
    assert found == [(f"/Task/compile{pointer}", {"a", "b"}), (f"/Task/deploy{pointer}", {"c"})]


@pytest.mark.parametrize("later", ["again.work", "template:work"])
def test_later_rounds_of_a_recursion_count_for_the_size_of_its_template(later: str) -> None:
    """Live objects name a round by its tasks, pods alone by the template."""
    found = scenario(
        argo(task("work")), 42, lambda _: {"work": Pod(100.0, containers=measured(memory_sampled_peak=250 * MI))}
    )

    def repeated(run: RunRecord) -> RunRecord:
        (first,) = run.steps
        usage = tuple(replace(c, memory_sampled_peak=440.0 * MI) for c in first.containers)
        return replace(
            run, steps=(first, replace(first, step=later, pod="later", uid=f"{first.uid}-2", containers=usage))
        )

    item = replace(found, runs=tuple(repeated(run) for run in found.runs)).one("right-size")
    assert "peaked at 440Mi of 1Gi" in item.because
    assert {int(row.new.removesuffix("Mi")) >= 500 for row in item.items} == {True}
    assert item.edits


def test_a_round_that_may_be_of_two_templates_is_nobodys() -> None:
    graph = definition(step("a.work", index=1), step("b.work", index=2)).graph
    assert graph.declaring("c.again.work") is None
    assert graph.declaring("a.again.work") == graph.step("a.work")
    assert graph.declaring("b.work") == graph.step("b.work")


@pytest.mark.parametrize(("until", "left"), [(30, []), (40, ["old"]), (42, ["old"])])
def test_a_step_that_was_removed_is_not_sized(until: int, left: list[str]) -> None:
    """It is in none of the newest runs nor in the manifest; with two runs since, chance may have left it out."""
    small = measured(memory_sampled_peak=40 * MI, cpu_seconds=1.0)

    def work(i: int) -> Work:
        fit = measured(memory_sampled_peak=800 * MI, cpu_seconds=70.0)
        return {"work": Pod(100, containers=fit)} | ({"old": Pod(100, containers=small)} if i < until else {})

    before = scenario(argo(task("work"), task("old", "work")), 42, work)
    now = scenario(argo(task("work")), 42, lambda _: {"work": Pod(100)}).definition
    found = sizing_units(analyze(now, before.runs, now=NOW), "memory")
    assert [p.step.step for p in found if p.step.step != "work"] == left


def _library(kind: str) -> Manifest:
    """An object whose template ``work`` other workflows run."""
    whole = argo(task("work"))
    name = {"name": "library"} if kind == "ClusterWorkflowTemplate" else {"name": "library", "namespace": "demo"}
    return {**whole, "kind": kind, "metadata": name, "spec": {"templates": whole["spec"]["templates"][1:]}}


@pytest.mark.parametrize(
    ("kind", "about", "command"),
    [
        ("WorkflowTemplate", "library", "kubectl -n demo edit workflowtemplate library"),
        ("ClusterWorkflowTemplate", "cwft.library", "kubectl edit clusterworkflowtemplate library"),
    ],
)
def test_templates_of_another_object_are_recommended_for_that_object(kind: str, about: str, command: str) -> None:
    """``own`` has a patch for the workflow's own object; ``small`` and ``large`` run one template of another."""
    ref = {"name": "library", "template": "work", "clusterScope": kind == "ClusterWorkflowTemplate"}
    of = argo(task("own"), {"name": "small", "templateRef": ref}, {"name": "large", "templateRef": ref})
    del of["spec"]["templates"][2:]
    value = noise()

    def work(_: int) -> Work:
        peaks = {"own": 120.0, "small": 100.0, "large": 440.0}
        return {n: Pod(value(600), containers=measured(memory_sampled_peak=p * MI)) for n, p in peaks.items()}

    made = scenario(of, 42, work, others=(_library(kind),))
    assert made.definition.sized_apart == (about,)
    found = {i.id: i for i in made.recommended("right-size")}
    assert found.keys() == {"right-size", f"right-size.{about}"}
    own, other = found["right-size"], found[f"right-size.{about}"]
    assert {item.step for item in own.items} == {"own"} and own.how.startswith("kubectl -n demo patch")
    assert "not set by the command" not in own.expected
    (row,) = other.items
    assert int(row.new.removesuffix("Mi")) >= 500, "the larger of the two steps"
    assert other.action.endswith(f" in {kind} library") and other.how == command and not other.edits
    assert any("others that refer to it get the same" in line for line in other.evidence)


def test_a_container_of_a_job_is_named_as_its_workflow_everywhere() -> None:
    """As in the titles of ``cpu-request`` and ``memory-request``: nobody calls the one step of a Job ``job``."""
    of = cron_job(resources={"requests": {"cpu": "1", "memory": "1Gi"}})
    proxy = {"name": "proxy", "image": "i", "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}}}
    of["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"].append(proxy)
    main = measured(name="report", cpu_request=1.0, memory_sampled_peak=900 * MI)
    beside = measured(name="proxy", cpu_request=0.5, memory_request=512 * MI, memory_sampled_peak=10 * MI)
    value = noise()
    item = scenario(of, 42, lambda _: {"job": Pod(value(600), containers=(*main, *beside))}).one("right-size")
    assert item.because.startswith("report/proxy peaked at 10Mi of 512Mi")
    assert any(line.startswith("memory of report/proxy: 64Mi is limited by apply.bounds") for line in item.evidence)
